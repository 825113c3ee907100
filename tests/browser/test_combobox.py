"""Terms of CTCAE appear while words are typed: by keyboard, by mouse, with a slow network, and without JavaScript."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from shared.terminology.ctcae import load_dictionary
from shared.testing.builders import facts
from tests.api.support.study import StudyUnderTest, open_study
from tests.demo import SAME_ORIGIN_HEADERS, Demo

Violations = list[tuple[str, list[str]]]
NAUSEA, NAUSEA_OF_VERSION_5 = "3.0:0207", "5.0:0242"


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    plan = {"dictionary": "ctcae-3.0", "checklist": ["3.0:0150"]}
    with open_study(demo, toxicity=plan) as study:
        yield study


@pytest.fixture(scope="module")
def participant_id(study: StudyUnderTest) -> str:
    return study.wait_until_known(study.enroll_at("rome", facts.radiotherapy_started()))


def sign_in(page: Page, study: StudyUnderTest, user: str = "site@rome") -> None:
    token = study.authorization(user)["Authorization"].removeprefix("Bearer ")
    page.request.post("/session", form={"token": token, "next": "/"}, headers=SAME_ORIGIN_HEADERS)


@pytest.fixture
def report(page: Page, study: StudyUnderTest, participant_id: str) -> Page:
    """The first report of a serious event; the page counts how often the browser loads it anew."""
    page.add_init_script("sessionStorage.loads = Number(sessionStorage.loads || 0) + 1")
    sign_in(page, study)
    page.goto(f"/toxicity/studies/{study.study_id}/participants/{participant_id}/facts/toxicity.serious_event_reported")
    return page


def load_count(page: Page) -> int:
    return int(page.evaluate("sessionStorage.loads"))


def term_field(page: Page) -> Locator:
    return page.get_by_role("combobox", name="CTCAE term")


def options(page: Page) -> Locator:
    return page.get_by_role("listbox").get_by_role("option")


def active_option(page: Page) -> Locator:
    return page.locator(f"#{term_field(page).get_attribute('aria-activedescendant')}")


def test_term_is_chosen_by_keyboard_alone(report: Page) -> None:
    """Arrow keys move, Enter chooses and sends nothing, Escape closes and keeps the words."""
    field = term_field(report)
    field.focus()
    expect(field).to_have_attribute("aria-expanded", "false")
    report.keyboard.type("naus")
    expect(options(report).first).to_have_text("Nausea")
    expect(field).to_have_attribute("aria-expanded", "true")
    assert field.get_attribute("aria-activedescendant") is None
    report.keyboard.press("Escape")
    expect(field).to_have_attribute("aria-expanded", "false")
    expect(field).to_have_value("naus")
    report.keyboard.press("ArrowDown")
    expect(options(report).first).to_be_visible()
    report.keyboard.press("ArrowDown")
    expect(active_option(report)).to_have_text("Nausea")
    expect(active_option(report)).to_have_attribute("aria-selected", "true")
    report.keyboard.press("Enter")
    expect(field).to_have_value(NAUSEA)
    expect(field).to_be_focused()
    expect(field).to_have_attribute("aria-expanded", "false")
    expect(report.get_by_role("status").filter(has_text="Nausea is chosen.")).to_be_visible()
    assert load_count(report) == 1
    report.keyboard.press("Enter")  # no list is open: Enter checks the form
    expect(report.get_by_role("heading", name="Some answers are not right yet")).to_be_visible()
    assert load_count(report) == 2
    expect(term_field(report)).to_have_value(NAUSEA)
    expect(report.locator(".field", has=term_field(report))).to_contain_text("Nausea")


def test_arrow_keys_go_round_the_list_and_other_keys_return_to_the_text(report: Page) -> None:
    field = term_field(report)
    field.press_sequentially("pain")
    expect(options(report)).to_have_count(20)
    field.press("ArrowUp")
    expect(options(report).last).to_have_attribute("aria-selected", "true")
    expect(options(report).last).to_be_in_viewport()
    field.press("ArrowDown")
    expect(options(report).first).to_have_attribute("aria-selected", "true")
    expect(report.locator("[role=option][aria-selected=true]")).to_have_count(1)
    field.press("Home")
    assert field.get_attribute("aria-activedescendant") is None
    field.press("Enter")  # nothing is marked: the list closes, and nothing is sent
    expect(field).to_have_attribute("aria-expanded", "false")
    expect(field).to_have_value("pain")
    assert load_count(report) == 1


def test_term_is_chosen_by_mouse(report: Page) -> None:
    field = term_field(report)
    field.press_sequentially("naus")
    options(report).get_by_text("Nausea", exact=True).click()
    expect(field).to_have_value(NAUSEA)
    expect(field).to_be_focused()
    expect(report.get_by_role("listbox")).to_be_hidden()


def test_number_of_terms_is_said(report: Page) -> None:
    field, status = term_field(report), report.locator(".term-status")
    field.press_sequentially("naus")
    expect(status).to_have_text("1 term for these words. Choose with the arrow keys and Enter.")
    field.fill("pain")
    expect(status).to_contain_text("The first 20 terms for these words.")
    field.fill("zzz")
    expect(status).to_have_text("No term for these words.")
    expect(field).to_have_attribute("aria-expanded", "false")
    report.keyboard.press("Tab")
    expect(status).to_be_empty()


def test_slow_answer_to_earlier_letters_is_dropped(report: Page) -> None:
    early_requests: list[Route] = []

    def hold(route: Route) -> None:
        if "q=na&" in route.request.url:
            early_requests.append(route)
        else:
            route.continue_()

    report.route("**/terms?*", hold)
    field = term_field(report)
    with report.expect_request(lambda request: "q=na&" in request.url):
        field.press_sequentially("na")
    with report.expect_response(lambda response: "q=naus&" in response.url):
        field.press_sequentially("us")
    expect(options(report)).to_have_text(["Nausea"])
    early_requests[0].fulfill(json={"rows": [{"term": "3.0:0001", "name": "Another term"}]})
    report.wait_for_timeout(300)
    expect(options(report)).to_have_text(["Nausea"])


def test_terms_that_cannot_be_found_lead_to_the_button(report: Page, console_messages: list[str]) -> None:
    report.route("**/terms?*", lambda route: route.fulfill(status=401, json={}))
    term_field(report).press_sequentially("naus")
    expect(report.locator(".term-status")).to_have_text("Terms cannot be found here now. Press Find.")
    assert [message for message in console_messages if "401" not in message] == []
    console_messages.clear()


def test_list_and_button_find_the_same_terms(report: Page) -> None:
    field = term_field(report)
    field.press_sequentially("pain")
    expect(options(report)).to_have_count(20)
    offered = options(report).all_inner_texts()
    report.get_by_role("button", name="Find: CTCAE term").click()
    radio_labels = report.get_by_role("group", name="Terms for these words").locator("label").all_inner_texts()
    assert [text.strip() for text in radio_labels] == offered
    term_field(report).press_sequentially("ful")  # other words: the choices for the earlier ones go
    expect(report.get_by_role("group", name="Terms for these words")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_open_list_is_accessible_and_fits(
    report: Page, width: int, scheme: Literal["light", "dark"], find_violations: Callable[[], Violations]
) -> None:
    report.set_viewport_size({"width": width, "height": 760})
    report.emulate_media(color_scheme=scheme)
    term_field(report).press_sequentially("pain")
    expect(options(report)).to_have_count(20)
    expect(report.get_by_role("listbox")).to_be_in_viewport(ratio=0.99)
    report.keyboard.press("ArrowDown")
    assert find_violations() == []
    assert report.evaluate("document.documentElement.scrollWidth") <= width
    box, field_box = report.get_by_role("listbox").bounding_box(), term_field(report).bounding_box()
    assert box
    assert field_box
    assert (round(box["x"]), round(box["width"])) == (round(field_box["x"]), round(field_box["width"]))
    assert 0 <= box["y"] - (field_box["y"] + field_box["height"]) < 12
    heights = options(report).evaluate_all("options => options.map(option => option.getBoundingClientRect().height)")
    assert min(heights) >= 24


def test_row_that_was_added_in_place_offers_terms(page: Page, study: StudyUnderTest, participant_id: str) -> None:
    sign_in(page, study)
    page.goto(f"/toxicity/studies/{study.study_id}/participants/{participant_id}/facts/toxicity.assessed")
    page.get_by_role("button", name="Add to findings").click()
    expect(page.locator("[name='findings.1.term']")).to_be_focused()
    page.keyboard.type("naus")
    expect(options(page)).to_have_text(["Nausea"])
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("[name='findings.1.term']")).to_have_value(NAUSEA)


def test_checklist_offers_terms_of_the_chosen_dictionary(page: Page, study: StudyUnderTest) -> None:
    sign_in(page, study, "administrator")
    page.goto("/enrollment/studies/new")
    page.get_by_role("button", name="Add to checklist").click()
    page.locator("[name='protocol.toxicity.dictionary'][value='ctcae-5.0']").check()
    page.locator("[name='protocol.toxicity.checklist.0']").press_sequentially("naus")
    options(page).first.click()
    chosen = page.locator("[name='protocol.toxicity.checklist.0']").input_value()
    assert load_dictionary("ctcae-5.0").terms[chosen].name == "Nausea"


def test_field_without_javascript_is_a_text_field_with_a_button(
    browser: Browser, base_url: str, study: StudyUnderTest, participant_id: str
) -> None:
    context = browser.new_context(base_url=base_url, java_script_enabled=False)
    page = context.new_page()
    sign_in(page, study)
    page.goto(f"/toxicity/studies/{study.study_id}/participants/{participant_id}/facts/toxicity.serious_event_reported")
    assert page.get_by_role("combobox", name="CTCAE term").count() == 0
    page.get_by_role("textbox", name="CTCAE term").fill("naus")
    page.get_by_role("button", name="Find: CTCAE term").click()
    page.get_by_role("radio", name="Nausea").check()
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.get_by_role("radio", name="Nausea")).to_be_checked()
    context.close()
