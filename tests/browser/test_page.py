from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Literal

import pytest
from playwright.sync_api import Page, expect

from infra.reference.study import CRITERIA, FROZEN_TODAY, SITE_ID, STUDY_ID
from tests.browser.conftest import IMAGES

FIGURES = ("flow", "accrual", "treatments")
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
SCREENED = {
    "site_id": SITE_ID,
    "screened_on": FROZEN_TODAY,
    "sex": "female",
    "birth_year": 1952,
    "criteria": {criterion["id"]: "met" for criterion in CRITERIA},
}

Screen = Callable[[dict[str, Any]], object]
Violations = Callable[[], list[tuple[str, list[str]]]]


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than the window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def open_tables(page: Page) -> None:
    for figure in FIGURES:
        page.locator(f"#{figure}-summary").click()


def test_the_page_shows_its_figures_and_is_live(cohort: Page) -> None:
    for figure in FIGURES:
        expect(cohort.locator(f"#{figure} svg[role=img]")).to_be_visible()
    expect(cohort.locator("#state")).to_have_text("Live")
    expect(cohort.locator("#flow [data-number=enrolled]")).to_have_text("31")
    expect(cohort.locator("#flow figcaption")).to_contain_text("4 / 31 = 12.9 % (95 % CI 3.6–29.8)")


def test_a_stated_fact_changes_the_figure_without_a_reload_and_keeps_the_readers_place(
    cohort: Page, screen: Screen
) -> None:
    flow, screened = cohort.locator("#flow"), cohort.locator("#flow [data-number=screened]")
    expect(cohort.locator("#state")).to_have_text("Live")
    before, shown = int(flow.get_attribute("data-version") or 0), int(screened.inner_text())
    cohort.locator("#flow-summary").click()
    cohort.locator("#flow-file2").focus()
    cohort.evaluate("window.sameDocument = true")
    screen(SCREENED)
    expect(screened).to_have_text(str(shown + 1), timeout=20_000)
    assert int(flow.get_attribute("data-version") or 0) > before
    expect(cohort.locator("[data-show=version]")).to_have_text(flow.get_attribute("data-version") or "")
    expect(cohort.locator("#flow-table")).to_have_attribute("open", "")
    expect(cohort.locator("#flow-file2")).to_be_focused()
    assert cohort.evaluate("window.sameDocument") is True


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_cohort_page_breaks_no_rule_of_accessibility(
    cohort: Page, violations: Violations, scheme: Literal["light", "dark"]
) -> None:
    cohort.emulate_media(color_scheme=scheme)
    open_tables(cohort)
    assert violations() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", "/session"])
def test_the_way_in_breaks_no_rule_of_accessibility(
    page: Page, violations: Violations, path: str, scheme: Literal["light", "dark"]
) -> None:
    page.emulate_media(color_scheme=scheme)
    page.goto(path)
    assert violations() == []


def test_nothing_is_wider_than_a_phone(cohort: Page) -> None:
    cohort.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
    open_tables(cohort)
    assert overflow(cohort) == 0
    for path in ("/", "/session"):
        cohort.goto(path)
        assert overflow(cohort) == 0


def test_signing_in_leads_to_the_page_that_was_asked_for(page: Page, token: str) -> None:
    page.goto(f"/session?next=/analytics/studies/{STUDY_ID}")
    page.get_by_label("Access token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"/analytics/studies/{STUDY_ID}")
    expect(page.locator("#flow")).to_be_visible()


@pytest.mark.parametrize("figure", FIGURES)
def test_every_file_that_a_figure_offers_can_be_had(cohort: Page, figure: str) -> None:
    links = cohort.locator(f"#{figure} .downloads a")
    addresses = [links.nth(index).get_attribute("href") or "" for index in range(links.count())]
    assert [address.rpartition(".")[2] for address in addresses] == ["json", "csv", "svg"]
    assert [cohort.request.get(address).status for address in addresses] == [200, 200, 200]


def test_the_page_as_it_is_printed_shows_every_figure_and_no_controls(cohort: Page) -> None:
    cohort.emulate_media(media="print")
    for figure in FIGURES:
        expect(cohort.locator(f"#{figure} svg")).to_be_visible()
    expect(cohort.locator(".bar")).to_be_hidden()
    expect(cohort.locator("#flow .downloads")).to_be_hidden()


if os.environ.get("QUARTAL_SCREENSHOTS") == "1":

    def test_the_documentation_shows_the_page_as_it_is(cohort: Page) -> None:
        cohort.set_viewport_size({"width": DESK["width"], "height": DESK["height"]})
        expect(cohort.locator("#state")).to_have_text("Live")
        IMAGES.mkdir(parents=True, exist_ok=True)
        cohort.screenshot(path=IMAGES / "cohort.png", full_page=True)
