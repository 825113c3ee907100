"""Reminders of several visits are put off or acknowledged by one form, without JavaScript."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from shared.testing.builders import facts
from shared.web.authentication import SESSION
from shared.web.cookies import Cookies
from tests.api.support.clock import write_days
from tests.api.support.form_browser import FormBrowser, form_browser, pages_of, recorded_types, sign_in
from tests.api.support.study import ROME_USER, StudyUnderTest, open_study
from tests.api.test_worklist import OVERDUE_DAY
from tests.demo import Demo

ACKNOWLEDGED, SNOOZED = "reminder.acknowledged", "reminder.snoozed"


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    with open_study(demo) as study:
        yield study


@pytest.fixture
def rome(study: StudyUnderTest) -> Iterator[FormBrowser]:
    with form_browser(study, ROME_USER) as browser:
        yield browser


@pytest.fixture
def participants(study: StudyUnderTest) -> list[str]:
    return [treat_at(study, "rome") for _ in range(2)]


def treat_at(study: StudyUnderTest, site: str) -> str:
    number = study.enroll_at(site, facts.radiotherapy_started(), facts.radiotherapy_completed())
    return study.wait_until_known(number)


def page_of(study: StudyUnderTest, fact: str, *visits: str) -> str:
    return f"{pages_of(study, 'followup')}/visits/{fact}?{urlencode({'visit': visits}, doseq=True)}"


def reminder_facts(study: StudyUnderTest, participant_id: str) -> list[str]:
    return [name for name in recorded_types(study, participant_id, "followup") if name.startswith("reminder.")]


def test_chosen_visits_are_acknowledged_at_once(
    study: StudyUnderTest, rome: FormBrowser, participants: list[str]
) -> None:
    page = rome.open(page_of(study, ACKNOWLEDGED, *(f"{number}.1" for number in participants)))
    assert page.status == 200
    assert sorted(page.choices("visit")) == sorted(f"{number}.1" for number in participants)
    recorded = rome.press(page, "record")
    assert recorded.status == 200
    assert all(number in recorded.text for number in participants)
    assert [reminder_facts(study, number) for number in participants] == [[ACKNOWLEDGED], [ACKNOWLEDGED]]


def test_double_click_records_once(study: StudyUnderTest, rome: FormBrowser, participants: list[str]) -> None:
    page = rome.open(page_of(study, ACKNOWLEDGED, *(f"{number}.1" for number in participants)))
    first, second = rome.press(page, "record"), rome.press(page, "record")
    assert (first.status, second.status) == (200, 200)
    assert [reminder_facts(study, number) for number in participants] == [[ACKNOWLEDGED], [ACKNOWLEDGED]]


def test_equal_facts_that_stand_ask_for_one_more_click_and_are_recorded(
    study: StudyUnderTest, rome: FormBrowser, participants: list[str]
) -> None:
    """W3: nothing is dropped silently."""
    first, second = participants
    assert rome.press(rome.open(page_of(study, ACKNOWLEDGED, f"{first}.1")), "record").status == 200
    question = rome.press(rome.open(page_of(study, ACKNOWLEDGED, f"{first}.1", f"{second}.1")), "record")
    assert (question.status, question.text.count("An equal fact stands already")) == (422, 2)
    assert "Nothing was recorded" in question.text
    assert [reminder_facts(study, number) for number in participants] == [[ACKNOWLEDGED], []]
    assert rome.press(question, "record").status == 200
    assert [reminder_facts(study, number) for number in participants] == [[ACKNOWLEDGED] * 2, [ACKNOWLEDGED]]


def test_visit_that_was_put_off_is_put_off_again_when_its_reminders_come_again(
    demo: Demo,
) -> None:
    """Without a day, each snooze lasts 14 days from its own day of recording: two equal facts say two things."""
    with open_study(demo) as study, form_browser(study, ROME_USER) as rome:
        participant_id = treat_at(study, "rome")
        address = page_of(study, SNOOZED, f"{participant_id}.2")
        assert rome.press(rome.open(address), "record").status == 200
        write_days(demo, study.study_id, 15)
        question = rome.press(rome.open(address), "record")
        assert (question.status, "An equal fact stands already" in question.text) == (422, True)
        assert rome.press(question, "record").status == 200
        assert reminder_facts(study, participant_id) == [SNOOZED, SNOOZED]


def test_check_and_enter_say_what_is_wrong_and_record_nothing(
    study: StudyUnderTest, rome: FormBrowser, participants: list[str]
) -> None:
    page = rome.open(page_of(study, SNOOZED, f"{participants[0]}.2"))
    assert page.parser.buttons[0][0] == "check"
    for until, message in (("30.1.2025", "whole day"), ("2100-01-01", "at most 14 days"), ("2024-01-01", "is over")):
        page.fill({"until": until})
        page = rome.press(page, *page.parser.buttons[0])
        assert (page.status, message in page.text, "Nothing was recorded" in page.text) == (200, True, True), until
        assert page.value("until") == until
    page.fill({"until": ""})
    checked = rome.press(page, "check")
    assert (checked.status, "Nothing is wrong with these answers" in checked.text) == (200, True)
    checked.fill({"visit": []})
    assert "Tick at least one" in rome.press(checked, "check").text
    assert reminder_facts(study, participants[0]) == []


def test_wrong_visit_is_said_at_its_box_and_not_at_the_day(
    study: StudyUnderTest, rome: FormBrowser, participants: list[str]
) -> None:
    page = rome.press(rome.open(page_of(study, SNOOZED, f"{participants[0]}.900")), "record")
    assert page.status == 422
    assert 'id="f-visit-1-errors"' in page.response.text
    assert 'id="f-until-errors"' not in page.response.text


def test_second_tab_shows_what_was_recorded_meanwhile(
    study: StudyUnderTest, rome: FormBrowser, participants: list[str]
) -> None:
    """W3: the page knows the version of each participant's record, as the form of one fact does."""
    address = page_of(study, SNOOZED, *(f"{number}.2" for number in participants))
    first, second = rome.open(address), rome.open(address)
    first.fill({"visit": [f"{participants[1]}.2"]})
    second.fill({"until": (datetime.now(UTC) + timedelta(3)).date().isoformat()})
    assert rome.press(first, "record").status == 200
    checked, stale = rome.press(second, "check"), rome.press(second, "record")
    assert (checked.status, stale.status) == (200, 412)
    for page in (checked, stale):
        assert "Since you opened this page, this was recorded" in page.text
        assert [text for text in page.parser.links if text.startswith(f"{participants[1]}: Reminder put off")]
    assert [reminder_facts(study, number) for number in participants] == [[], [SNOOZED]]
    assert rome.press(stale, "record").status == 200
    assert [reminder_facts(study, number) for number in participants] == [[SNOOZED], [SNOOZED, SNOOZED]]


def test_signed_out_page_names_each_visit_once_and_keeps_the_form(
    study: StudyUnderTest, rome: FormBrowser, participants: list[str]
) -> None:
    page = rome.open(page_of(study, SNOOZED, *(f"{number}.2" for number in participants)))
    page.fill({"visit": [f"{participants[0]}.2"], "until": "next week"})
    rome.http.cookies.delete(Cookies(plain_http=True, port=study.demo.port).name(SESSION))
    signed_out = rome.press(page, "record")
    listed = signed_out.response.text.count(f"<dd>{participants[0]}.2</dd>")
    assert (signed_out.status, listed) == (401, 1)
    assert "next week" in signed_out.text
    assert not {"Listed", "Version"} & set(signed_out.text.split())
    sign_in(rome.http, study, ROME_USER)
    again = rome.press(signed_out, "check")
    assert (again.status, again.value("until")) == (200, "next week")
    assert len(again.choices("visit")) == 2


def test_only_ticked_visits_are_put_off_until_the_day_that_is_given(
    study: StudyUnderTest, rome: FormBrowser, participants: list[str]
) -> None:
    page = rome.open(page_of(study, SNOOZED, *(f"{number}.2" for number in participants)))
    page.fill({"visit": [f"{participants[0]}.2"], "until": "next week"})
    again = rome.press(page, "record")
    assert (again.status, "Give the whole day" in again.text) == (422, True)
    assert again.value("until") == "next week"
    again.fill({"until": "2100-01-01"})
    again = rome.press(again, "record")
    assert (again.status, "at most 14 days" in again.text) == (422, True)
    assert [reminder_facts(study, number) for number in participants] == [[], []]
    again.fill({"until": ""})
    assert rome.press(again, "record").status == 200
    assert [reminder_facts(study, number) for number in participants] == [[SNOOZED], []]


def test_nothing_is_recorded_without_a_ticked_visit_or_the_button(
    study: StudyUnderTest, rome: FormBrowser, participants: list[str]
) -> None:
    assert "No visit was chosen" in rome.open(page_of(study, SNOOZED)).text
    page = rome.open(page_of(study, SNOOZED, f"{participants[0]}.1"))
    assert rome.press(page, "check").status == 200
    page.fill({"visit": []})
    refusal = rome.press(page, "record")
    assert (refusal.status, "Tick at least one" in refusal.text) == (422, True)
    assert reminder_facts(study, participants[0]) == []


def test_visits_of_other_sites_do_not_exist_and_other_roles_are_refused(
    study: StudyUnderTest, rome: FormBrowser, participants: list[str]
) -> None:
    foreign = treat_at(study, "milan")
    own = f"{participants[0]}.1"
    assert rome.open(page_of(study, ACKNOWLEDGED, own, f"{foreign}.1")).status == 404
    page = rome.open(page_of(study, ACKNOWLEDGED, own))
    page.parser.controls.append({"tag": "hidden", "name": "visit", "value": f"{foreign}.1"})
    assert rome.press(page, "record").status == 404
    assert reminder_facts(study, participants[0]) == []
    with form_browser(study, "monitor") as monitor:
        assert monitor.open(page_of(study, ACKNOWLEDGED, own)).status == 403
    assert rome.open(page_of(study, "followup.recorded", own)).status == 404
    assert rome.open(page_of(study, ACKNOWLEDGED, "K7F2-9QXA-4.1")).status == 422
    assert rome.open(page_of(study, ACKNOWLEDGED, *[own] * 101)).status == 422


def test_worklist_leads_to_forms_with_the_visit_filled_in(
    study: StudyUnderTest, rome: FormBrowser, participants: list[str]
) -> None:
    page = rome.open(f"/analytics/studies/{study.study_id}/worklist?on={OVERDUE_DAY}&participant={participants[0]}")
    addresses = [urlsplit(address) for address in page.parser.addresses if "/facts/" in address]
    assert [address.path.rpartition("/")[2] for address in addresses] == [
        "followup.recorded",
        "visit.scheduled",
        "toxicity.assessed",
        "followup.visit_missed",
        SNOOZED,
        ACKNOWLEDGED,
    ]
    for address in addresses:
        form = rome.open(address.geturl())
        assert form.status == 200
        for name, (value,) in parse_qs(address.query).items():
            assert form.value(name) == value, address
    assert page.choices("visit") == [f"{participants[0]}.1"]
    assert pages_of(study, "enrollment") + "/participants" in page.parser.addresses
    with form_browser(study, "monitor") as monitor:
        page = monitor.open(f"/analytics/studies/{study.study_id}/worklist?on={OVERDUE_DAY}")
        assert page.status == 200
        assert not [address for address in page.parser.addresses if "/facts/" in address]
        assert page.choices("visit") == []
