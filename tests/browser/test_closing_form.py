"""The form that closes a study, in a browser: by keyboard alone, on a phone and a desk, with and without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.api.support.study import StudyUnderTest, open_study
from tests.demo import SAME_ORIGIN_HEADERS, Demo

Violations = list[tuple[str, list[str]]]
REFUSED = "Failed to load resource: the server responded with a status of 422 (Unprocessable Entity)"


@pytest.fixture
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    with open_study(demo) as study:
        study.enroll_at("rome")
        yield study


def open_closing_form(page: Page, study: StudyUnderTest) -> None:
    token = study.authorization("administrator")["Authorization"].removeprefix("Bearer ")
    page.request.post("/session", form={"token": token, "next": "/"}, headers=SAME_ORIGIN_HEADERS)
    page.goto(f"/enrollment/studies/{study.study_id}/facts/study.closed")


@pytest.mark.parametrize("has_script", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_study_is_closed_by_keyboard_after_a_check(
    browser: Browser, base_url: str, study: StudyUnderTest, *, has_script: bool
) -> None:
    context = browser.new_context(base_url=base_url, java_script_enabled=has_script)
    page = context.new_page()
    open_closing_form(page, study)
    expect(page.get_by_role("button", name="Record")).to_have_count(0)
    page.get_by_label("Last day of the study").focus()
    page.keyboard.type("2025-01-31")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").filter(has_text="Nothing was recorded yet.")).to_contain_text("1 enrolled")
    page.get_by_role("button", name="Record").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/events/"))
    context.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_page_that_shows_what_a_closure_stops_has_no_violations(
    page: Page,
    study: StudyUnderTest,
    width: int,
    find_violations: Callable[[], Violations],
    console_messages: list[str],
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    open_closing_form(page, study)
    assert find_violations() == []
    page.get_by_label("Last day of the study").fill("2025-01-31")
    page.get_by_role("button", name="Check", exact=True).click()
    page.get_by_label("Last day of the study").fill("2025-02-28")
    page.get_by_role("button", name="Record").click()  # another day: it is checked again
    expect(page.get_by_label("Last day of the study")).to_have_value("2025-02-28")
    expect(page.get_by_role("main")).to_contain_text("Nothing was recorded yet.")
    assert find_violations() == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert console_messages == [REFUSED]
    console_messages.clear()
