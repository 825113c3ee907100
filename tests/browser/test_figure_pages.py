"""Pages of the rows of a figure, in a study with more targets than one page has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from shared.testing.builders import facts
from tests.api.support.study import StudyUnderTest, open_study
from tests.browser.test_cohort_page import PHONE_SIZE, FindViolations, horizontal_overflow
from tests.demo import SAME_ORIGIN_HEADERS, Demo

PARTICIPANTS, TARGETS_OF_A_COURSE = 5, 45


@pytest.fixture(scope="module")
def treated_study(demo: Demo) -> Iterator[StudyUnderTest]:
    """A study with 225 targets."""
    targets = [facts.target(f"T{number}") for number in range(TARGETS_OF_A_COURSE)]
    with open_study(demo) as study:
        for _ in range(PARTICIPANTS):
            study.enroll_at("rome", facts.radiotherapy_started(0, "RT1", *targets))
        study.wait_for_analytics()
        yield study


def open_cohort_page(page: Page, study: StudyUnderTest) -> None:
    token = study.demo.token("investigator", study=study.study_id)
    address = f"/analytics/studies/{study.study_id}"
    page.request.post("/session", form={"token": token, "next": address}, headers=SAME_ORIGIN_HEADERS)
    page.goto(address)
    expect(page.locator("#treatments [data-rows]")).to_have_text("Rows 1–200 of 225")


def test_chosen_page_of_rows_stays_while_the_figure_is_updated(
    page: Page, treated_study: StudyUnderTest, find_violations: FindViolations
) -> None:
    open_cohort_page(page, treated_study)
    treatments, rows = page.locator("#treatments"), page.locator("#treatments [data-rows]")
    expect(page.locator("#flow svg[role=img]")).to_be_visible()
    page.get_by_role("link", name="Next rows").click()
    expect(rows).to_have_text("Rows 201–225 of 225")
    expect(page.locator("#treatments-table tbody tr")).to_have_count(25)
    expect(page.locator("#treatments-table tbody tr").first).to_be_visible()
    expect(page.locator("#state")).to_have_text("Live")
    assert find_violations() == []
    before = treatments.get_attribute("data-version") or ""
    page.locator("#treatments-summary").click()
    page.locator("#treatments-previous").focus()
    treated_study.register(facts.participant_screened(site_id="rome"))
    expect(treatments).not_to_have_attribute("data-version", before)
    expect(rows).to_have_text("Rows 201–225 of 225")
    expect(page.locator("#treatments-previous")).to_be_focused()
    expect(page.locator("#treatments-table")).not_to_have_attribute("open", "")
    page.get_by_role("link", name="Previous rows").click()
    expect(rows).to_have_text("Rows 1–200 of 225")


def test_pages_of_rows_fit_a_phone(page: Page, treated_study: StudyUnderTest) -> None:
    page.set_viewport_size({"width": PHONE_SIZE["width"], "height": PHONE_SIZE["height"]})
    open_cohort_page(page, treated_study)
    page.get_by_role("link", name="Next rows").click()
    expect(page.locator("#treatments [data-rows]")).to_have_text("Rows 201–225 of 225")
    assert horizontal_overflow(page) == 0


def test_pages_of_rows_are_read_without_scripts(
    browser: Browser, browser_context_args: dict[str, Any], treated_study: StudyUnderTest
) -> None:
    context = browser.new_context(**{**browser_context_args, "java_script_enabled": False})
    page = context.new_page()
    open_cohort_page(page, treated_study)
    picture = page.request.get(page.locator("#visit-adherence img").get_attribute("src") or "")
    assert (picture.status, picture.headers["content-type"]) == (200, "image/svg+xml")
    page.get_by_role("link", name="Next rows").click()
    expect(page.locator("#treatments [data-rows]")).to_have_text("Rows 201–225 of 225")
    expect(page.locator("#treatments-table tbody tr").first).to_be_visible()
    page.get_by_role("link", name="Visit adherence: this figure alone").click()
    expect(page.locator("#visit-adherence svg[role=img]")).to_be_visible()
    context.close()
