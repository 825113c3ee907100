"""Many windows of one browser on one server: HTTP/1.1 leaves them six connections together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, expect

from infra.reference.study import STUDY_ID
from tests.browser.test_page import SCREENED

ADDRESS = f"/analytics/studies/{STUDY_ID}"
PATIENCE = 20_000  # milliseconds


def screened(window: Page) -> int:
    return int(window.locator("#flow [data-number=screened]").inner_text())


def test_seven_visible_windows_load_and_are_live(cohort: Page, screen: Callable[[dict[str, Any]], None]) -> None:
    windows = [cohort, *(cohort.context.new_page() for _ in range(6))]
    for window in windows[1:]:
        window.goto(ADDRESS, timeout=PATIENCE)
    for window in windows:
        expect(window.locator("#state")).to_have_text("Live", timeout=PATIENCE)
    before = screened(cohort)
    screen(SCREENED)
    for window in windows:
        expect(window.locator("#flow [data-number=screened]")).to_have_text(str(before + 1), timeout=PATIENCE)


def test_another_window_takes_over_when_the_one_with_the_stream_is_closed(
    cohort: Page, screen: Callable[[dict[str, Any]], None]
) -> None:
    expect(cohort.locator("#state")).to_have_text("Live")
    others = [cohort.context.new_page() for _ in range(2)]
    for window in others:
        window.goto(ADDRESS)
        expect(window.locator("#state")).to_have_text("Live")
    before = screened(cohort)
    cohort.close()
    screen(SCREENED)
    for window in others:
        expect(window.locator("#flow [data-number=screened]")).to_have_text(str(before + 1), timeout=PATIENCE)
        expect(window.locator("#state")).to_have_text("Live", timeout=PATIENCE)
