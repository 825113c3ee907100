"""The page of several visits records once under its key: Back, changed answers, Check after Record, and duplicates."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from shared.testing.builders import follow_up_facts
from tests.api.support.form_browser import FormBrowser, Page
from tests.api.support.study import StudyUnderTest, open_study
from tests.api.test_several_visits import ACKNOWLEDGED, SNOOZED, page_of, reminder_facts, treat_at
from tests.demo import Demo

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d Europe/Rome"


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    with open_study(demo) as study:
        yield study


@pytest.fixture
def participants(study: StudyUnderTest) -> list[str]:
    return sorted(treat_at(study, "rome") for _ in range(2))


def day_ahead(days: int) -> str:
    return (datetime.now(UTC) + timedelta(days)).date().isoformat()


def assert_leads_to_what_was_recorded(rome: FormBrowser, page: Page, participant_id: str, visit: int) -> None:
    """Asserts that the page tells the time of recording, and has links to the fact and to its correction."""
    label = f"{participant_id}, visit {visit}"
    assert re.search(f"{label} Recorded at {TIME}", page.text), page.text
    assert "What you changed since then is a correction." in page.text
    assert rome.open(page.parser.links[f"What this form recorded: {label}"]).status == 200
    assert rome.open(page.parser.links[f"Correct it: {label}"]).status == 200


def test_visit_that_is_unticked_after_recording_leads_to_its_correction(
    study: StudyUnderTest, rome: FormBrowser, participants: list[str]
) -> None:
    """W2: Back, untick a visit, Record. The change is not lost, and nothing says that it was recorded."""
    page = rome.open(page_of(study, ACKNOWLEDGED, *(f"{number}.1" for number in participants)))
    assert rome.press(page, "record").status == 200
    page.fill({"visit": [f"{participants[1]}.1"]})
    again = rome.press(page, "record")
    assert again.status == 409
    assert_leads_to_what_was_recorded(rome, again, participants[0], 1)
    assert [reminder_facts(study, number) for number in participants] == [[ACKNOWLEDGED], [ACKNOWLEDGED]]


def test_changed_day_and_another_tick_after_recording_record_nothing_about_anybody(
    study: StudyUnderTest, rome: FormBrowser, participants: list[str]
) -> None:
    page = rome.open(page_of(study, SNOOZED, *(f"{number}.2" for number in participants)))
    page.fill({"visit": [f"{participants[0]}.2"], "until": day_ahead(5)})
    assert rome.press(page, "record").status == 200
    page.fill({"visit": [f"{number}.2" for number in participants], "until": day_ahead(3)})
    again = rome.press(page, "record")
    assert (again.status, again.value("until")) == (409, day_ahead(3))
    assert_leads_to_what_was_recorded(rome, again, participants[0], 2)
    assert day_ahead(5) in again.text
    assert [reminder_facts(study, number) for number in participants] == [[SNOOZED], []]


def test_check_after_recording_says_that_it_was_recorded(
    study: StudyUnderTest, rome: FormBrowser, participants: list[str]
) -> None:
    page = rome.open(page_of(study, SNOOZED, f"{participants[0]}.2"))
    assert rome.press(page, "record").status == 200
    checked = rome.press(page, "check")
    assert (checked.status, "Nothing was recorded yet" in checked.text) == (200, False)
    assert re.search(f"Recorded at {TIME}", checked.text)
    assert "was recorded already" in checked.text
    page.fill({"until": day_ahead(3)})
    changed = rome.press(page, "check")
    assert changed.status == 200
    assert_leads_to_what_was_recorded(rome, changed, participants[0], 2)
    assert reminder_facts(study, participants[0]) == [SNOOZED]


def test_page_of_which_a_part_was_recorded_says_so(
    study: StudyUnderTest, rome: FormBrowser, participants: list[str]
) -> None:
    """A refusal in between leaves other participants recorded; here another client has used the key of the second."""
    page = rome.open(page_of(study, SNOOZED, *(f"{number}.2" for number in participants)))
    key = f"{page.value('form:key')}.{participants[1]}"
    contact = follow_up_facts.vital_status_confirmed("2024-05-01")
    assert study.record_fact(participants[1], contact, Idempotency_Key=key).status_code == 201
    page.parser.controls = [row for row in page.parser.controls if row["name"] != "version"]
    partial = rome.press(page, "record")
    assert "Not everything was recorded" in partial.text, partial.text
    assert [reminder_facts(study, number) for number in participants] == [[SNOOZED], []]
    checked = rome.press(partial, "check")
    assert re.search(f"Recorded at {TIME}", checked.text), checked.text
    assert "The other visits are not recorded yet." in checked.text


def test_question_about_one_equal_fact_is_no_answer_about_another(
    study: StudyUnderTest, rome: FormBrowser, participants: list[str]
) -> None:
    """W3: an equal fact asks for one more click, also one that is ticked after the question."""
    for number in participants:
        assert rome.press(rome.open(page_of(study, ACKNOWLEDGED, f"{number}.1")), "record").status == 200
    page = rome.open(page_of(study, ACKNOWLEDGED, *(f"{number}.1" for number in participants)))
    page.fill({"visit": [f"{participants[0]}.1"]})
    question = rome.press(page, "record")
    assert (question.status, question.text.count("An equal fact stands already")) == (422, 2)
    question.fill({"visit": [f"{number}.1" for number in participants]})
    second = rome.press(question, "record")
    assert (second.status, "Nothing was recorded" in second.text) == (422, True)
    assert [reminder_facts(study, number) for number in participants] == [[ACKNOWLEDGED], [ACKNOWLEDGED]]
    assert rome.press(second, "record").status == 200
    assert [reminder_facts(study, number) for number in participants] == [[ACKNOWLEDGED] * 2, [ACKNOWLEDGED] * 2]


def test_two_pages_at_once_record_one_fact_and_show_it_to_the_other_page(
    study: StudyUnderTest, rome: FormBrowser
) -> None:
    """W3: also where a record changed after the slower page's request had read it."""
    for _ in range(5):
        number = treat_at(study, "rome")
        pages = [rome.open(page_of(study, ACKNOWLEDGED, f"{number}.{visit}")) for visit in (1, 2)]
        with ThreadPoolExecutor(2) as threads:
            answers = list(threads.map(lambda page: rome.press(page, "record"), pages))
        assert sorted(answer.status for answer in answers) == [200, 412]
        stale = next(answer for answer in answers if answer.status == 412)
        assert f"{number}: Reminder acknowledged" in " ".join(stale.parser.links)
        assert rome.press(stale, "record").status == 200
        assert reminder_facts(study, number) == [ACKNOWLEDGED, ACKNOWLEDGED]
