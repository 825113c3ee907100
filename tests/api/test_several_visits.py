"""Reminders of several visits are put off or acknowledged by one form, without JavaScript."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from shared.testing.builders import facts
from tests.api.support.form_browser import FormBrowser, form_browser, pages_of, recorded_types
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


def test_a_repeated_form_records_nothing_twice(
    study: StudyUnderTest, rome: FormBrowser, participants: list[str]
) -> None:
    address = page_of(study, ACKNOWLEDGED, *(f"{number}.1" for number in participants))
    page = rome.open(address)
    for form in (page, page, rome.open(address)):
        assert rome.press(form, "record").status == 200
    assert [reminder_facts(study, number) for number in participants] == [[ACKNOWLEDGED], [ACKNOWLEDGED]]


def test_only_ticked_visits_are_put_off_until_the_day_that_is_given(
    study: StudyUnderTest, rome: FormBrowser, participants: list[str]
) -> None:
    page = rome.open(page_of(study, SNOOZED, *(f"{number}.2" for number in participants)))
    page.fill({"visit": [f"{participants[0]}.2"], "until": "next week"})
    again = rome.press(page, "record")
    assert (again.status, "Give a whole day" in again.text) == (422, True)
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
