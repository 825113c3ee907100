"""The page of a reader: a publication, which a newer one replaces while the page is open."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime

from playwright.sync_api import Page, expect

from infra.local.demo_links import LIVE_STUDY
from infra.reference.study import STUDY_ID
from services.analytics.figures.registry import FIGURES
from tests.demo import SAME_ORIGIN_HEADERS, Demo

PUBLISHED_FIGURES = [name for name, figure in FIGURES.items() if not figure.DISCLOSURE.person_level]
FindViolations = Callable[[], list[tuple[str, list[str]]]]


def open_cohort_page(page: Page, demo: Demo, study: str) -> None:
    """Signs in as the reader of the study."""
    address = f"/analytics/studies/{study}"
    token = demo.token("reader", study=study)
    page.request.post("/session", form={"token": token, "next": address}, headers=SAME_ORIGIN_HEADERS)
    page.goto(address)


def take_cut(demo: Demo, study: str) -> str:
    """Returns the name of a new data cut of today."""
    name = f"cut-{secrets.token_hex(4)}"
    cut = {"name": name, "cut_on": datetime.now(UTC).date().isoformat()}
    with demo.client("administrator", study=study) as http:
        http.post(f"/enrollment/v1/studies/{study}/facts/study.cut_taken", json=cut).raise_for_status()
    return name


def test_page_of_a_reader_shows_the_publication_and_is_accessible(
    page: Page, demo: Demo, find_violations: FindViolations
) -> None:
    open_cohort_page(page, demo, STUDY_ID)
    expect(page.locator("[data-publication]")).to_have_text("paper")
    expect(page.locator("[data-show=cut]")).to_have_text("2025-01-31")
    expect(page.locator("#flow [data-number=enrolled]")).to_have_text("31")
    expect(page.locator("figure")).to_have_count(len(PUBLISHED_FIGURES))
    expect(page.get_by_role("navigation", name="Pages of this study").get_by_role("link")).to_have_text(["Cohort"])
    expect(page.locator("#state")).to_have_text("Live")
    assert find_violations() == []


def test_new_data_cut_replaces_the_publication_without_reload(page: Page, demo: Demo) -> None:
    open_cohort_page(page, demo, LIVE_STUDY)
    expect(page.locator("#state")).to_have_text("Live")
    before = page.locator("[data-publication]").inner_text()
    page.evaluate("window.sameDocument = true")
    name = take_cut(demo, LIVE_STUDY)
    expect(page.locator("[data-publication]")).to_have_text(name)
    version = page.locator("#publication").get_attribute("data-version") or ""
    expect(page.locator("[data-show=version]")).to_have_text(version)
    assert page.evaluate("window.sameDocument") is True
    page.get_by_role("link", name=before).click()
    expect(page.locator("[data-publication]")).to_have_text(before)
