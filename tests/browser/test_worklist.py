from __future__ import annotations

import re
from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from infra.reference.study import STUDY_ID
from tests.browser.test_cohort_page import PHONE_SIZE, FindViolations, ScreenParticipant, horizontal_overflow
from tests.demo import SCREENING_DATA

WORKLIST_PATH = f"/analytics/studies/{STUDY_ID}/worklist"


@pytest.fixture
def worklist(cohort: Page) -> Page:
    """The reference study's worklist, as the cohort page leads there."""
    cohort.get_by_role("link", name="Worklist").click()
    expect(cohort).to_have_url(WORKLIST_PATH)
    expect(cohort.get_by_role("heading", name="Worklist")).to_be_visible()
    return cohort


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", ["To do", "All visits", "Missed"])
def test_worklist_is_accessible(
    worklist: Page, find_violations: FindViolations, scheme: Literal["light", "dark"], view: str
) -> None:
    worklist.emulate_media(color_scheme=scheme)
    worklist.get_by_role("link", name=view, exact=True).click()
    expect(worklist.get_by_role("link", name=view, exact=True)).to_have_attribute("aria-current", "true")
    assert find_violations() == []


@pytest.mark.parametrize("size", [PHONE_SIZE, {"width": 1280, "height": 800}], ids=["phone", "desktop"])
@pytest.mark.parametrize("view", ["To do", "All visits"])
def test_worklist_fits_the_window(worklist: Page, size: dict[str, int], view: str) -> None:
    worklist.set_viewport_size({"width": size["width"], "height": size["height"]})
    with worklist.expect_navigation():
        worklist.get_by_role("link", name=view).click()
    assert horizontal_overflow(worklist) == 0


def test_worklist_shows_another_day_by_its_form(worklist: Page) -> None:
    worklist.get_by_label("As of the day").fill("2024-06-03")
    worklist.get_by_role("button", name="Show").click()
    expect(worklist).to_have_url(re.compile(r"on=2024-06-03"))
    expect(worklist.locator("main")).to_contain_text("As of 2024-06-03")
    worklist.get_by_role("link", name="Show today").click()
    expect(worklist).to_have_url(WORKLIST_PATH)


def test_worklist_leads_to_the_page_of_a_participant(worklist: Page) -> None:
    worklist.get_by_role("link", name="All visits").click()
    link = worklist.get_by_role("rowheader").get_by_role("link").first
    participant_id = link.inner_text()
    link.click()
    expect(worklist.get_by_role("heading", name=f"Participant {participant_id}")).to_be_visible()


def test_open_worklist_is_updated_without_reload(worklist: Page, screen_participant: ScreenParticipant) -> None:
    expect(worklist.locator("#state")).to_have_text("Live")
    version_label = worklist.locator("[data-show=version]")
    before = version_label.inner_text()
    worklist.evaluate("window.sameDocument = true")
    screen_participant(SCREENING_DATA)
    expect(version_label).not_to_have_text(before, timeout=20_000)
    assert worklist.evaluate("window.sameDocument") is True


def test_worklist_needs_no_script(worklist: Page) -> None:
    browser = worklist.context.browser
    assert browser
    plain = browser.new_context(
        java_script_enabled=False, storage_state=worklist.context.storage_state(), base_url=worklist.url
    )
    page = plain.new_page()
    page.goto(WORKLIST_PATH)
    page.get_by_role("link", name="Missed", exact=True).click()
    expect(page).to_have_url(re.compile("state=missed"))
    page.get_by_label("As of the day").fill("2024-06-03")
    page.get_by_role("button", name="Show").click()
    expect(page).to_have_url(re.compile("state=missed.*on=2024-06-03"))
    plain.close()


def test_files_of_the_worklist_can_be_downloaded(worklist: Page) -> None:
    links = worklist.locator(".downloads a")
    addresses = [links.nth(index).get_attribute("href") or "" for index in range(links.count())]
    assert [worklist.request.get(address).status for address in addresses] == [200, 200, 200]
