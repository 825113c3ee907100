"""Administrators of the demo: the start page leads them to the form of a new study, so they may open one."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from infra.cli.demo import DEMO_ADMINISTRATORS
from infra.local.demo_links import DemoLink, demo_links
from infra.reference.study import subject
from shared.settings import Settings

SETTINGS = Settings(administrators=DEMO_ADMINISTRATORS)
LINKS = [link for link in demo_links() if link.role == "administrator"]


@pytest.mark.parametrize("link", LINKS, ids=lambda link: link.study)
def test_administrator_whom_a_link_signs_in_opens_a_study_under_any_id(link: DemoLink) -> None:
    study = parse_qs(urlsplit(link.sign_in_url).query)["study"][0]
    assert SETTINGS.may_open_study(subject(study, "administrator"), "first-steps")


def test_administrator_of_another_study_opens_that_study_alone() -> None:
    administrator = subject("first-steps", "administrator")
    assert SETTINGS.may_open_study(administrator, "first-steps")
    assert not SETTINGS.may_open_study(administrator, "second-steps")
