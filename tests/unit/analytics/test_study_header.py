"""The navigation of a study's pages: each member gets links to the pages that the member may see."""

from __future__ import annotations

import pytest

from services.analytics.operations import page as operations_page
from services.analytics.page_registry import PAGE_MODULES
from services.analytics.study_header import navigation_links
from shared.security.grants import Grant, Rights

PAGES = [module.PAGE for module in PAGE_MODULES]
PARTICIPANT_PAGES = ["Worklist", "Participants", "Data queries", "Reminders"]


def labels_for(*grants: Grant) -> list[str]:
    rights = Rights("member", frozenset(grants))
    return [link.label for link in navigation_links(PAGES, "atc-rt", rights, operations_page.PAGE)]


@pytest.mark.parametrize(
    ("grant", "labels"),
    [
        (Grant("reader", None), ["Cohort"]),
        (Grant("administrator", None), ["Cohort", "Literature", "Operations"]),
        (Grant("site", "rome"), ["Cohort", "Literature", *PARTICIPANT_PAGES, "Digest"]),
        (Grant("investigator", None), ["Cohort", "Literature", *PARTICIPANT_PAGES, "Operations"]),
        (Grant("monitor", "rome"), ["Cohort", "Literature", *PARTICIPANT_PAGES]),
    ],
)
def test_navigation_has_the_pages_that_the_member_may_see(grant: Grant, labels: list[str]) -> None:
    assert labels_for(grant) == labels


def test_link_to_the_open_page_is_marked() -> None:
    rights = Rights("member", frozenset({Grant("investigator", None)}))
    links = list(navigation_links(PAGES, "atc-rt", rights, operations_page.PAGE))
    assert [link.href for link in links if link.is_current] == ["/analytics/studies/atc-rt/operations"]


def test_address_of_every_page_is_one_of_its_own_routes() -> None:
    for module in PAGE_MODULES:
        assert module.PAGE.route in {getattr(route, "path", "") for route in module.routes.routes}
