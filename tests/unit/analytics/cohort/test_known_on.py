"""A partial date is imputed by the day on which it was recorded: no other participant, clock or today moves it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.cohort.date_imputation import impute
from services.analytics.cohort.participant import Participant
from services.analytics.cohort.participants import participants_of_events
from shared.contracts.event import Event
from shared.contracts.follow_up import ParticipantDied
from shared.kernel.fact import Fact
from shared.kernel.partial_date import PartialDate
from shared.testing.builders import facts, follow_up_facts
from shared.testing.builders.events import make_event
from shared.testing.builders.participant_history import participant_events
from tests.unit.analytics.support import STUDY, TODAY, build_cases, timeline_json

ENROLLMENT = [
    facts.participant_screened("2023-11-01"),
    facts.consent_signed("2023-11-02"),
    facts.participant_enrolled("2023-11-03"),
]
DAYS = st.dates(date(2024, 1, 1), date(2026, 12, 31))
PARTIAL_DATES = DAYS.flatmap(lambda day: st.sampled_from([day.isoformat(), f"{day:%Y-%m}", f"{day:%Y}"]))
STATEMENTS = st.lists(
    st.one_of(
        st.builds(facts.radiotherapy_started, PARTIAL_DATES),
        st.builds(facts.radiotherapy_completed, PARTIAL_DATES),
        st.builds(facts.procedure_performed, PARTIAL_DATES),
        st.builds(follow_up_facts.follow_up_recorded, PARTIAL_DATES),
        st.builds(follow_up_facts.lost_to_follow_up, PARTIAL_DATES),
        st.builds(follow_up_facts.follow_up_resumed, PARTIAL_DATES),
        st.builds(follow_up_facts.participant_died, PARTIAL_DATES),
        st.builds(facts.consent_withdrawn, PARTIAL_DATES),
    ),
    max_size=6,
)


def recorded(participant: str, statements: Sequence[Fact], *known_on: date) -> list[Event]:
    """The events of an enrolled participant; `known_on` are the days of the statements, the last for all others."""
    events = participant_events([*ENROLLMENT, *statements], participant)
    days = [known_on[0]] * len(ENROLLMENT) + [known_on[min(at, len(known_on) - 1)] for at in range(len(statements))]
    return [replace(event, known_on=day) for event, day in zip(events, days, strict=True)]


def days_in_cohort(events: Sequence[Event]) -> Mapping[str, Mapping[UUID, date]]:
    """The day of each fact of each participant, as figures take it."""
    return {participant.participant_id: days_of(participant) for participant in participants_of_events(events)}


def days_of(participant: Participant) -> Mapping[UUID, date]:
    return {stated.event_id: participant.day(stated.fact) for stated in participant.record.stated_facts}


def day_of_death(*events: Event) -> date:
    (participant,) = participants_of_events(events)
    return participant.day(participant.record.facts_of(ParticipantDied)[0])


@given(PARTIAL_DATES.map(PartialDate.parse), DAYS)
def test_fact_alone_is_imputed_by_its_own_day_of_recording(stated: PartialDate, known_on: date) -> None:
    day = impute(stated, known_on)
    assert stated.earliest <= day <= stated.latest
    assert day <= max(known_on, stated.earliest) or stated.is_exact


@given(STATEMENTS, STATEMENTS, DAYS, DAYS)
def test_facts_of_others_move_no_day(ours: list[Fact], theirs: list[Fact], known_on: date, later: date) -> None:
    alone = recorded("P", ours, known_on)
    together = days_in_cohort([*alone, *recorded("Q", theirs, later)])
    assert together["P"] == days_in_cohort(alone)["P"]


@given(STATEMENTS, DAYS, DAYS)
def test_today_moves_no_day(statements: list[Fact], known_on: date, today: date) -> None:
    events = recorded("P", statements, known_on)
    expected = days_in_cohort(events)["P"]
    (case,) = build_cases(STUDY, events)
    assert days_of(case.participant) == expected
    entries = timeline_json(events, today)["entries"]
    assert {UUID(entry["event_id"]): entry["day"] for entry in entries} == {
        event_id: day.isoformat() for event_id, day in expected.items()
    }


@given(DAYS, st.lists(st.timedeltas(timedelta(0), timedelta(days=700)), max_size=4))
def test_later_facts_of_the_same_participant_do_not_move_a_date_that_they_allow(
    known_on: date, waits: list[timedelta]
) -> None:
    death = recorded("P", [follow_up_facts.participant_died("2025")], known_on)
    before = day_of_death(*death)
    scans = [facts.procedure_performed("2024-01-10") for _ in waits]
    later = [
        replace(make_event(scan, len(death) + at, stream_id="P"), known_on=known_on + wait)
        for at, (scan, wait) in enumerate(zip(scans, waits, strict=True), 1)
    ]
    assert day_of_death(*death, *later) == before


def test_correction_moves_a_date_to_what_was_known_then() -> None:
    *enrolled, death = recorded("P", [follow_up_facts.participant_died("2025")], date(2025, 3, 10))
    assert day_of_death(*enrolled, death) == date(2025, 3, 10)
    assert day_of_death(*enrolled, replace(death, known_on=date(2025, 11, 20))) == date(2025, 7, 1)


def test_equal_facts_recorded_on_different_days_have_their_own_days() -> None:
    scan = facts.procedure_performed("2025")
    events = recorded("P", [scan, scan], date(2025, 2, 3), date(2025, 9, 9))
    days = days_in_cohort(events)["P"]
    assert [days[event.event_id] for event in events[-2:]] == [date(2025, 2, 3), date(2025, 7, 1)]


def test_equal_fact_that_is_not_of_the_record_has_no_day() -> None:
    (participant,) = participants_of_events(recorded("P", [], date(2025, 2, 3)))
    with pytest.raises(KeyError):
        participant.day(facts.procedure_performed("2025"))


def test_timeline_shows_no_possible_day_after_the_day_of_recording() -> None:
    events = recorded("P", [facts.procedure_performed("2024")], date(2024, 3, 1))
    entries = timeline_json(events, TODAY)["entries"]
    (entry,) = [row for row in entries if row["type"] == "procedure.performed"]
    assert (entry["from"], entry["day"], entry["until"]) == ("2024-01-01", "2024-03-01", "2024-03-01")


def test_episode_is_fitted_although_its_facts_were_recorded_on_different_days() -> None:
    """A start known by year only stays before the end, however late it was recorded."""
    statements = [facts.radiotherapy_completed("2025-03"), facts.radiotherapy_started("2025")]
    events = recorded("P", statements, date(2025, 3, 20), date(2025, 11, 20))
    days = days_in_cohort(events)["P"]
    assert [days[event.event_id] for event in events[-2:]] == [date(2025, 3, 15), date(2025, 3, 15)]


@pytest.mark.parametrize(
    ("recorded_on", "day"), [(date(2025, 3, 10), date(2025, 3, 10)), (date(2025, 2, 10), date(2025, 2, 20))]
)
def test_death_known_by_its_year_is_between_the_last_proof_of_life_and_the_day_of_its_recording(
    recorded_on: date, day: date
) -> None:
    """W15: a stranger's fact in November moves nothing."""
    last_seen = follow_up_facts.follow_up_recorded("2025-02-20")
    death = recorded("P", [last_seen, follow_up_facts.participant_died("2025")], recorded_on)
    stranger = recorded("Q", [follow_up_facts.follow_up_recorded("2025-11-03")], date(2025, 11, 3))
    assert day_of_death(*death) == day
    days = days_in_cohort([*death, *stranger])["P"]
    assert days[death[-1].event_id] == day
