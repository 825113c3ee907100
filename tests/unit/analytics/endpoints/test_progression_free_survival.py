"""Progression-free survival: first evidence of progression after the origin, death, and the last disease assessment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.endpoints.overall_survival import overall_survival
from services.analytics.endpoints.progression_free_survival import (
    count_deaths_after_missed_intervals,
    count_deaths_without_assessment,
    other_progression_readings,
    progression_free_survival,
)
from services.analytics.statistics.kaplan_meier import kaplan_meier, quantile
from shared.kernel.fact import Fact
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as follow_up
from tests.unit.analytics.endpoints.cohorts import (
    FOUR_CASES_CUT,
    Time,
    alive,
    cohort_of,
    dead,
    four_cases,
    selection,
    times_of,
    treated,
)
from tests.unit.analytics.support import record_of


def assessed(*days: int, **disease: Any) -> list[Fact]:
    """Returns contacts on these days at which the disease was assessed."""
    status = {"regional": "none", "distant": "stable", **disease}
    return [follow_up.follow_up_recorded(day, disease={"lesions": [], **status}) for day in days]


def progression_times(cut: int | date, *participants: Sequence[Fact], **changes: Any) -> list[Time]:
    return times_of(progression_free_survival(cohort_of(participants), selection(cut, **changes)))


def test_given_the_four_cases_then_the_median_is_124() -> None:
    """W3: the curve is flat at 0.5 from day 101 to day 147."""
    times = progression_free_survival(four_cases(), selection(FOUR_CASES_CUT))
    assert times_of(times) == [Time(0, day, True) for day in (42, 101, 147, 248)]
    curve = kaplan_meier(times.observations)
    assert curve.estimate[curve.events > 0].tolist() == [0.75, 0.5, 0.25, 0]
    median = quantile(curve)
    assert (median.value, median.lower, median.upper) == (124, 42, None)


def test_given_a_progression_by_time_0_then_it_is_no_event() -> None:
    """W6."""
    stated = treated(
        follow_up.disease_progressed(-20), follow_up.disease_progressed(0), *assessed(90), *alive(120), enrolled=-30
    )
    cohort = cohort_of([stated])
    assert times_of(progression_free_survival(cohort, selection(300))) == [Time(0, 90, False)]
    assert times_of(overall_survival(cohort, selection(300))) == [Time(0, 120, False)]


@pytest.mark.parametrize(
    "evidence",
    [
        follow_up.disease_progressed(100),
        follow_up.disease_progressed(100, kind="regional"),
        assessed(100, regional="progressed")[0],
        assessed(100, distant="progressed")[0],
        follow_up.follow_up_recorded(100, disease=follow_up.disease_status("L1", status="progressed")),
    ],
)
def test_given_several_kinds_of_evidence_then_the_first_one_is_the_event(evidence: Fact) -> None:
    later = follow_up.disease_progressed(120)
    participant = treated(facts.lesion_registered("L1"), evidence, later, dead(150))
    assert progression_times(300, participant) == [Time(0, 100, True)]
    assert progression_times(110, participant) == [Time(0, 100, True)]


def test_given_a_response_of_progressive_disease_alone_then_it_is_no_event() -> None:
    response = follow_up.follow_up_recorded(100, response="PD")
    assert progression_times(300, treated(*assessed(90), response)) == [Time(0, 90, False)]


def test_given_a_new_systemic_line_then_it_does_not_censor() -> None:
    participant = treated(*assessed(90), facts.systemic_therapy_started(100), *assessed(200))
    assert progression_times(300, participant) == [Time(0, 200, False)]


def test_given_no_assessment_after_the_origin_then_time_ends_on_the_origin() -> None:
    assert progression_times(300, treated(*alive(200))) == [Time(0, 0, False)]
    assert progression_times(80, treated(*assessed(90))) == [Time(0, 0, False)]


def test_given_a_death_then_it_counts_however_long_ago_the_last_assessment_was() -> None:
    long_ago, recent = treated(*assessed(10), dead(194)), treated(*assessed(10), dead(193))
    assert progression_times(300, long_ago, recent) == [Time(0, 194, True), Time(0, 193, True)]
    cohort = cohort_of([long_ago, recent, treated(dead(5)), treated(follow_up.disease_progressed(5), dead(250))])
    times = progression_free_survival(cohort, selection(300))
    assert count_deaths_without_assessment(cohort, selection(300), times) == 2
    before = cohort_of([treated(*assessed(-10), dead(day), enrolled=-20) for day in (173, 174)])
    times = progression_free_survival(before, selection(300))
    assert count_deaths_without_assessment(before, selection(300), times) == 1, "an assessment before the origin is one"


def test_given_missed_visits_then_deaths_after_more_than_one_of_them_are_counted() -> None:
    """The index course ends on 29 February 2024. Visits 2 and 3 have windows from 15 August to 12 September, days 196
    to 224, and from 15 November to 13 December, days 288 to 316."""
    ended = [facts.radiotherapy_completed("2024-02-29")]
    deaths = {
        "one missed": (treated(*ended, *assessed(110), dead(316)), 0),
        "two missed": (treated(*ended, *assessed(110), dead(317)), 1),
        "assessed late": (treated(*ended, *assessed(196), dead(317)), 0),
        "never assessed": (treated(*ended, dead(317)), 1),
        "progressed": (treated(*ended, follow_up.disease_progressed(20), dead(317)), 0),
        "no visits": (treated(dead(900)), 0),
        "living": (treated(*ended, *alive(900)), 0),
        "long after the plan": (treated(*ended, *assessed(770), dead(1500)), 0),
    }
    counts = {
        name: count_deaths_after_missed_intervals(
            cohort, selection(2000), progression_free_survival(cohort, selection(2000))
        )
        for name, cohort in ((name, cohort_of([participant])) for name, (participant, _) in deaths.items())
    }
    assert counts == {name: count for name, (_, count) in deaths.items()}


def test_given_a_narrower_schedule_then_its_intervals_count() -> None:
    """With a visit each month, a death 100 days after the last assessment follows three of them."""
    monthly = facts.protocol(follow_up={"every_months": 1, "for_months": 12, "window_days": {"before": 3, "after": 3}})
    participant = treated(facts.radiotherapy_completed(28), *assessed(60), dead(160))
    counts = [
        count_deaths_after_missed_intervals(cohort, selection(300), progression_free_survival(cohort, selection(300)))
        for cohort in (cohort_of([participant], study=record_of(facts.study_opened(monthly))), cohort_of([participant]))
    ]
    assert counts == [1, 0]


def test_given_a_death_without_a_date_then_time_ends_on_the_last_assessment() -> None:
    undated = treated(*assessed(60), *alive(100), dead(None))
    assert progression_times(300, undated) == [Time(0, 60, False)]
    cohort = cohort_of([undated])
    times = progression_free_survival(cohort, selection(300))
    ((name, reading),) = other_progression_readings(cohort, selection(300), times)
    assert (name, times_of(reading)) == ("undated_as_event", [Time(0, 101, True)])


def test_given_a_withdrawal_then_a_later_death_is_no_event() -> None:
    leaving = treated(*assessed(60), facts.consent_withdrawn(100), dead(150))
    assert progression_times(300, leaving) == [Time(0, 60, False)]


def test_given_a_progression_before_the_entry_then_the_event_is_before_the_entry() -> None:
    participant = treated(follow_up.disease_progressed(10), *alive(90), enrolled=30)
    times = progression_free_survival(cohort_of([participant]), selection(300))
    assert (times.participants, times.not_counted["event_before_entry"]) == (0, 1)


def test_given_a_histology_after_a_death_then_the_death_is_the_event() -> None:
    participant = treated(dead(100), follow_up.disease_progressed(103, basis="histology"))
    assert progression_times(300, participant) == [Time(0, 100, True)]


DAYS = st.integers(0, 30)
HAPPENINGS = st.one_of(
    st.builds(lambda day: assessed(day)[0], DAYS),
    st.builds(follow_up.disease_progressed, DAYS),
    st.builds(lambda day: alive(day)[0], DAYS),
    st.builds(facts.consent_withdrawn, DAYS),
)
PARTICIPANTS = st.builds(
    lambda stated, died, enrolled: treated(*stated, *died, enrolled=enrolled),
    st.lists(HAPPENINGS, max_size=6),
    st.lists(st.builds(dead, st.none() | DAYS), max_size=1),
    st.integers(0, 8),
)


@given(st.lists(PARTICIPANTS, min_size=1, max_size=5), st.integers(0, 35))
def test_progression_free_survival_is_never_longer_than_survival(cohort: list[list[Fact]], cut: int) -> None:
    """A death that counts for survival counts here as well; everybody enrolled is counted or listed once."""
    snapshot, chosen = cohort_of(cohort), selection(cut)
    progression, survival = progression_free_survival(snapshot, chosen), overall_survival(snapshot, chosen)
    whole = dict(zip(survival.subjects.tolist(), times_of(survival), strict=True))
    for subject, time in zip(progression.subjects.tolist(), times_of(progression), strict=True):
        assert time.exit <= whole[subject].exit
        assert time.is_event or not whole[subject].is_event
    counted = [times.participants + sum(times.not_counted.values()) for times in (progression, survival)]
    assert counted[0] == counted[1]


@given(st.lists(PARTICIPANTS, min_size=1, max_size=5))
def test_no_event_of_progression_moves_as_the_cut_off_grows(cohort: list[list[Fact]]) -> None:
    snapshot = cohort_of(cohort)
    by_cut = [progression_free_survival(snapshot, selection(cut)) for cut in range(0, 35, 3)]
    for earlier, later in pairwise(by_cut):
        before, after = (dict(zip(times.subjects.tolist(), times_of(times), strict=True)) for times in (earlier, later))
        for subject in before.keys() & after.keys():
            assert before[subject].exit <= after[subject].exit
            assert not before[subject].is_event or before[subject] == after[subject]
