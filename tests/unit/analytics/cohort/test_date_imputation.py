"""Imputed days of partial dates: never a day that other facts rule out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.cohort.participant import Participant
from services.analytics.cohort.participants import participants_of_events
from services.analytics.figures.participant_flow import ParticipantFlow
from services.analytics.figures.treatments import Treatments
from services.analytics.snapshot.selection import Selection
from shared.contracts.treatment import RadiotherapyCompleted, RadiotherapyStarted
from shared.kernel.fact import Fact
from shared.testing.builders import facts, follow_up_facts, toxicity_facts
from shared.testing.builders.participant_history import participant_events
from tests.unit.analytics.support import STUDY, TODAY, build_cases, days_by_event, snapshot_of_events, timeline_json

ENROLLMENT = [
    facts.participant_screened("2023-11-01"),
    facts.consent_signed("2023-11-02"),
    facts.participant_enrolled("2023-11-03"),
]


def imputed_days(facts_recorded: Sequence[Fact], placed_apart: Fact | None = None) -> list[str]:
    """Returns the day on which figures, timelines and queries place each fact; timelines alone move `placed_apart`."""
    recorded_events = participant_events(facts_recorded)
    (participant,) = participants_of_events(recorded_events)
    imputed = days_by_event(participant, recorded_events)
    entries = {entry["event_id"]: entry["day"] for entry in timeline_json(recorded_events, TODAY)["entries"]}
    (case,) = build_cases(STUDY, recorded_events)
    placed = [entries[str(event.event_id)] for event in recorded_events]
    assert [day for day, fact in zip(placed, facts_recorded, strict=True) if fact != placed_apart] == [
        day for day, fact in zip(imputed, facts_recorded, strict=True) if fact != placed_apart
    ]
    assert days_by_event(case.participant, recorded_events) == imputed
    return imputed


def flow_counts(facts_recorded: Sequence[Fact], cut_date: date = TODAY) -> ParticipantFlow:
    return ParticipantFlow.compute(snapshot_of_events(participant_events(facts_recorded)), Selection(cut_date))


def participant_of(facts_recorded: Sequence[Fact]) -> Participant:
    (participant,) = participants_of_events(participant_events(facts_recorded))
    return participant


@pytest.mark.parametrize(
    ("began", "ended", "expected"),
    [
        ("2024", "2024-03-04", ["2024-03-04", "2024-03-04"]),
        ("2024-03", "2024-03-04", ["2024-03-04", "2024-03-04"]),
        ("2024-03", "2024-03-20", ["2024-03-15", "2024-03-20"]),
        ("2024", "2024-03", ["2024-03-15", "2024-03-15"]),
        ("2024-09", "2024", ["2024-09-15", "2024-09-15"]),
        ("2024-03-20", "2024-03", ["2024-03-20", "2024-03-20"]),
        ("2024-03-20", "2024", ["2024-03-20", "2024-07-01"]),
    ],
)
def test_course_start_is_imputed_before_its_end_and_exact_days_stay(
    began: str, ended: str, expected: list[str]
) -> None:
    assert (
        imputed_days([*ENROLLMENT, facts.radiotherapy_started(began), facts.radiotherapy_completed(ended)])[-2:]
        == expected
    )


def test_visits_are_anchored_at_an_exact_course_end_despite_a_partial_start() -> None:
    facts_recorded = [*ENROLLMENT, facts.radiotherapy_started("2024"), facts.radiotherapy_completed("2024-03-04")]
    (case,) = build_cases(STUDY, participant_events(facts_recorded))
    anchor = case.anchor(None)
    assert anchor
    assert anchor[1] == date(2024, 3, 4)
    assert (
        flow_counts(facts_recorded, date(2024, 5, 1)).treated,
        flow_counts(facts_recorded, date(2024, 5, 1)).in_follow_up,
    ) == (1, 1)


@pytest.mark.parametrize(
    ("began", "changed", "ended", "expected"),
    [
        ("2024-05-02", "2024-05", "2024-05-10", ["2024-05-02", "2024-05-10", "2024-05-10"]),
        ("2024-04-01", "2024-05-20", "2024-05", ["2024-04-01", "2024-05-20", "2024-05-20"]),
        ("2024-04-01", "2024", "2024-05", ["2024-04-01", "2024-05-15", "2024-05-15"]),
        ("2024-05-20", "2024-05", "2024-06-10", ["2024-05-20", "2024-05-20", "2024-06-10"]),
        ("2024-05-20", "2024-05", "2024-05", ["2024-05-20", "2024-05-20", "2024-05-20"]),
    ],
)
def test_prescription_change_is_imputed_within_its_course(
    began: str, changed: str, ended: str, expected: list[str]
) -> None:
    assert (
        imputed_days(
            [
                *ENROLLMENT,
                facts.radiotherapy_started(began),
                facts.prescription_changed(changed),
                facts.radiotherapy_completed(ended),
            ]
        )[-3:]
        == expected
    )


def test_systemic_therapy_and_serious_events_start_before_they_end() -> None:
    line = [facts.systemic_therapy_started("2024"), facts.systemic_therapy_stopped("2024-03-04")]
    serious = [
        toxicity_facts.serious_event_reported(when="2024", aware_at="2024-04-20T08:00:00+02:00"),
        toxicity_facts.serious_event_resolved(resolved_on="2024-04-04"),
    ]
    assert imputed_days([*ENROLLMENT, *line, *serious])[-4:] == ["2024-03-04", "2024-03-04", "2024-04-04", "2024-04-04"]


@pytest.mark.parametrize(
    ("signed", "enrolled", "expected"),
    [
        ("2024-05", "2024-05-10", ["2024-05-10", "2024-05-10"]),
        ("2024-05-20", "2024-05", ["2024-05-20", "2024-05-20"]),
        ("2024-05", "2024-05", ["2024-05-15", "2024-05-15"]),
        ("2024", "2024-05", ["2024-05-15", "2024-05-15"]),
    ],
)
def test_enrollment_is_imputed_on_or_after_consent(signed: str, enrolled: str, expected: list[str]) -> None:
    assert (
        imputed_days(
            [
                facts.participant_screened("2024-01-01"),
                facts.consent_signed(signed),
                facts.participant_enrolled(enrolled),
            ]
        )[-2:]
        == expected
    )


@pytest.mark.parametrize(
    ("screened", "ended", "expected"),
    [
        ("2024-05", "2024-05-10", ["2024-05-10", "2024-05-10"]),
        ("2024-05", "2024-05-20", ["2024-05-15", "2024-05-20"]),
        ("2024", "2024-05", ["2024-05-15", "2024-05-15"]),
        ("2024-05-20", "2024-05", ["2024-05-20", "2024-05-20"]),
        ("2024-06", "2024-05-10", ["2024-06-15", "2024-05-10"]),
    ],
)
def test_screening_is_imputed_on_or_before_the_enrollment_or_the_failure(
    screened: str, ended: str, expected: list[str]
) -> None:
    beginning = [facts.participant_screened(screened), facts.consent_signed("2024-05-02")]
    for end in (facts.participant_enrolled(ended), facts.screening_failed(ended)):
        days = imputed_days([*beginning, end])
        assert [days[0], days[-1]] == expected


@pytest.mark.parametrize(
    ("renewed", "expected"), [("2024-05", "2024-05-15"), ("2023", "2023-07-01"), ("2024", "2024-07-01")]
)
def test_renewed_consent_is_not_moved_by_enrollment(renewed: str, expected: str) -> None:
    first = facts.consent_signed("2023-01-02")
    facts_recorded = [
        facts.participant_screened("2023-01-01"),
        first,
        facts.participant_enrolled("2023-02-10"),
        facts.consent_signed(renewed),
    ]
    assert imputed_days(facts_recorded)[1:] == ["2023-01-02", "2023-02-10", expected]


LOST = follow_up_facts.lost_to_follow_up
RESUMED = follow_up_facts.follow_up_resumed


@pytest.mark.parametrize(
    ("facts_recorded", "status"),
    [
        ([LOST("2024-10"), RESUMED("2024-10-05")], "awaiting_treatment"),
        ([LOST("2024"), RESUMED("2024-03-05")], "awaiting_treatment"),
        ([LOST("2024-10-20"), RESUMED("2024-10")], "awaiting_treatment"),
        ([LOST("2024-10-05"), RESUMED("2024-10-05")], "awaiting_treatment"),
        ([LOST("2024-03-05"), LOST("2024-04-05"), RESUMED("2024-05-05")], "awaiting_treatment"),
        ([LOST("2024-03-05"), RESUMED("2024-05-05"), LOST("2024-10")], "lost"),
        ([LOST("2024-10-06"), RESUMED("2024-10-05")], "lost"),
        ([LOST("2024-03"), RESUMED("2024-10-05"), LOST("2024-10")], "lost"),
        ([LOST("2024-03-05"), RESUMED("2024-10-01"), RESUMED("2024-10"), LOST("2024-10-20")], "lost"),
        ([RESUMED("2024-10-05")], "awaiting_treatment"),
    ],
)
def test_resumed_follow_up_ends_an_earlier_loss(facts_recorded: list[Fact], status: str) -> None:
    for order in (facts_recorded, facts_recorded[::-1]):
        assert flow_counts([*ENROLLMENT, *order]).statuses[status] == 1
        participant_timeline = timeline_json(participant_events([*ENROLLMENT, *order]), TODAY)
        assert (participant_timeline["status"] == "lost") == (status == "lost")
        assert any(entry["ongoing"] for entry in participant_timeline["entries"]) == (status == "lost")
        (case,) = build_cases(STUDY, participant_events([*ENROLLMENT, *order]))
        assert (case.end_of_follow_up < date.max) == (status == "lost")


MONTH_OR_DAY = st.dates(date(2024, 3, 1), date(2024, 6, 30)).flatmap(
    lambda day: st.sampled_from([day.isoformat(), f"{day:%Y-%m}", "2024"])
)


@given(MONTH_OR_DAY, MONTH_OR_DAY, st.none() | MONTH_OR_DAY)
def test_imputed_days_lie_within_their_dates_and_ends_follow_starts(began: str, ended: str, died: str | None) -> None:
    facts_recorded = [
        *ENROLLMENT,
        facts.radiotherapy_started(began),
        facts.radiotherapy_completed(ended),
        *([follow_up_facts.participant_died(died)] if died else []),
    ]
    participant = participant_of(facts_recorded)
    stated = [stated.fact for stated in participant.record.stated_facts]
    for fact in stated:
        assert fact.happened_on
        assert fact.happened_on.earliest <= participant.day(fact) <= fact.happened_on.latest
    start, end = (
        next(fact for fact in stated if isinstance(fact, kind)) for kind in (RadiotherapyStarted, RadiotherapyCompleted)
    )
    if start.happened_on and end.happened_on and start.happened_on.earliest <= end.happened_on.latest:
        assert participant.day(start) <= participant.day(end)


def test_serious_event_update_does_not_imply_being_alive() -> None:
    learnt = toxicity_facts.serious_event_updated(aware_at="2024-06-30T08:00:00+02:00")
    serious, contact = (
        toxicity_facts.serious_event_reported(when="2024-02-01"),
        follow_up_facts.follow_up_recorded("2024-03-20"),
    )
    undated = [*ENROLLMENT, serious, contact, learnt, follow_up_facts.participant_died(None)]
    assert flow_counts(undated, date(2024, 3, 20)).died == 1
    onset = toxicity_facts.serious_event_updated(aware_at="2024-06-30T08:00:00+02:00", onset_on="2024-06-20")
    assert (
        imputed_days([*ENROLLMENT, serious, onset, follow_up_facts.participant_died("2024-06")], placed_apart=onset)[-1]
        == "2024-06-20"
    )
    in_a_month = [*ENROLLMENT, serious, contact, learnt, follow_up_facts.participant_died("2024-06")]
    assert imputed_days(in_a_month)[-1] == "2024-06-15"


def test_target_treated_before_its_removal_from_the_prescription_counts() -> None:
    first, second = facts.target("T1", fractions=1, cgy_per_fraction=2000, delivery="SRS"), facts.target("T2")
    course = facts.radiotherapy_started("2024-03-01", "RT1", first, second)
    facts_recorded = [*ENROLLMENT, course, facts.prescription_changed("2024-03-05", "RT1", second)]
    assert flow_counts(facts_recorded).stereotactic == 0  # no fact states that it was treated
    facts_recorded.append(facts.radiotherapy_completed("2024-03-28", "RT1", facts.delivered_dose("T1", 1, 2000)))
    assert flow_counts(facts_recorded).stereotactic == 1
    rows = Treatments.compute(snapshot_of_events(participant_events(facts_recorded)), Selection(TODAY)).targets
    delivered = {row.target_id: (row.fractions_delivered, row.dose_delivered_gy) for row in rows}
    assert delivered == {"T2": (20, 50.0), "T1": (1, 20.0)}
    (end,) = [
        entry
        for entry in timeline_json(participant_events(facts_recorded), TODAY)["entries"]
        if entry["type"] == "radiotherapy.completed"
    ]
    assert [target["target_id"] for target in end["delivered"]] == ["T2", "T1"]
    assert len(end["detail"]) == 2  # each of them, and not that all was as prescribed
    never = [*facts_recorded[:-1], facts.radiotherapy_completed("2024-03-28", "RT1", facts.delivered_dose("T1", 0, 0))]
    assert flow_counts(never).stereotactic == 0


@pytest.mark.parametrize(
    "modality", ["brachytherapy_ldr", "brachytherapy_pdr", "radiopharmaceutical", "carbon_ions", "neutrons", "other"]
)
def test_effective_dose_is_null_for_unsupported_modalities(modality: str) -> None:
    course = facts.radiotherapy_started("2024-03-01", "RT1", facts.target("T1", modality=modality))
    (row,) = Treatments.compute(snapshot_of_events(participant_events([*ENROLLMENT, course])), Selection(TODAY)).targets
    assert (row.total_dose_gy, row.bed_10, row.eqd2_10, row.bed_3) == (50.0, None, None, None)
