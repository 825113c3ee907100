"""The subscription in a browser, with and without JavaScript: from the form to the mail, its link, and the end."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from infra.reference.study import SITE_ID, STUDY_ID
from tests.browser.support.page_checks import check_on_desk_and_phone
from tests.demo import SAME_ORIGIN_HEADERS, Demo

PATH = f"/analytics/studies/{STUDY_ID}/subscription"
ADDRESS = "staff@hospital.example"


def sign_in(page: Page, demo: Demo, role: str, site: str | None, address: str) -> None:
    token = demo.token(role, site)
    page.request.post("/session", form={"token": token, "next": address}, headers=SAME_ORIGIN_HEADERS)
    page.goto(address)


def open_mailed_link(page: Page, recipient: str) -> None:
    """Opens the newest message to the recipient in the outbox, and the link in it."""
    page.goto("/outbox")
    row = page.get_by_role("row").filter(has_text=recipient).first
    for _ in range(100):
        if row.count():
            break
        page.wait_for_timeout(100)
        page.reload()
    row.get_by_role("link").click()
    page.get_by_role("link", name="/analytics/subscriptions/confirm").click()


@pytest.mark.parametrize("javascript", [True, False], ids=["with", "without"])
def test_staff_subscribes_confirms_and_unsubscribes(browser: Browser, demo: Demo, javascript: bool) -> None:
    context = browser.new_context(base_url=demo.url, java_script_enabled=javascript)
    page, address = context.new_page(), f"{javascript}-{ADDRESS}".lower()
    sign_in(page, demo, "site", SITE_ID, PATH)
    expect(page.locator("#state")).to_have_text("You get no digests of this study.")
    page.get_by_label("Address").fill(address)
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#state")).to_contain_text(f"A link was sent to {address}")
    open_mailed_link(page, address)
    page.get_by_role("button", name="Confirm this address").click()
    expect(page.locator("#state")).to_contain_text(f"Digests go to {address}.")
    page.get_by_role("button", name="End my subscription").click()
    expect(page.locator("#state")).to_have_text("You get no digests of this study.")
    context.close()


def test_the_subscription_and_the_outbox_are_accessible_and_fit(page: Page, demo: Demo) -> None:
    sign_in(page, demo, "coordinator", None, PATH)
    for address in (PATH, "/outbox"):
        page.goto(address)
        check_on_desk_and_phone(page)
    page.get_by_role("row").nth(1).get_by_role("link").click()
    check_on_desk_and_phone(page)


def test_an_address_that_is_none_is_named_and_kept(page: Page, demo: Demo, console_messages: list[str]) -> None:
    sign_in(page, demo, "coordinator", SITE_ID, PATH)
    page.get_by_label("Address").fill("nobody")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("Give a bare address of mail")
    expect(page.get_by_label("Address")).to_have_value("nobody")
    console_messages.clear()  # the browser reports the status 422
