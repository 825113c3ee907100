from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from infra.reference.study import STUDY_ID
from services.analytics.page_registry import PAGE_MODULES
from shared.security.grants import Grant, Rights

BASE = f"/analytics/studies/{STUDY_ID}"
INVESTIGATOR = Rights("investigator", frozenset({Grant("investigator", None)}))
PAGE_URLS = {
    module.PAGE.nav_label: module.PAGE.route.format(study_id=STUDY_ID)
    for module in PAGE_MODULES
    if module.PAGE.nav_label and module.PAGE.may_see(INVESTIGATOR)
}
"""The addresses of the pages that an investigator may see, by their links."""


@pytest.mark.parametrize("label", PAGE_URLS)
def test_every_study_page_links_to_the_others_and_marks_itself(signed_in: Page, label: str) -> None:
    signed_in.goto(PAGE_URLS[label])
    links = signed_in.get_by_role("navigation", name="Pages of this study").get_by_role("link")
    linked = PAGE_URLS | {"Study facts": f"/enrollment/studies/{STUDY_ID}"}
    expect(links).to_have_text(list(linked))
    expect(links.filter(has_text=label)).to_have_attribute("aria-current", "page")
    expect(signed_in.locator("[aria-current=page]")).to_have_count(1)
    assert [link.get_attribute("href") for link in links.all()] == list(linked.values())
    expect(signed_in.get_by_role("list", name="Notes on this study")).to_contain_text("27 synthetic participants")


@pytest.mark.parametrize(("path", "begins"), [("", "atc-rt: "), ("/participants", "Participants, atc-rt")])
def test_page_title_begins_with_the_name_of_the_page(signed_in: Page, path: str, begins: str) -> None:
    signed_in.goto(f"{BASE}{path}")
    expect(signed_in).to_have_title(re.compile(f"^{begins}"))


def test_page_shows_the_signed_in_user_until_sign_out(cohort: Page) -> None:
    expect(cohort.locator(".member")).to_have_text("investigator@study-wide.atc-rt")
    cohort.get_by_role("link", name="Sign out").click()
    expect(cohort).to_have_url("/session")
    cohort.goto(BASE)
    expect(cohort.get_by_role("button", name="Sign in")).to_be_visible()


def test_sign_in_returns_to_the_requested_page_with_its_query(page: Page, token: str) -> None:
    page.goto(f"{BASE}/queries?state=all")
    page.get_by_label("Access token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{BASE}/queries?state=all")


@pytest.mark.parametrize(
    ("path", "status"),
    [("/nowhere", 404), (f"{BASE}/participants/K7F2", 422), (f"{BASE}?cut=yesterday", 422), (f"{BASE}/nowhere", 404)],
)
def test_errors_are_html_for_browsers_and_documents_for_programs(signed_in: Page, path: str, status: int) -> None:
    page_response = signed_in.request.get(path, headers={"accept": "text/html,*/*;q=0.8"})
    assert (page_response.status, page_response.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert page_response.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    document = signed_in.request.get(path, headers={"accept": "*/*"})
    assert (document.status, document.headers["content-type"]) == (status, "application/problem+json")
    assert f"<h1>{document.json()['title']}</h1>" in page_response.text()


def test_file_requested_after_the_session_ended_offers_sign_in_and_return(
    page: Page, console_messages: list[str]
) -> None:
    file = f"/analytics/v1/studies/{STUDY_ID}/figures/flow.svg?by=sex"
    response = page.goto(file)
    assert response is not None
    assert response.status == 401
    (message,) = console_messages
    assert "401" in message, "the browser names the status of what it was refused"
    console_messages.clear()
    page.get_by_role("link", name="Sign in").click()
    expect(page.locator("[name=next]")).to_have_value(file)
