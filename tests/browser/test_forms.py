"""Forms in a browser: by keyboard alone, on a phone and a desk, with and without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from infra.reference.study import SITE_ID, STUDY_ID
from tests.demo import SAME_ORIGIN_HEADERS, SCREENING_DATA, Demo

Violations = list[tuple[str, list[str]]]
REFUSED = "Failed to load resource: the server responded with a status of 422 (Unprocessable Entity)"
"""The browser's own message about a form that is shown again."""


@pytest.fixture(scope="session")
def participant_id(demo: Demo) -> str:
    facts = [
        {"type": "participant.screened", "data": SCREENING_DATA},
        {"type": "participant.consented", "data": {"signed_on": "2025-01-31", "form_version": "2.0"}},
        {"type": "participant.enrolled", "data": {"enrolled_on": "2025-01-31"}},
    ]
    return str(demo.register(*facts)["participant_id"])


@pytest.fixture(params=[390, 1280], ids=["phone", "desk"])
def width(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def sign_in(context: BrowserContext, demo: Demo) -> None:
    form: dict[str, str | float | bool] = {"token": demo.token("site", SITE_ID), "next": "/"}
    context.request.post(f"{demo.url}/session", form=form, headers=SAME_ORIGIN_HEADERS, max_redirects=0)


@pytest.fixture
def site_page(page: Page, demo: Demo, width: int) -> Page:
    """The browser of the site's staff."""
    page.set_viewport_size({"width": width, "height": 900})
    sign_in(page.context, demo)
    return page


def test_refused_form_leads_the_keyboard_to_the_summary_and_to_the_field(
    site_page: Page,
    participant_id: str,
    find_violations: Callable[[], Violations],
    console_messages: list[str],
) -> None:
    site_page.goto(f"/enrollment/studies/{STUDY_ID}/participants/{participant_id}/facts/radiotherapy.started")
    site_page.get_by_role("button", name="Record").click()
    assert site_page.title().startswith("Error:")
    expect(site_page.locator("#summary")).to_be_focused()  # autofocus waits until the page is drawn
    assert find_violations() == []
    site_page.keyboard.press("Tab")
    site_page.keyboard.press("Enter")
    assert site_page.url.endswith("#f-started_on")
    assert console_messages == [REFUSED]
    console_messages.clear()


def test_enter_in_a_text_field_records_nothing(site_page: Page, participant_id: str) -> None:
    """F3."""
    address = f"/enrollment/studies/{STUDY_ID}/participants/{participant_id}/facts/participant.withdrawn"
    site_page.goto(address)
    site_page.get_by_label("Withdrawn on").fill("2025-01-31")
    site_page.get_by_role("radio", name=re.compile("^Follow-up")).check()
    site_page.get_by_label("Withdrawn on").press("Enter")
    assert site_page.url.endswith(address)
    assert site_page.get_by_text("Nothing was recorded yet.").is_visible()


@pytest.fixture(params=[True, False], ids=["with JavaScript", "without JavaScript"])
def keyboard_page(browser: Browser, demo: Demo, request: pytest.FixtureRequest) -> Iterator[Page]:
    context = browser.new_context(base_url=demo.url, java_script_enabled=request.param)
    sign_in(context, demo)
    yield context.new_page()
    context.close()


def tab_to(page: Page, name: str) -> None:
    """Presses Tab until the control of this name has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.locator(f"[name='{name}']:focus").count():
            return
    raise AssertionError(f"Tab does not reach {name}")


def test_lesion_is_registered_by_keyboard_alone(keyboard_page: Page, participant_id: str) -> None:
    page = keyboard_page
    page.goto(f"/enrollment/studies/{STUDY_ID}/participants/{participant_id}/facts/lesion.registered")
    tab_to(page, "lesion_id")
    tab_to(page, "kind")
    page.keyboard.press("Space")
    tab_to(page, "body_site")
    page.keyboard.type("Lung")
    tab_to(page, "found_on")
    page.keyboard.type("2025-01")
    tab_to(page, "size_mm")
    page.keyboard.type("12,5")
    tab_to(page, "record")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/events/"))
    assert "12.5 mm" in page.inner_text("main")
    assert page.get_by_role("link", name="Correct or void").is_visible()


@pytest.fixture
def scripted_page(site_page: Page) -> Page:
    """A page that counts how often the browser loads a page anew."""
    site_page.add_init_script("sessionStorage.loads = Number(sessionStorage.loads || 0) + 1")
    return site_page


def load_count(page: Page) -> int:
    return int(page.evaluate("sessionStorage.loads"))


def test_rows_are_added_and_removed_in_place(
    scripted_page: Page, participant_id: str, find_violations: Callable[[], Violations]
) -> None:
    """With JavaScript the page stays, and its rows are those that the server would have shown."""
    page = scripted_page
    page.goto(f"/enrollment/studies/{STUDY_ID}/participants/{participant_id}/facts/systemic_therapy.started")
    before = load_count(page)
    page.locator("[name='agents.0.name']").fill("Carboplatin")
    page.get_by_role("button", name="Add to drugs").click()
    second = page.locator("[name='agents.1.name']")
    second.wait_for()
    assert page.evaluate("document.activeElement.name") == "agents.1.name"
    assert page.locator("[name='agents.0.name']").input_value() == "Carboplatin"
    second.fill("Paclitaxel")
    page.get_by_role("button", name="Remove drug 1").click()
    page.locator("[name='agents.0.name']").wait_for(state="detached")
    assert second.input_value() == "Paclitaxel"
    assert load_count(page) == before
    assert find_violations() == []


def test_form_tells_before_the_session_ends(site_page: Page, participant_id: str) -> None:
    """W6: nobody loses a session without a word; a key that is pressed lets it go on."""
    site_page.route("**/session/renew", lambda route: route.fulfill(status=204))
    site_page.clock.install()
    site_page.goto(f"/enrollment/studies/{STUDY_ID}/participants/{participant_id}/facts/lesion.registered")
    status = site_page.locator("#form-status")
    site_page.clock.run_for(57 * 60_000)
    expect(status).to_have_text("")
    site_page.clock.run_for(2 * 60_000)
    expect(status).to_contain_text("Your session ends soon")
    site_page.keyboard.press("Shift")
    site_page.clock.run_for(60_000)
    expect(status).to_have_text("")


def test_form_tells_before_the_12_hours_of_a_session_are_over(site_page: Page, participant_id: str) -> None:
    """W6, WCAG 2.2.1: activity does not put this end off; another sign-in in another tab does."""
    seconds_left = [660, 410, 170, 12 * 3600]  # at minutes 1, 5, 9 and, as the page warns, 10
    site_page.route(
        "**/session/renew",
        lambda route: route.fulfill(status=204, headers={"Quartal-Session-Ends-In": str(seconds_left.pop(0))}),
    )
    site_page.clock.install()
    site_page.goto(f"/enrollment/studies/{STUDY_ID}/participants/{participant_id}/facts/lesion.registered")
    status, link = site_page.locator("#form-status"), site_page.get_by_role("link", name="Sign in again")
    for _ in range(8):
        site_page.keyboard.press("Shift")
        site_page.clock.run_for(60_000)
        expect(status).to_have_text("")
    site_page.clock.run_for(60_000)
    expect(status).to_contain_text("ends soon, 12 hours after you signed in")
    expect(status).to_contain_text("sign in again in another tab, then go on here")
    expect(link).to_have_attribute("href", "/session/sign-in?next=/session")
    site_page.clock.run_for(60_000)
    expect(status).to_have_text("")
    expect(link).to_have_count(0)
    assert seconds_left == []


@pytest.mark.parametrize("status", [401, 503])
def test_form_renews_the_session_after_an_answer_that_passes(
    site_page: Page, participant_id: str, console_messages: list[str], status: int
) -> None:
    """W6: a service that was down for a moment, and a sign-in in another tab, let the session go on."""
    statuses = [status, 204]
    answers = list[int]()

    def answer(route: Route) -> None:
        answers.append(statuses.pop(0) if statuses else 204)
        route.fulfill(status=answers[-1])

    site_page.route("**/session/renew", answer)
    site_page.clock.install()
    site_page.goto(f"/enrollment/studies/{STUDY_ID}/participants/{participant_id}/facts/lesion.registered")
    site_page.clock.run_for(60_000)
    expect(site_page.locator("#form-status")).to_have_text(
        re.compile("Your session has ended" if status == 401 else "^$")
    )
    site_page.clock.run_for(60_000)
    expect(site_page.locator("#form-status")).to_have_text("")
    assert answers == [status, 204]
    console_messages.clear()


def test_form_asks_no_more_where_no_session_can_be_renewed(
    site_page: Page, participant_id: str, console_messages: list[str]
) -> None:
    addresses = list[str]()

    def answer(route: Route) -> None:
        addresses.append(route.request.url)
        route.fulfill(status=404)

    site_page.route("**/session/renew", answer)
    site_page.clock.install()
    site_page.goto(f"/enrollment/studies/{STUDY_ID}/participants/{participant_id}/facts/lesion.registered")
    for _ in range(9):
        site_page.clock.run_for(60_000)
    assert len(addresses) == 1
    console_messages.clear()


def test_form_tells_when_the_session_has_ended(
    site_page: Page, participant_id: str, console_messages: list[str]
) -> None:
    """W6: what was typed stays, and the page says what to do."""
    site_page.route("**/session/renew", lambda route: route.fulfill(status=401))
    site_page.clock.install()
    site_page.goto(f"/enrollment/studies/{STUDY_ID}/participants/{participant_id}/facts/lesion.registered")
    site_page.locator("[name='found_on']").fill("2025-01")
    site_page.clock.run_for(4 * 60_000)
    expect(site_page.locator("#form-status")).to_contain_text("Your session has ended. Nothing is lost")
    assert site_page.locator("[name='found_on']").input_value() == "2025-01"
    console_messages.clear()
