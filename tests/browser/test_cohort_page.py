from __future__ import annotations

import os
from base64 import b64decode
from collections.abc import Callable
from typing import Any, Literal

import pytest
from playwright.sync_api import Page, expect

from infra.reference.study import STUDY_ID
from services.analytics.figures.registry import FIGURES
from shared.ui.static_folder import FOLDER
from tests.browser.conftest import IMAGES
from tests.browser.support.page_checks import check_on_desk_and_phone
from tests.demo import SCREENING_DATA, Demo

HTML = {"accept": "text/html"}
DESKTOP_SIZE, PHONE_SIZE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}

ScreenParticipant = Callable[[dict[str, Any]], object]
FindViolations = Callable[[], list[tuple[str, list[str]]]]


def horizontal_overflow(page: Page) -> int:
    """Number of pixels by which the page is wider than the window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def load_figures(page: Page) -> None:
    """Scrolls to every figure, which is then whole."""
    for figure in FIGURES:
        page.locator(f"#{figure}").evaluate("figure => figure.scrollIntoView()")  # it may be replaced meanwhile
        expect(page.locator(f"#{figure} svg[role=img]")).to_be_visible()


def open_tables(page: Page) -> None:
    load_figures(page)
    for figure in FIGURES:
        page.locator(f"#{figure}-summary").click()


def test_cohort_page_shows_its_figures_as_they_scroll_in_and_is_live(cohort: Page, demo: Demo) -> None:
    assert len(cohort.request.get(f"/analytics/studies/{STUDY_ID}", headers=HTML).body()) < 100_000
    flow = demo.figure("flow")  # other tests of this demo enroll too
    expect(cohort.locator("#headline [data-number=flow-enrolled]")).to_have_text(str(flow["enrolled"]))
    expect(cohort.locator("#visit-adherence img")).to_have_count(1)
    load_figures(cohort)
    expect(cohort.locator("[data-preview]")).to_have_count(0)
    expect(cohort.locator("#state")).to_have_text("Live")
    expect(cohort.locator("#flow [data-number=enrolled]")).to_have_text(str(flow["enrolled"]))
    expect(cohort.locator("#flow figcaption")).to_contain_text(f"{flow['stereotactic']} / {flow['enrolled']} = ")


TOUCHING_TEXTS = """svg => {
  const texts = [...svg.querySelectorAll("text")].map(text => [text.textContent, text.getBoundingClientRect()]);
  const touch = ([, a], [, b]) =>
    a.left < b.right + 3 && b.left < a.right + 3 && a.top + 3 < b.bottom && b.top + 3 < a.bottom;
  const pairs = texts.flatMap((text, index) => texts.slice(index + 1).map(other => [text, other]));
  return pairs.filter(([text, other]) => touch(text, other)).map(([text, other]) => [text[0], other[0]]);
}"""
"""Lists pairs of texts of a picture with less than 3 px between them on one line."""


def test_link_and_caption_of_a_figure_are_copied(cohort: Page) -> None:
    cohort.context.grant_permissions(["clipboard-read", "clipboard-write"])
    copied = "navigator.clipboard.readText()"
    enrolled = cohort.locator("#flow [data-number=enrolled]").inner_text()
    cohort.locator("#flow-copy-caption").click()
    expect(cohort.locator("#flow-copy-caption")).to_have_text("Caption copied")
    assert cohort.evaluate(copied) == cohort.locator("#flow-caption").text_content()
    cohort.locator("#flow-copy-link").press("Enter")
    expect(cohort.locator("#flow-copy-link")).to_have_text("Link copied")
    cohort.goto(cohort.evaluate(copied))
    expect(cohort.locator("figure")).to_have_count(1)
    expect(cohort.locator("#flow [data-number=enrolled]")).to_have_text(enrolled)
    cohort.locator("#flow-question").click()
    expect(cohort.locator("#flow-definition p")).to_be_visible()


def test_slider_leads_to_a_data_cut_by_keyboard(cohort: Page) -> None:
    slider, choice = cohort.locator("#state-slider"), cohort.locator("#state-at")
    expect(choice).to_have_value("")
    slider.focus()
    cohort.keyboard.press("ArrowLeft")
    expect(choice).to_have_value("cut:paper")
    expect(slider).to_have_attribute("aria-valuetext", "paper (2025-01-31)")
    cohort.keyboard.press("Tab")
    cohort.keyboard.press("Enter")
    expect(cohort).to_have_url(f"/analytics/studies/{STUDY_ID}?at=cut%3Apaper")
    expect(cohort.locator("#state-at")).to_have_value("cut:paper")
    expect(cohort.locator("#flow [data-number=enrolled]")).to_have_text("31")
    expect(cohort.locator("#flow figcaption")).to_contain_text("4 / 31 = 12.9 % (95 % CI 3.6–29.8)")


def test_texts_of_a_picture_do_not_touch(cohort: Page) -> None:
    load_figures(cohort)
    for figure in FIGURES:
        assert cohort.locator(f"#{figure} svg[role=img]").evaluate(TOUCHING_TEXTS) == []


def test_recorded_fact_updates_the_figure_without_reload_and_keeps_the_focus(
    cohort: Page, screen_participant: ScreenParticipant
) -> None:
    flow, screened = cohort.locator("#flow"), cohort.locator("#flow [data-number=screened]")
    headline = cohort.locator("#headline")
    expect(cohort.locator("#state")).to_have_text("Live")
    version_before, screened_count = int(flow.get_attribute("data-version") or 0), int(screened.inner_text())
    cohort.locator("#flow-summary").click()
    cohort.locator("#flow-file2").focus()
    cohort.evaluate("window.sameDocument = true")
    screen_participant(SCREENING_DATA)
    expect(screened).to_have_text(str(screened_count + 1))
    assert int(flow.get_attribute("data-version") or 0) > version_before
    expect(headline).to_have_attribute("data-version", flow.get_attribute("data-version") or "")
    expect(cohort.locator("[data-show=version]")).to_have_text(flow.get_attribute("data-version") or "")
    expect(cohort.locator("#flow-table")).to_have_attribute("open", "")
    expect(cohort.locator("#flow-file2")).to_be_focused()
    assert cohort.evaluate("window.sameDocument") is True


def test_cohort_home_and_sign_in_pages_are_accessible_and_fit(cohort: Page) -> None:
    open_tables(cohort)
    check_on_desk_and_phone(cohort)
    for path in ("/", "/session"):
        cohort.goto(path)
        check_on_desk_and_phone(cohort)


def test_sign_in_leads_to_the_requested_page(page: Page, token: str) -> None:
    page.goto(f"/session?next=/analytics/studies/{STUDY_ID}")
    page.get_by_label("Access token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"/analytics/studies/{STUDY_ID}")
    expect(page.locator("#flow")).to_be_visible()


def test_every_file_offered_by_a_figure_can_be_downloaded(cohort: Page) -> None:
    for figure in FIGURES:
        links = cohort.locator(f"a[id^={figure}-file]")
        addresses = [links.nth(index).get_attribute("href") or "" for index in range(links.count())]
        assert [address.rpartition(".")[2] for address in addresses] == ["json", "csv", "svg", "png"]
        assert [cohort.request.get(address).status for address in addresses] == [200] * 4


def test_printed_page_shows_every_figure_and_no_controls(cohort: Page) -> None:
    cohort.emulate_media(media="print")
    for figure in FIGURES:
        expect(cohort.locator(f"#{figure} .picture")).to_be_visible()
    expect(cohort.locator(".bar")).to_be_hidden()
    expect(cohort.locator("#flow-file1")).to_be_hidden()
    expect(cohort.locator("#flow-page")).to_be_hidden()


if os.environ.get("QUARTAL_SCREENSHOTS") == "1":

    def test_picture_for_the_readme_is_taken(cohort: Page) -> None:
        cohort.set_viewport_size({"width": DESKTOP_SIZE["width"], "height": 1500})  # what a reader sees first
        expect(cohort.locator("#state")).to_have_text("Live")
        IMAGES.mkdir(parents=True, exist_ok=True)
        cohort.screenshot(path=IMAGES / "cohort.png")

    @pytest.mark.parametrize(("color_scheme", "name"), [("light", "cohort.png"), ("dark", "cohort-dark.png")])
    def test_small_picture_for_the_start_page_is_taken(
        cohort: Page, color_scheme: Literal["light", "dark"], name: str
    ) -> None:
        cohort.set_viewport_size({"width": 1280, "height": 1280})
        cohort.emulate_media(color_scheme=color_scheme)
        expect(cohort.locator("#state")).to_have_text("Live")
        clip = {"x": 0, "y": 0, "width": 1280, "height": 1000, "scale": 0.5}
        picture = cohort.context.new_cdp_session(cohort).send("Page.captureScreenshot", {"clip": clip})
        (FOLDER / name).write_bytes(b64decode(picture["data"]))
