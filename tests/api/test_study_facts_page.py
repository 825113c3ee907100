"""Administrators find the forms of a study's own facts, and that of a new study, by links."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.contracts.catalogue import STUDY
from tests.api.support.form_browser import FormBrowser, form_browser, pages_of
from tests.api.support.study import ROME_USER, StudyUnderTest, open_study
from tests.demo import Demo


@pytest.fixture
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    with open_study(demo) as study:
        yield study


@pytest.fixture
def administrator(study: StudyUnderTest) -> Iterator[FormBrowser]:
    with form_browser(study, "administrator") as browser:
        yield browser


def test_page_of_a_study_leads_an_administrator_to_every_form_of_its_facts(
    study: StudyUnderTest, administrator: FormBrowser
) -> None:
    page = administrator.open(pages_of(study))
    kinds = set(STUDY.declared_facts) - {"study.opened"}
    forms = {address for address in page.parser.addresses if "/facts/" in address}
    assert (page.status, forms) == (200, {f"{pages_of(study)}/facts/{kind}" for kind in kinds})


def test_page_of_a_study_says_that_a_role_records_no_facts_about_it(study: StudyUnderTest) -> None:
    with form_browser(study, ROME_USER) as rome:
        page = rome.open(pages_of(study))
    assert (page.status, any("/facts/" in address for address in page.parser.addresses)) == (200, False)
    assert "Your role in this study records no facts about the study itself." in page.text


def test_page_of_a_study_is_not_there_for_others(study: StudyUnderTest, demo: Demo) -> None:
    with open_study(demo) as another, form_browser(another, "administrator") as stranger:
        assert stranger.open(pages_of(study)).status == 404


def test_start_page_and_pages_of_a_study_lead_to_the_forms(study: StudyUnderTest, administrator: FormBrowser) -> None:
    cohort = f"/analytics/studies/{study.study_id}"
    study.wait_for_analytics()
    with form_browser(study, ROME_USER) as rome:
        for browser, is_linked in ((administrator, True), (rome, False)):
            assert ("/enrollment/studies/new" in browser.open("/").parser.addresses) == is_linked
            assert (pages_of(study) in browser.open(cohort).parser.addresses) == is_linked
