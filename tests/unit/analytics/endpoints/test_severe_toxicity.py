"""Severe toxicity: the first adverse event of grade 3 or more, with death competing; W19 and W20 of the review."""

from __future__ import annotations

from typing import Any

import pytest

from services.analytics.endpoints.severe_toxicity import Attribution, SevereToxicityEndpoint
from services.analytics.snapshot.selection import ToxicitySelection
from services.analytics.statistics.competing_risks import cumulative_incidence
from shared.kernel.fact import Fact
from shared.testing.builders import facts
from shared.testing.builders.facts import day
from shared.testing.builders.participant_history import participant_events
from shared.testing.builders.toxicity_facts import finding, serious_event_reported, toxicity_assessed
from tests.unit.analytics.endpoints.cohorts import (
    FOUR_CASES_CUT,
    alive,
    cohort_of,
    dead,
    four_cases,
    selection,
    stereotactic_course,
    treated,
)
from tests.unit.analytics.endpoints.toxicity_cohorts import (
    DEAD,
    NOTHING,
    TO_COURSE,
    TO_DISEASE,
    TOXIC,
    baseline,
    complete,
    exits_of,
    graded,
    severe_exits,
    toxicity_times,
)
from tests.unit.analytics.support import STUDY_OPENED, record_of, snapshot_of_events

NAUSEA = "3.0:0207"


def four_case_exits(attribution: Attribution, **changes: Any) -> list[tuple[int, int]]:
    return exits_of(SevereToxicityEndpoint.of(four_cases(), selection(FOUR_CASES_CUT, **changes)).times(attribution))


def test_given_the_four_cases_then_the_incidences_are_those_of_r() -> None:
    """W19."""
    times = SevereToxicityEndpoint.of(four_cases(), selection(FOUR_CASES_CUT)).times("all_causes")
    assert exits_of(times) == [(246, DEAD), (141, TOXIC), (291, NOTHING)]
    assert {reason: count for reason, count in times.not_counted.items() if count} == {"not_evaluable": 1}
    curves = cumulative_incidence(times.observations, 2)
    assert curves.days.tolist() == [0, 141, 246, 291]
    assert curves.incidence[-1].tolist() == pytest.approx([1 / 3, 1 / 3], abs=1e-12)
    variances = (curves.standard_error[-1] ** 2).tolist()
    assert variances == pytest.approx([0.111111111111111, 0.138888888888889], abs=1e-12)
    assert four_case_exits("related") == [(246, DEAD), (145, DEAD), (291, NOTHING)]


def test_given_six_participants_then_the_variances_are_those_of_r() -> None:
    """W22."""
    first = [treated(graded(10, 3)), treated(dead(20)), treated(*complete(25))]
    second = [treated(graded(30, 3)), treated(dead(80)), treated(*complete(90))]
    curves = cumulative_incidence(toxicity_times(300, *first, *second).observations, 2)
    assert curves.incidence[-1].tolist() == pytest.approx([0.388888888888889, 0.388888888888889], abs=1e-12)
    variances = (curves.standard_error[-1] ** 2).tolist()
    assert variances == pytest.approx([0.0674074074074074, 0.0801234567901236], abs=1e-12)


def test_given_the_four_cases_then_nothing_severe_is_related_after_the_stereotactic_course() -> None:
    """W19: 0 of 3, because one was not assessed."""
    exits = four_case_exits("related", origin="stereotactic_start")
    assert exits == [(246, DEAD), (25, DEAD), (4, NOTHING)]


def test_given_an_onset_before_an_assessment_below_3_then_the_assessment_is_the_event() -> None:
    """W20."""
    severe = graded(30, 3, onset_on=day(10))
    assert severe_exits(100, treated(graded(20, 2), severe)) == [(30, TOXIC)]
    assert severe_exits(100, treated(severe)) == [(10, TOXIC)]


def test_given_a_serious_event_then_its_onset_and_its_highest_grade_count() -> None:
    assert severe_exits(100, treated(serious_event_reported(when=40, grade=3), *complete(80))) == [(40, TOXIC)]
    assert severe_exits(100, treated(serious_event_reported(when=40, grade=2), *complete(80))) == [(80, NOTHING)]


def test_given_no_event_then_time_ends_on_the_last_adequate_assessment_by_the_cut_off() -> None:
    participant = treated(*complete(20), graded(40, 2), graded(60, None), *complete(90), *alive(200))
    assert severe_exits(100, participant) == [(90, NOTHING)]
    assert severe_exits(80, participant) == [(40, NOTHING)]


def test_given_no_assessment_then_time_ends_on_day_0() -> None:
    assert severe_exits(100, treated(*alive(80))) == [(0, NOTHING)]


def test_given_inadequate_assessments_alone_then_the_participant_is_not_evaluable() -> None:
    ungraded = treated(graded(30, None), *alive(80))
    times = toxicity_times(100, ungraded)
    assert (times.participants, times.not_counted["not_evaluable"]) == (0, 1)
    assert severe_exits(100, treated(graded(30, None), dead(50))) == [(50, DEAD)]


def test_given_a_death_then_it_competes_however_long_ago_the_last_assessment_was() -> None:
    assert severe_exits(400, treated(*complete(10), dead(300))) == [(300, DEAD)]
    cohort = cohort_of([treated(*complete(10), dead(194)), treated(*complete(10), dead(193)), treated(dead(5))])
    endpoint = SevereToxicityEndpoint.of(cohort, selection(400))
    assert endpoint.count_deaths_without_assessment(endpoint.times("all_causes")) == 2
    before = [treated(baseline(-10, 1), dead(day), enrolled=-20) for day in (173, 174)]
    endpoint = SevereToxicityEndpoint.of(cohort_of(before), selection(400))
    assert endpoint.count_deaths_without_assessment(endpoint.times("all_causes")) == 1, "one at baseline is one"


def test_given_toxicity_on_the_day_of_death_then_toxicity_comes_first() -> None:
    assert severe_exits(100, treated(graded(50, 5), dead(50))) == [(50, TOXIC)]


def test_given_a_withdrawal_then_a_later_death_does_not_compete() -> None:
    assert severe_exits(300, treated(*complete(20), facts.consent_withdrawn(100), dead(150))) == [(20, NOTHING)]


@pytest.mark.parametrize(
    ("attribution", "exit_"),
    [
        (TO_COURSE, (30, TOXIC)),
        ({}, (30, TOXIC)),
        (TO_DISEASE, (30, NOTHING)),
        ({"attribution": [{"to": "course:RT1", "level": "unlikely"}]}, (30, NOTHING)),
    ],
)
def test_related_is_what_may_be_of_a_course_and_what_nobody_attributed(
    attribution: dict[str, Any], exit_: tuple[int, int]
) -> None:
    participant = treated(graded(30, 3, **attribution))
    assert severe_exits(100, participant, attribution="related") == [exit_]
    assert severe_exits(100, participant) == [(30, TOXIC)]


def test_related_events_without_attribution_are_counted() -> None:
    cohort = cohort_of(
        [
            treated(graded(30, 3)),
            treated(graded(30, 3, **TO_COURSE)),
            treated(graded(30, 3, **TO_DISEASE)),
            treated(toxicity_assessed(30, finding(grade=3), finding(NAUSEA, 3, **TO_COURSE))),
            treated(graded(20, 3), graded(30, 3, **TO_COURSE)),
        ]
    )
    endpoint = SevereToxicityEndpoint.of(cohort, selection(100))
    assert endpoint.count_events_without_attribution(endpoint.times("related")) == 2


# Baseline


def test_given_severe_toxicity_at_baseline_then_the_participant_is_not_counted() -> None:
    times = toxicity_times(100, treated(baseline(-5, 3), graded(30, 4), *complete(60), enrolled=-10))
    assert (times.participants, times.not_counted["baseline_severe"]) == (0, 1)


def test_emergent_keeps_everybody_and_counts_grades_above_those_of_the_term_at_baseline() -> None:
    emergent = ToxicitySelection(emergent=True)
    same = treated(baseline(-5, 3), graded(30, 3), *complete(60), enrolled=-10)
    worse = treated(baseline(-5, 3), graded(30, 3), graded(50, 4), enrolled=-10)
    other = treated(baseline(-5, 4), graded(30, 3, term=NAUSEA), enrolled=-10)
    missing = treated(graded(30, 3))
    exits = severe_exits(100, same, worse, other, missing, toxicity=emergent)
    assert exits == [(60, NOTHING), (50, TOXIC), (30, TOXIC), (30, TOXIC)]


def test_without_a_baseline_the_participant_is_at_risk() -> None:
    """W16."""
    assert severe_exits(100, treated(graded(30, 3))) == [(30, TOXIC)]


def test_assessment_named_baseline_after_the_start_is_no_baseline() -> None:
    assert severe_exits(100, treated(baseline(0, 2), baseline(3, 3))) == [(3, TOXIC)]


def test_severe_toxicity_before_time_0_is_no_event() -> None:
    assert severe_exits(100, treated(graded(-3, 3), *complete(60), enrolled=-10)) == [(60, NOTHING)]


# Windows


@pytest.mark.parametrize(
    ("event_day", "window", "is_event"),
    [(90, "acute", True), (91, "acute", False), (90, "late", False), (91, "late", True), (91, "all", True)],
)
def test_acute_is_up_to_90_days_from_the_start_and_late_after_them(event_day: int, window: Any, is_event: bool) -> None:
    exits = severe_exits(300, treated(graded(event_day, 3)), toxicity=ToxicitySelection(window=window))
    assert exits == [(event_day, TOXIC if is_event else NOTHING)]


def test_late_toxicity_counts_after_an_acute_one() -> None:
    late = ToxicitySelection(window="late", late_after=60)
    assert severe_exits(300, treated(graded(20, 3), graded(61, 3)), toxicity=late) == [(61, TOXIC)]


def test_late_from_the_end_counts_from_the_end_of_the_course_of_the_clock() -> None:
    late = ToxicitySelection(window="late", late_after=30, late_from="end")
    course_end = facts.radiotherapy_completed(28)
    assert severe_exits(300, treated(course_end, graded(58, 3)), toxicity=late) == [(58, NOTHING)]
    assert severe_exits(300, treated(course_end, graded(59, 3)), toxicity=late) == [(59, TOXIC)]
    assert severe_exits(300, treated(graded(200, 3)), toxicity=late) == [(200, NOTHING)]
    stereotactic = [stereotactic_course(100), facts.radiotherapy_completed(105, "SRT")]
    participant = treated(course_end, *stereotactic, graded(135, 3), graded(136, 4))
    chosen = {"origin": "stereotactic_start", "toxicity": late}
    assert severe_exits(300, participant, **chosen) == [(36, TOXIC)]
    acute = ToxicitySelection(window="acute", late_after=30, late_from="end")
    assert severe_exits(300, participant, origin="stereotactic_start", toxicity=acute) == [(35, TOXIC)]


# Clock, entry and versions


def test_time_0_is_the_start_of_the_index_course_unless_that_of_the_stereotactic_course_is_asked_for() -> None:
    participant = treated(stereotactic_course(20), graded(50, 3))
    assert severe_exits(100, participant, origin="diagnosed") == [(50, TOXIC)]
    assert severe_exits(100, participant, origin="stereotactic_start") == [(30, TOXIC)]
    times = toxicity_times(100, treated(graded(50, 3)), origin="stereotactic_start")
    assert times.not_counted["no_origin"] == 1


def test_index_course_before_enrollment_lets_the_participant_enter_late() -> None:
    times = toxicity_times(100, treated(graded(50, 3), enrolled=20), treated(*complete(10), *alive(90), enrolled=20))
    assert times.observations.entries is not None
    assert times.observations.entries.tolist() == [20]
    assert times.not_counted["entry_not_before_exit"] == 1


def test_participants_graded_in_two_versions_are_in_groups_of_their_own() -> None:
    other = "5.0:0130"
    participants: list[list[Fact]] = [
        treated(graded(10, 3)),
        treated(graded(10, 2, term=other)),
        treated(graded(10, 1), graded(60, 3, term=other)),
    ]
    times = toxicity_times(100, *participants)
    assert times.groups.tolist() == ["ctcae-3.0", "ctcae-5.0", "ctcae-3.0 + ctcae-5.0"]
    divided = toxicity_times(100, *participants, by="sex")
    assert set(divided.groups.tolist()) == {
        "female, ctcae-3.0",
        "female, ctcae-5.0",
        "female, ctcae-3.0 + ctcae-5.0",
    }
    assert toxicity_times(40, participants[0], participants[2]).groups.tolist() == ["all", "all"]


def test_protocol_in_force_at_time_0_decides_where_nothing_was_graded() -> None:
    amendment = facts.protocol_amended(5, facts.protocol(toxicity={"dictionary": "ctcae-5.0", "checklist": []}))
    study = record_of(STUDY_OPENED, amendment)
    participants = [treated(*complete(60)), treated(*complete(60), start=10, enrolled=10)]
    events = [event for number, stated in enumerate(participants) for event in participant_events(stated, f"P{number}")]
    times = SevereToxicityEndpoint.of(snapshot_of_events(events, study), selection(100)).times("all_causes")
    assert times.groups.tolist() == ["ctcae-3.0", "ctcae-5.0"]
