from __future__ import annotations

import re
from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from infra.reference.study import CONSENT_VERSIONS, FROZEN_TODAY, SITE_ID, STUDY_ID
from tests.browser.test_page import PHONE, SCREENED, Screen, Violations, overflow
from tests.demo import FROM_A_PAGE, Demo

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
    page.request.post("/session", form={"token": token, "next": ADDRESS}, headers=FROM_A_PAGE)
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
    cohort.get_by_role("link", name="Data queries").click()
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
    queries.get_by_role("navigation", name="State of the data queries").get_by_role("link", name="Explained").click()
    expect(queries.locator("[data-number=queries]")).to_have_text("0")


def test_a_question_leads_to_each_fact_that_it_is_about(queries: Page, contradiction: str) -> None:
    row = queries.get_by_role("row", name=contradiction).filter(has_text="The consent of")
    row.get_by_role("link", name="fact").last.click()
    expect(queries).to_have_url(re.compile(f"/participants/{contradiction}#fact-"))
    expect(queries.locator("ol.events > li:target")).to_be_in_viewport()


def test_a_participant_has_its_open_queries_above_its_timeline_and_a_count_in_the_list(
    queries: Page, contradiction: str
) -> None:
    asked = queries.get_by_role("row", name=contradiction).count()
    queries.get_by_role("link", name="Participants").click()
    row = queries.get_by_role("row", name=contradiction)
    expect(row.get_by_role("cell").last).to_have_text(str(asked))
    row.get_by_role("link").click()
    expect(queries.get_by_role("heading", name=f"{asked} open data queries")).to_be_visible()
    expect(queries.locator(".questions > li")).to_have_count(asked)
    queries.locator(".questions").get_by_role("link", name="fact").first.click()
    expect(queries.locator("ol.events > li:target")).to_be_in_viewport()


def test_what_is_narrowed_says_to_what_and_leads_back_to_all(queries: Page, contradiction: str) -> None:
    queries.goto(f"{ADDRESS}?participant={contradiction}&state=all")
    expect(queries.locator("main")).to_contain_text(f"Filtered by participant {contradiction}.")
    queries.get_by_role("link", name="Show the whole study").click()
    expect(queries).to_have_url(f"{ADDRESS}?state=all")


def test_a_new_query_appears_on_an_open_page_of_its_participant_and_in_the_list(
    page: Page, demo: Demo, token: str
) -> None:
    participants = f"/enrollment/v1/studies/{STUDY_ID}/participants"
    with demo.client("site", SITE_ID) as http:
        number = http.post(participants, json=SCREENED).raise_for_status().json()["participant_id"]
        page.request.post("/session", form={"token": token, "next": ADDRESS}, headers=FROM_A_PAGE)
        other = page.context.new_page()
        for each, path in ((page, f"participants/{number}"), (other, "participants")):
            each.goto(f"/analytics/studies/{STUDY_ID}/{path}")
            expect(each.locator("#state")).to_have_text("Live")
        expect(other.get_by_role("row", name=number).get_by_role("cell").last).to_have_text("0")
        for fact, data in (("consented", CONSENTED), ("withdrawn", WITHDRAWN)):
            http.post(f"{participants}/{number}/facts/participant.{fact}", json=data).raise_for_status()
    expect(page.get_by_role("heading", name="2 open data queries")).to_be_visible(timeout=20_000)
    expect(page.locator("ol.events")).to_contain_text("Withdrew")
    expect(other.get_by_role("row", name=number).get_by_role("cell").last).to_have_text("2", timeout=20_000)
