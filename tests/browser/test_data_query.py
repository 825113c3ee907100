"""The form that explains a data query shows its sentence, which the browser asks of analytics."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from shared.testing.builders import facts
from shared.testing.builders import toxicity_facts as toxicity
from tests.api.support.study import StudyUnderTest, open_study
from tests.demo import SAME_ORIGIN_HEADERS, Demo

Violations = list[tuple[str, list[str]]]
LINK = "See the data query in its list"


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    with open_study(demo) as study:
        yield study


@pytest.fixture(scope="module")
def participant_id(study: StudyUnderTest) -> str:
    """A participant with an adverse event without a grade, about which a data query asks."""
    participant_id = study.wait_until_known(study.enroll_at("rome", facts.radiotherapy_started()))
    ungraded = toxicity.toxicity_assessed(5, toxicity.finding("3.0:0699", None))
    assert study.record_fact(participant_id, ungraded).status_code == 201
    study.wait_for_analytics()
    return participant_id


@pytest.fixture
def row(study: StudyUnderTest, participant_id: str) -> dict[str, str]:
    rows = study.get_analytics("queries.json", participant=participant_id, rule="ungraded_event").json()["rows"]
    return dict(rows[0])


def sign_in(page: Page, study: StudyUnderTest) -> None:
    token = study.authorization("site@rome")["Authorization"].removeprefix("Bearer ")
    page.request.post("/session", form={"token": token, "next": "/"}, headers=SAME_ORIGIN_HEADERS)


def form_address(study: StudyUnderTest, participant_id: str, key: str) -> str:
    return f"/followup/studies/{study.study_id}/participants/{participant_id}/facts/query.explained?query_key={key}"


@pytest.mark.parametrize("width", [390, 1280])
def test_form_shows_the_sentence_of_the_data_query(
    page: Page,
    study: StudyUnderTest,
    participant_id: str,
    row: dict[str, str],
    width: int,
    find_violations: Callable[[], Violations],
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    sign_in(page, study)
    page.goto(form_address(study, participant_id, row["query_key"]))
    expect(page.locator("[data-query-key]")).to_have_text(row["text"])
    assert find_violations() == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_role("link", name=LINK).click()
    expect(page.locator(f"[id='key-{participant_id}-{row['query_key']}']")).to_be_in_viewport()


def test_unknown_key_is_said_to_be_unknown(page: Page, study: StudyUnderTest, participant_id: str) -> None:
    sign_in(page, study)
    page.goto(form_address(study, participant_id, "0" * 64))
    expect(page.locator("[data-query-key]")).to_contain_text("This participant has no data query with this key.")


def test_sentence_is_text_and_no_markup(
    page: Page, study: StudyUnderTest, participant_id: str, row: dict[str, str]
) -> None:
    sign_in(page, study)
    forged = {"rows": [{**row, "text": "<img src=x onerror=alert(1)>"}], "next": None, "position": 1}
    page.route("**/queries.json*", lambda route: route.fulfill(json=forged))
    page.goto(form_address(study, participant_id, row["query_key"]))
    expect(page.locator("[data-query-key]")).to_have_text("<img src=x onerror=alert(1)>")
    assert page.locator("[data-query-key] img").count() == 0


@pytest.mark.parametrize("status", [403, 503])
def test_form_can_be_used_without_analytics(
    page: Page,
    study: StudyUnderTest,
    participant_id: str,
    row: dict[str, str],
    status: int,
    console_messages: list[str],
) -> None:
    sign_in(page, study)
    page.route("**/queries.json*", lambda route: route.fulfill(status=status, json={}))
    page.goto(form_address(study, participant_id, row["query_key"]))
    expect(page.locator("[data-query-key]")).to_have_text("The data query cannot be shown here now.")
    expect(page.get_by_role("link", name=LINK)).to_be_visible()
    expect(page.get_by_role("button", name="Record")).to_be_enabled()
    assert [message for message in console_messages if "Failed to load resource" not in message] == []
    console_messages.clear()


def test_link_leads_to_the_data_query_without_javascript(
    browser: Browser, base_url: str, study: StudyUnderTest, participant_id: str, row: dict[str, str]
) -> None:
    context = browser.new_context(base_url=base_url, java_script_enabled=False)
    page = context.new_page()
    sign_in(page, study)
    page.goto(form_address(study, participant_id, row["query_key"]))
    expect(page.locator("[data-query-key]")).to_be_empty()
    page.get_by_role("link", name=LINK).click()
    expect(page.get_by_role("main")).to_contain_text(row["text"])
    context.close()
