"""The days that analyses assume for a withdrawal and for a death: after all that may precede them."""

from __future__ import annotations

from datetime import date

import pytest

from services.analytics.cohort.participants import participants_of_events
from services.analytics.figures.participant_flow import ParticipantFlow
from services.analytics.snapshot.selection import Selection
from shared.kernel.fact import Fact
from shared.testing.builders import facts
from shared.testing.builders.follow_up_facts import (
    follow_up_recorded,
    participant_died,
    visit_missed,
    vital_status_confirmed,
)
from shared.testing.builders.participant_history import participant_events
from tests.unit.analytics.support import (
    ENROLLED,
    SCREENED,
    STUDY,
    TODAY,
    build_cases,
    days_by_event,
    snapshot_of,
    timeline_json,
)

ALL_PARTICIPANTS = Selection(TODAY)


@pytest.mark.parametrize(("registry", "died"), [(True, [0, 1]), (False, [1, 1])])
def test_registry_confirmation_after_withdrawal_delays_an_undated_death_with_consent_to_registries(
    registry: bool, died: list[int]
) -> None:
    signed = facts.consent_signed(options={"registry": registry})
    alive, death = vital_status_confirmed("2024-09", "registry"), participant_died(None, cause="unknown")
    facts_recorded = [SCREENED, signed, ENROLLED, facts.consent_withdrawn("2024-08-10"), alive, death]
    study_snapshot = snapshot_of({"p": facts_recorded})
    counts = [ParticipantFlow.compute(study_snapshot, Selection(date(2024, 9, day))).died for day in (14, 15)]
    assert counts == died
    events = participant_events(facts_recorded)
    assert timeline_json(events, TODAY)["ends_on"] == "2024-09-15"


@pytest.mark.parametrize(
    ("on", "facts_before"),
    [
        ("2024-09", [facts.participant_screened("2024-09-18"), facts.participant_enrolled("2024-09-20")]),
        ("2024", [facts.participant_screened("2024-09-18"), facts.participant_enrolled("2024-09-20")]),
        ("2024-09-20", [facts.participant_screened("2024-09-18"), facts.participant_enrolled("2024-09")]),
        ("2024-09-10", [facts.participant_screened("2024-09"), facts.participant_enrolled("2024-09")]),
        ("2024-09", [facts.participant_screened("2024"), facts.participant_enrolled("2024-09")]),
    ],
)
def test_withdrawal_is_imputed_after_facts_that_may_precede_it(on: str, facts_before: list[Fact]) -> None:
    counted = ParticipantFlow.compute(
        snapshot_of({"p": [*facts_before, facts.consent_withdrawn(on)]}), ALL_PARTICIPANTS
    )
    assert [getattr(counted, name) for name in ("screened", "enrolled", "withdrawn")] == [1, 1, 1]


@pytest.mark.parametrize("on", ["2024-09", "2024-09-10"])
def test_figures_timeline_and_queries_impute_the_same_days_around_a_withdrawal(on: str) -> None:
    facts_recorded = [
        facts.participant_screened("2024-09"),
        facts.participant_enrolled("2024-09-10"),
        facts.radiotherapy_started("2024-09-20"),
        facts.consent_withdrawn(on),
    ]
    events = participant_events(facts_recorded)
    (participant,) = participants_of_events(events)
    days = days_by_event(participant, events)
    entries = {entry["event_id"]: entry["day"] for entry in timeline_json(events, TODAY)["entries"]}
    assert [entries[str(event.event_id)] for event in events] == days
    (case,) = build_cases(STUDY, events)
    assert days_by_event(case.participant, events) == days
    assert case.end_of_follow_up.isoformat() == days[-1]


def test_death_in_a_month_is_not_imputed_before_the_last_contact() -> None:
    contact, declared, died = (
        follow_up_recorded("2024-11-20"),
        visit_missed("2024-11-28"),
        participant_died("2024-11"),
    )
    study_snapshot = snapshot_of({"p": [SCREENED, ENROLLED, contact, declared, died]})
    counts = [ParticipantFlow.compute(study_snapshot, Selection(date(2024, 11, day))).died for day in (15, 19, 20)]
    assert counts == [0, 0, 1]


def test_undated_death_does_not_count_before_the_last_contact() -> None:
    facts_recorded = [SCREENED, ENROLLED, follow_up_recorded("2024-11-20"), participant_died(None)]
    study_snapshot = snapshot_of({"p": facts_recorded})
    assert [ParticipantFlow.compute(study_snapshot, Selection(date(2024, 11, day))).died for day in (19, 20)] == [0, 1]


@pytest.mark.parametrize(
    ("died", "day"), [("2024-05-03", "2024-05-03"), ("2024-05", "2024-05-15"), ("2024-04-30", "2024-05-15")]
)
def test_contact_that_may_precede_an_exact_death_is_taken_for_no_later_day(died: str, day: str) -> None:
    contact = follow_up_recorded("2024-05")
    events = participant_events([SCREENED, ENROLLED, contact, participant_died(died)])
    (participant,) = participants_of_events(events)
    assert days_by_event(participant, events)[2] == day
