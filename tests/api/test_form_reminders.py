"""Forms about one visit: its reminders are put off or acknowledged, and its choices are in words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as followup
from tests.api.support.form_browser import FormBrowser, Page, form_of, pages_of, recorded_types
from tests.api.support.study import StudyUnderTest, find_event_id, open_study
from tests.demo import Demo

ACKNOWLEDGED, SNOOZED = "reminder.acknowledged", "reminder.snoozed"
TODAY = datetime.now(UTC).date()
ENDED_ON = TODAY - timedelta(200)
"""The last day of the index course: visits 1 and 2 are over or open, visit 3 is to come."""
BEYOND_THE_PLAN = "99"


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    with open_study(demo) as study:
        yield study


@pytest.fixture
def participant_id(study: StudyUnderTest) -> str:
    course = (facts.radiotherapy_started("2024-02-01"), facts.radiotherapy_completed(ENDED_ON.isoformat()))
    return study.wait_until_known(study.enroll_at("rome", *course))


def tags_of(page: Page, name: str) -> set[str]:
    return {control["tag"] for control in page.parser.controls if control.get("name") == name}


def reminder_facts(study: StudyUnderTest, participant_id: str) -> list[str]:
    return [name for name in recorded_types(study, participant_id, "followup") if name.startswith("reminder.")]


@pytest.mark.parametrize("fact", [SNOOZED, ACKNOWLEDGED])
def test_visit_of_the_link_stays_fixed_until_its_reminder_is_recorded(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str, fact: str
) -> None:
    """A day that is refused must not become the occasion on which another visit is put off."""
    page = rome.open(f"{form_of(study, participant_id, fact, 'followup')}?visit=3")
    for until, message in (("2100-01-01", "at most 14 days"), ("2024-01-01", "is over"), ("1.2.2026", "whole day")):
        page.fill({"until": until})
        for button, status in (("check", 200), ("record", 422)):
            page = rome.press(page, button)
            assert (page.status, message in page.text, page.value("until")) == (status, True, until)
            assert (tags_of(page, "visit"), page.value("visit")) == ({"hidden"}, "3")
            assert "Visit 3: " in page.text
    assert reminder_facts(study, participant_id) == []
    page.fill({"until": (TODAY + timedelta(5)).isoformat()})
    recorded = rome.press(page, "record")
    assert (recorded.status, "Visit 3" in recorded.text) == (200, True)
    assert reminder_facts(study, participant_id) == [fact]


@pytest.mark.parametrize("fact", [SNOOZED, ACKNOWLEDGED])
def test_visit_that_is_over_is_not_offered_and_one_beyond_the_plan_is_said_to_be_none(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str, fact: str
) -> None:
    address = form_of(study, participant_id, fact, "followup")
    page = rome.open(address)
    assert ("Visit 3: " in page.text, "Visit 1: " in page.text) == (True, False)
    beyond = rome.open(f"{address}?visit={BEYOND_THE_PLAN}")
    assert f"Visit {BEYOND_THE_PLAN} (not among those offered)" in beyond.text
    for visit in ("0", "121", "three"):
        refused = rome.press(rome.open(f"{address}?visit={visit}"), "record")
        assert (refused.status, 'id="f-visit-errors"' in refused.response.text) == (422, True)
    assert reminder_facts(study, participant_id) == []


def test_correction_has_the_missed_visit_and_the_ended_course_among_its_choices_in_words(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    assert study.record_fact(participant_id, followup.visit_missed(TODAY.isoformat(), visit=1)).status_code == 201
    events = {"followup.visit_missed": "followup", "radiotherapy.completed": "enrollment"}
    for type_name, (member, value, words) in {
        "followup.visit_missed": ("visit", "1", "Visit 1: "),
        "radiotherapy.completed": ("course_id", "RT1", "RT1: palliative"),
    }.items():
        service = events[type_name]
        event_id = find_event_id(study, participant_id, type_name, service)
        base = f"{pages_of(study, service)}/participants/{participant_id}/corrections"
        page = rome.open(f"{base}/{event_id}")
        name = f"replacement.data.{member}"
        assert page.value(name) == value
        assert words in page.text
        assert "text" not in tags_of(page, name)
