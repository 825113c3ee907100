from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from infra.reference.study import STUDY_ID

BASE = f"/analytics/studies/{STUDY_ID}"
WAYS = {"Cohort": "", "Participants": "/participants", "Data queries": "/queries", "Operations": "/operations"}


@pytest.mark.parametrize("label", WAYS)
def test_every_page_of_a_study_leads_to_the_others_and_says_where_it_is(cohort: Page, label: str) -> None:
    cohort.goto(f"{BASE}{WAYS[label]}")
    ways = cohort.get_by_role("navigation", name="Pages of this study").get_by_role("link")
    expect(ways).to_have_text(list(WAYS))
    expect(ways.filter(has_text=label)).to_have_attribute("aria-current", "page")
    expect(cohort.locator("[aria-current=page]")).to_have_count(1)
    assert [way.get_attribute("href") for way in ways.all()] == [f"{BASE}{path}" for path in WAYS.values()]
    expect(cohort.get_by_role("list", name="Notes on this study")).to_contain_text("27 synthetic participants")


@pytest.mark.parametrize(("path", "begins"), [("", "atc-rt: "), ("/participants", "Participants, atc-rt")])
def test_a_tab_says_which_page_it_is_before_anything_else(cohort: Page, path: str, begins: str) -> None:
    cohort.goto(f"{BASE}{path}")
    expect(cohort).to_have_title(re.compile(f"^{begins}"))


def test_a_page_says_who_is_signed_in_until_they_sign_out(cohort: Page) -> None:
    expect(cohort.locator(".who")).to_have_text("investigator@study-wide.atc-rt")
    cohort.get_by_role("button", name="Sign out").click()
    expect(cohort).to_have_url("/session")
    cohort.goto(BASE)
    expect(cohort.get_by_role("button", name="Sign in")).to_be_visible()


def test_signing_in_leads_to_the_page_as_it_was_asked_for(page: Page, token: str) -> None:
    page.goto(f"{BASE}/queries?state=all")
    page.get_by_label("Access token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{BASE}/queries?state=all")


@pytest.mark.parametrize(
    ("path", "status"),
    [("/nowhere", 404), (f"{BASE}/participants/K7F2", 422), (f"{BASE}?cut=yesterday", 422), (f"{BASE}/nowhere", 404)],
)
def test_a_browser_is_refused_in_words_and_a_program_with_a_document(cohort: Page, path: str, status: int) -> None:
    said = cohort.request.get(path, headers={"accept": "text/html,*/*;q=0.8"})
    assert (said.status, said.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert said.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    document = cohort.request.get(path, headers={"accept": "*/*"})
    assert (document.status, document.headers["content-type"]) == (status, "application/problem+json")
    assert f"<h1>{document.json()['title']}</h1>" in said.text()


def test_a_file_asked_for_after_the_session_is_refused_with_a_link_to_sign_in_and_back(
    page: Page, complaints: list[str]
) -> None:
    file = f"/analytics/v1/studies/{STUDY_ID}/figures/flow.svg?by=sex"
    refused = page.goto(file)
    assert refused is not None
    assert refused.status == 401
    (complaint,) = complaints
    assert "401" in complaint, "the browser names the status of what it was refused"
    complaints.clear()
    page.get_by_role("link", name="Sign in").click()
    expect(page.locator("[name=next]")).to_have_value(file)
