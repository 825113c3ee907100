from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from infra.reference.study import STUDY_ID
from shared.testing.builders import facts
from tests.api.support.study import StudyUnderTest, open_study
from tests.api.test_worklist import OVERDUE_DAY
from tests.browser.test_cohort_page import PHONE_SIZE, FindViolations, ScreenParticipant, horizontal_overflow
from tests.demo import SAME_ORIGIN_HEADERS, SCREENING_DATA, Demo

WORKLIST_PATH = f"/analytics/studies/{STUDY_ID}/worklist"


@pytest.fixture
def worklist(signed_in: Page) -> Page:
    """The reference study's worklist, as its investigator sees it."""
    signed_in.goto(WORKLIST_PATH)
    return signed_in


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
    expect(version_label).not_to_have_text(before)
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


@pytest.fixture(scope="module")
def treated_study(demo: Demo) -> Iterator[StudyUnderTest]:
    """A study with two participants whose radiotherapy has ended."""
    with open_study(demo) as study:
        for _ in range(2):
            number = study.enroll_at("rome", facts.radiotherapy_started(), facts.radiotherapy_completed())
            study.wait_until_known(number)
        yield study


def open_site_worklist(page: Page, study: StudyUnderTest) -> None:
    """Opens the worklist as the staff of a site see it on a day on which first visits are overdue."""
    token = study.authorization("site@rome")["Authorization"].removeprefix("Bearer ")
    page.request.post("/session", form={"token": token, "next": "/"}, headers=SAME_ORIGIN_HEADERS)
    page.goto(f"/analytics/studies/{study.study_id}/worklist?on={OVERDUE_DAY}")


@pytest.mark.parametrize("has_script", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_chosen_visits_lead_to_a_form_of_several(
    browser: Browser, treated_study: StudyUnderTest, base_url: str, *, has_script: bool
) -> None:
    context = browser.new_context(base_url=base_url, java_script_enabled=has_script)
    page = context.new_page()
    open_site_worklist(page, treated_study)
    boxes = page.get_by_role("checkbox", name=re.compile("^Choose"))
    boxes.nth(0).focus()
    page.keyboard.press("Space")
    boxes.nth(1).check()
    chosen = {boxes.nth(index).get_attribute("value") for index in (0, 1)}
    page.get_by_role("button", name="Put off reminders of the chosen visits").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Reminder put off: several visits")
    ticked = page.get_by_role("checkbox", checked=True)
    assert {ticked.nth(index).get_attribute("value") for index in range(ticked.count())} == chosen
    page.get_by_label("First day on which reminders").fill("2 weeks")
    page.get_by_role("button", name="Record").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was recorded")
    first_day = datetime.now(UTC).date() + timedelta(days=7 if has_script else 8)  # an equal fact would be asked about
    page.get_by_label("First day on which reminders").fill(first_day.isoformat())
    page.get_by_role("button", name="Record").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("What you recorded")
    context.close()


def test_form_of_several_visits_is_accessible(
    page: Page, treated_study: StudyUnderTest, find_violations: FindViolations
) -> None:
    open_site_worklist(page, treated_study)
    assert find_violations() == []
    page.set_viewport_size({"width": PHONE_SIZE["width"], "height": PHONE_SIZE["height"]})
    assert horizontal_overflow(page) == 0
    page.get_by_role("checkbox", name=re.compile("^Choose")).first.check()
    page.get_by_role("button", name="Acknowledge the chosen visits").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Reminder acknowledged: several visits")
    assert find_violations() == []
    assert horizontal_overflow(page) == 0


def test_ticked_visits_stay_ticked_when_the_list_is_updated(page: Page, treated_study: StudyUnderTest) -> None:
    open_site_worklist(page, treated_study)
    expect(page.locator("#state")).to_have_text("Live")
    page.get_by_role("checkbox", name=re.compile("^Choose")).first.check()
    position = page.locator("[data-live=worklist]").get_attribute("data-version") or ""
    treated_study.enroll_at("rome")
    expect(page.locator("[data-live=worklist]")).not_to_have_attribute("data-version", position)
    expect(page.get_by_role("checkbox", checked=True)).to_have_count(1)


def test_files_of_the_worklist_can_be_downloaded(worklist: Page) -> None:
    links = worklist.locator(".downloads a")
    addresses = [links.nth(index).get_attribute("href") or "" for index in range(links.count())]
    assert [worklist.request.get(address).status for address in addresses] == [200, 200, 200]
