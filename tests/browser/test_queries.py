from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from infra.reference.study import CONSENT_VERSIONS, FROZEN_TODAY, SITE_ID, STUDY_ID
from tests.browser.support.page_checks import check_on_desk_and_phone
from tests.browser.test_cohort_page import ScreenParticipant
from tests.demo import SCREENING_DATA, Demo

QUERIES_PATH = f"/analytics/studies/{STUDY_ID}/queries"
PARTICIPANTS_PATH = f"/enrollment/v1/studies/{STUDY_ID}/participants"
CONSENT_DATA = {"signed_on": FROZEN_TODAY, "form_version": CONSENT_VERSIONS[-1]["version"]}
WITHDRAWAL_DATA = {"withdrawn_on": "2025-01-30", "scope": "follow_up"}


@pytest.fixture(scope="session")
def contradictory_participant(demo: Demo) -> str:
    """The number of a participant who consented on the day after the withdrawal."""
    facts = [
        {"type": "participant.screened", "data": SCREENING_DATA},
        {"type": "participant.consented", "data": CONSENT_DATA},
    ]
    participant_id = str(demo.register(*facts)["participant_id"])
    with demo.client("site", SITE_ID) as http:
        http.post(
            f"{PARTICIPANTS_PATH}/{participant_id}/facts/participant.withdrawn", json=WITHDRAWAL_DATA
        ).raise_for_status()
    return participant_id


@pytest.fixture
def queries_page(signed_in: Page, contradictory_participant: str) -> Page:
    """The reference study's queries, as its investigator sees them."""
    page = signed_in
    page.goto(QUERIES_PATH)
    expect(page.get_by_role("link", name=contradictory_participant).first).to_be_visible()
    return page


def test_queries_page_is_accessible_and_fits(queries_page: Page) -> None:
    queries_page.locator("tbody summary").first.click()
    check_on_desk_and_phone(queries_page)


def test_cohort_and_queries_pages_link_to_each_other(cohort: Page) -> None:
    cohort.get_by_role("link", name="Data queries").click()
    expect(cohort).to_have_url(QUERIES_PATH)
    cohort.get_by_role("link", name="Cohort").click()
    expect(cohort).to_have_url(f"/analytics/studies/{STUDY_ID}")


def test_open_queries_page_is_updated_without_reload(queries_page: Page, screen_participant: ScreenParticipant) -> None:
    expect(queries_page.locator("#state")).to_have_text("Live")
    version_label = queries_page.locator("[data-show=version]")
    before = version_label.inner_text()
    queries_page.evaluate("window.sameDocument = true")
    screen_participant(SCREENING_DATA)
    expect(version_label).not_to_have_text(before)
    assert queries_page.evaluate("window.sameDocument") is True


def test_explained_queries_are_reached_by_a_link(queries_page: Page) -> None:
    queries_page.get_by_role("navigation", name="State of the data queries").get_by_role(
        "link", name="Explained"
    ).click()
    expect(queries_page.locator("[data-number=queries]")).to_have_text("0")


def test_query_links_to_each_of_its_facts(queries_page: Page, contradictory_participant: str) -> None:
    row = queries_page.get_by_role("row", name=contradictory_participant).filter(has_text="The consent of")
    row.get_by_role("link", name="fact").last.click()
    expect(queries_page).to_have_url(re.compile(f"/participants/{contradictory_participant}#fact-"))
    expect(queries_page.locator("ol.events > li:target")).to_be_in_viewport()


def test_open_queries_are_listed_above_the_timeline_and_counted_in_the_list(
    queries_page: Page, contradictory_participant: str
) -> None:
    query_count = queries_page.get_by_role("row", name=contradictory_participant).count()
    queries_page.get_by_role("link", name="Participants").click()
    row = queries_page.get_by_role("row", name=contradictory_participant)
    expect(row.get_by_role("cell").last).to_have_text(str(query_count))
    row.get_by_role("link").click()
    expect(queries_page.get_by_role("heading", name=f"{query_count} open data queries")).to_be_visible()
    expect(queries_page.locator(".open-queries > li")).to_have_count(query_count)
    queries_page.locator(".open-queries").get_by_role("link", name="fact").first.click()
    expect(queries_page.locator("ol.events > li:target")).to_be_in_viewport()


def test_filtered_queries_page_states_its_filter_and_links_to_all(
    queries_page: Page, contradictory_participant: str
) -> None:
    queries_page.goto(f"{QUERIES_PATH}?participant={contradictory_participant}&state=all")
    expect(queries_page.locator("main")).to_contain_text(f"Filtered by participant {contradictory_participant}.")
    queries_page.get_by_role("link", name="Show the whole study").click()
    expect(queries_page).to_have_url(f"{QUERIES_PATH}?state=all")


def test_new_query_appears_on_open_participant_and_list_pages(signed_in: Page, demo: Demo) -> None:
    page = signed_in
    participant_id = demo.register({"type": "participant.screened", "data": SCREENING_DATA})["participant_id"]
    with demo.client("site", SITE_ID) as http:
        list_window = page.context.new_page()
        for window, path in ((page, f"participants/{participant_id}"), (list_window, "participants")):
            window.goto(f"/analytics/studies/{STUDY_ID}/{path}")
            expect(window.locator("#state")).to_have_text("Live")
        expect(list_window.get_by_role("row", name=participant_id).get_by_role("cell").last).to_have_text("0")
        for fact, data in (("consented", CONSENT_DATA), ("withdrawn", WITHDRAWAL_DATA)):
            http.post(f"{PARTICIPANTS_PATH}/{participant_id}/facts/participant.{fact}", json=data).raise_for_status()
    expect(page.get_by_role("heading", name="2 open data queries")).to_be_visible(timeout=20_000)
    expect(page.locator("ol.events")).to_contain_text("Withdrew")
    expect(list_window.get_by_role("row", name=participant_id).get_by_role("cell").last).to_have_text("2")
