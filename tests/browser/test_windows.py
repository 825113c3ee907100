"""Many windows of one browser on one server: HTTP/1.1 leaves them six connections together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, expect

from infra.reference.study import STUDY_ID
from tests.demo import SCREENING_DATA

COHORT_PATH = f"/analytics/studies/{STUDY_ID}"
TIMEOUT_MILLISECONDS = 20_000  # milliseconds


def screened_count(window: Page) -> int:
    return int(window.locator("#flow [data-number=screened]").inner_text())


def test_seven_visible_windows_load_and_are_live(
    cohort: Page, screen_participant: Callable[[dict[str, Any]], None]
) -> None:
    windows = [cohort, *(cohort.context.new_page() for _ in range(6))]
    for window in windows[1:]:
        window.goto(COHORT_PATH, timeout=TIMEOUT_MILLISECONDS)
    for window in windows:
        expect(window.locator("#state")).to_have_text("Live", timeout=TIMEOUT_MILLISECONDS)
    before = screened_count(cohort)
    screen_participant(SCREENING_DATA)
    for window in windows:
        expect(window.locator("#flow [data-number=screened]")).to_have_text(
            str(before + 1), timeout=TIMEOUT_MILLISECONDS
        )


def test_another_window_takes_over_when_the_streaming_one_is_closed(
    cohort: Page, screen_participant: Callable[[dict[str, Any]], None]
) -> None:
    expect(cohort.locator("#state")).to_have_text("Live")
    other_windows = [cohort.context.new_page() for _ in range(2)]
    for window in other_windows:
        window.goto(COHORT_PATH)
        expect(window.locator("#state")).to_have_text("Live")
    before = screened_count(cohort)
    cohort.close()
    screen_participant(SCREENING_DATA)
    for window in other_windows:
        expect(window.locator("#flow [data-number=screened]")).to_have_text(
            str(before + 1), timeout=TIMEOUT_MILLISECONDS
        )
        expect(window.locator("#state")).to_have_text("Live", timeout=TIMEOUT_MILLISECONDS)
