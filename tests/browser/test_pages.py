"""Pages that no other test opens, and lists that are long: on a desk in light colors, and on a phone in dark ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, Response, expect

from infra.reference.study import SITE_ID, STUDY_ID
from tests.browser.support.page_checks import PageChecks, check_on_desk_and_phone
from tests.demo import SAME_ORIGIN_HEADERS, SCREENING_DATA, Demo

ENROLLMENT, FOLLOW_UP, TOXICITY = (f"/{name}/studies/{STUDY_ID}" for name in ("enrollment", "followup", "toxicity"))
ANALYTICS = f"/analytics/studies/{STUDY_ID}"
MISSING = "participants/K7F2-9QXA-3"
PAGES = {
    "coordinator": [
        f"{ENROLLMENT}/participants",
        f"{ENROLLMENT}/participants/find",
        f"{ENROLLMENT}/participants/new",
        f"{ENROLLMENT}/recorded",
        f"{ENROLLMENT}/{{participant}}",
        f"{ENROLLMENT}/{{participant}}/facts/participant.baseline_recorded",
        f"{ENROLLMENT}/{{participant}}/events/{{event}}",
        f"{ENROLLMENT}/{{participant}}/corrections/{{event}}",
        f"{TOXICITY}/{{participant}}/facts/toxicity.assessed?after=enrollment=3",
        f"{TOXICITY}/{{participant}}/facts/toxicity.serious_event_reported",
        f"{FOLLOW_UP}/{{participant}}/facts/followup.recorded?after=enrollment=3",
        f"{FOLLOW_UP}/{{participant}}/facts/query.explained",
        f"{ANALYTICS}/worklist",
        f"{ANALYTICS}/worklist?state=missed",
        f"{ANALYTICS}/worklist?state=done_late&state=done",
        f"{ANALYTICS}/reminders",
        f"{ANALYTICS}/subscription",
    ],
    "investigator": [
        f"{ANALYTICS}/participants",
        f"{ANALYTICS}/{{participant}}",
        f"{ANALYTICS}/queries?state=all",
        f"{ANALYTICS}/operations",
        f"{ANALYTICS}/literature",
        f"{ANALYTICS}?literature=true&origin=diagnosed",
        f"{ENROLLMENT}/facts/study.accrual_closed",
        f"{ENROLLMENT}/facts/study.cut_taken",
        f"{ENROLLMENT}/facts/literature.study_recorded",
    ],
    "administrator": [
        "/enrollment/studies/new",
        f"{ENROLLMENT}/facts/study.protocol_amended",
        f"{ENROLLMENT}/facts/study.site_activated",
        f"{ENROLLMENT}/facts/study.site_closed",
        f"{ENROLLMENT}/facts/study.member_granted",
        f"{ENROLLMENT}/facts/study.member_revoked",
        f"{ENROLLMENT}/facts/study.closed",
    ],
}
"""Pages by the member who opens them."""
LESION = {"f-kind": "Metastasis", "f-body_site": "lung", "f-found_on": "2025-01"}
PageOf = Callable[[str], Page]
"""Returns the page in which the member of a role has signed in."""


@pytest.fixture(scope="module")
def page_of(browser: Browser, demo: Demo) -> Iterator[PageOf]:
    """Opens one browser for each role, and fails at the end if any of their pages had an error."""
    pages, checks = dict[str, Page](), PageChecks()

    def find(role: str) -> Page:
        if role not in pages:
            pages[role] = browser.new_context(base_url=demo.url).new_page()
            checks.watch(pages[role])
            sign_in(pages[role], demo, role)
        return pages[role]

    yield find
    for page in pages.values():
        page.context.close()
    assert checks.errors == []


def sign_in(page: Page, demo: Demo, role: str) -> None:
    form: dict[str, str | float | bool] = {
        "token": demo.token(role, SITE_ID if role == "coordinator" else None),
        "next": "/",
    }
    page.request.post("/session", form=form, headers=SAME_ORIGIN_HEADERS, max_redirects=0)


@pytest.fixture(scope="module")
def recorded(demo: Demo) -> dict[str, str]:
    """A participant whom the coordinator has enrolled, as part of an address, and the event of the screening."""
    facts = [
        {"type": "participant.screened", "data": SCREENING_DATA},
        {"type": "participant.consented", "data": {"signed_on": "2025-01-31", "form_version": "2.0"}},
        {"type": "participant.enrolled", "data": {"enrolled_on": "2025-01-31"}},
    ]
    answer = demo.register(*facts, role="coordinator")
    return {"participant": f"participants/{answer['participant_id']}", "event": answer["event_ids"][0]}


@pytest.mark.parametrize("role", PAGES)
def test_pages_are_accessible_and_fit(page_of: PageOf, recorded: dict[str, str], role: str) -> None:
    page = page_of(role)
    for address in PAGES[role]:
        response = page.goto(address.format(**recorded))
        assert response
        assert response.status == 200, address
        check_on_desk_and_phone(page)


def test_several_visits_and_their_refusal_are_accessible_and_fit(page_of: PageOf) -> None:
    page = page_of("coordinator")
    page.goto(f"{ANALYTICS}/worklist")
    page.get_by_role("checkbox", name=re.compile("^Choose")).first.check()
    page.get_by_role("button", name="Put off reminders of the chosen visits").click()
    check_on_desk_and_phone(page)
    page.get_by_label("First day on which reminders").fill("2 weeks")
    assert status_of_record(page, "Record for the ticked visits") == 422
    check_on_desk_and_phone(page)


def test_search_without_a_result_is_accessible_and_fits(page_of: PageOf) -> None:
    page = page_of("coordinator")
    page.goto(f"{ENROLLMENT}/participants/find")
    page.get_by_label("Participant number").fill("K7F2-9QXA-3")
    assert status_of_record(page, "Find") == 422
    check_on_desk_and_phone(page)


@pytest.mark.parametrize(
    ("role", "address", "status"),
    [
        ("administrator", f"{ENROLLMENT}/participants", 403),
        ("coordinator", f"{ENROLLMENT}/{MISSING}/facts/lesion.registered", 404),
        ("coordinator", f"{ANALYTICS}/{MISSING}", 404),
        ("coordinator", f"{ANALYTICS}/operations", 403),
    ],
)
def test_refused_pages_are_accessible_and_fit(page_of: PageOf, role: str, address: str, status: int) -> None:
    page = page_of(role)
    response = page.goto(address)
    assert response
    assert response.status == status
    check_on_desk_and_phone(page)


def status_of_record(page: Page, button: str = "Record") -> int:
    """Presses the button; returns the status of the answer."""
    with page.expect_navigation() as navigation:
        page.get_by_role("button", name=button, exact=True).click()
    response: Response | None = navigation.value
    assert response
    return response.status


def open_lesion_form(page: Page, participant: str, lesion: str = "L1") -> None:
    page.goto(f"{ENROLLMENT}/{participant}/facts/lesion.registered")
    page.locator("#f-lesion_id").fill(lesion)
    page.get_by_role("radio", name=LESION["f-kind"]).check()
    page.locator("#f-body_site").select_option(LESION["f-body_site"])
    page.locator("#f-found_on").fill(LESION["f-found_on"])


def test_form_that_is_behind_the_record_and_one_that_is_used_are_accessible_and_fit(
    page_of: PageOf, recorded: dict[str, str]
) -> None:
    """412 and 409: what was typed is kept, and the page says what was recorded meanwhile."""
    page = page_of("coordinator")
    late = page.context.new_page()
    for window, lesion in ((page, "L1"), (late, "L2")):
        open_lesion_form(window, recorded["participant"], lesion)
    key = page.locator("[name='form:key']").input_value()
    assert status_of_record(page) == 200
    assert status_of_record(late) == 412
    expect(late.locator("#f-found_on")).to_have_value(LESION["f-found_on"])
    check_on_desk_and_phone(late)
    late.locator("[name='form:key']").evaluate("(input, key) => { input.value = key; }", key)
    late.locator("#f-found_on").fill("2025-01-02")
    assert status_of_record(late) == 409
    check_on_desk_and_phone(late)
    late.close()


def test_form_of_a_participant_who_is_not_here_keeps_what_was_typed(page_of: PageOf, recorded: dict[str, str]) -> None:
    page = page_of("coordinator")
    open_lesion_form(page, recorded["participant"])
    form = page.locator("form.fact-form")
    form.evaluate("(form, action) => { form.action = action; }", f"{ENROLLMENT}/{MISSING}/facts/lesion.registered")
    assert status_of_record(page) == 404
    expect(page.locator("main")).to_contain_text(LESION["f-found_on"])
    check_on_desk_and_phone(page)


def test_form_whose_session_has_ended_keeps_what_was_typed(
    page_of: PageOf, demo: Demo, recorded: dict[str, str]
) -> None:
    page = page_of("coordinator")
    open_lesion_form(page, recorded["participant"])
    page.context.clear_cookies(name=re.compile("session"))
    assert status_of_record(page) == 401
    expect(page.locator("main")).to_contain_text(LESION["f-found_on"])
    check_on_desk_and_phone(page)
    sign_in(page, demo, "coordinator")
    assert status_of_record(page, "Go on") == 200
    expect(page.locator("#f-found_on")).to_have_value(LESION["f-found_on"])
