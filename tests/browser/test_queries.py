from __future__ import annotations

from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from infra.reference.study import CONSENT_VERSIONS, FROZEN_TODAY, SITE_ID, STUDY_ID
from tests.browser.test_page import PHONE, SCREENED, Screen, Violations, overflow
from tests.demo import Demo

ADDRESS = f"/analytics/studies/{STUDY_ID}/queries"
CONSENTED = {"signed_on": FROZEN_TODAY, "form_version": CONSENT_VERSIONS[-1]["version"]}
WITHDRAWN = {"withdrawn_on": "2025-01-30", "scope": "follow_up"}


@pytest.fixture(scope="session")
def contradiction(demo: Demo) -> str:
    """The number of somebody who consented on the day after withdrawing."""
    facts = [{"type": "participant.screened", "data": SCREENED}, {"type": "participant.consented", "data": CONSENTED}]
    participants = f"/enrollment/v1/studies/{STUDY_ID}/participants"
    with demo.client("site", SITE_ID) as http:
        stated = http.post(participants, json={"facts": facts}).raise_for_status()
        number = str(stated.json()["participant_id"])
        http.post(f"{participants}/{number}/facts/participant.withdrawn", json=WITHDRAWN).raise_for_status()
    return number


@pytest.fixture
def queries(page: Page, token: str, contradiction: str) -> Page:
    """The reference study's queries, as its investigator sees them."""
    page.request.post("/session", form={"token": token, "next": ADDRESS})
    page.goto(ADDRESS)
    expect(page.get_by_role("link", name=contradiction).first).to_be_visible()
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_queries_break_no_rule_of_accessibility(
    queries: Page, violations: Violations, scheme: Literal["light", "dark"]
) -> None:
    queries.emulate_media(color_scheme=scheme)
    queries.locator("tbody summary").first.click()
    assert violations() == []


def test_the_queries_fit_a_phone(queries: Page) -> None:
    queries.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
    queries.locator("tbody summary").first.click()
    assert overflow(queries) == 0


def test_the_cohort_leads_to_the_queries_and_back(cohort: Page) -> None:
    cohort.get_by_role("link", name="Queries").click()
    expect(cohort).to_have_url(ADDRESS)
    cohort.get_by_role("link", name="Cohort").click()
    expect(cohort).to_have_url(f"/analytics/studies/{STUDY_ID}")


def test_an_open_page_follows_the_record_without_a_reload(queries: Page, screen: Screen) -> None:
    expect(queries.locator("#state")).to_have_text("Live")
    shown = queries.locator("[data-show=version]")
    before = shown.inner_text()
    queries.evaluate("window.sameDocument = true")
    screen(SCREENED)
    expect(shown).not_to_have_text(before, timeout=20_000)
    assert queries.evaluate("window.sameDocument") is True


def test_what_is_explained_is_reached_by_a_link(queries: Page) -> None:
    queries.get_by_role("navigation", name="Which queries").get_by_role("link", name="Explained").click()
    expect(queries.locator("[data-number=queries]")).to_have_text("0")
