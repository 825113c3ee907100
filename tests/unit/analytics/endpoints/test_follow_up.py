"""Follow-up: the reverse curve of survival, Clark's C, and how recent the proofs of life are."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.endpoints.follow_up import RecentProofs, completeness, currency, follow_up_times
from services.analytics.endpoints.observed_time import living_by_day
from services.analytics.endpoints.overall_survival import overall_survival
from services.analytics.statistics.kaplan_meier import kaplan_meier, quantile
from services.analytics.statistics.risk_sets import CENSORED
from shared.testing.builders import facts
from tests.unit.analytics.endpoints.cohorts import (
    FOUR_CASES_CUT,
    Time,
    alive,
    cohort_of,
    dead,
    four_cases,
    selection,
    stereotactic_course,
    survival_times,
    times_of,
    treated,
)
from tests.unit.analytics.endpoints.known_lives import COHORTS, KnownLife
from tests.unit.analytics.support import STUDY, record_of


def test_given_the_four_cases_then_the_undated_death_is_censored_in_the_reverse_curve() -> None:
    """Review, F7: the median is 345 and Clark's C 1335 / 1337."""
    chosen = selection(FOUR_CASES_CUT)
    times = follow_up_times(four_cases(), chosen)
    assert times_of(times) == [Time(0, 246, False), Time(0, 145, False), Time(0, 599, False), Time(0, 345, True)]
    assert quantile(kaplan_meier(times.observations)).value == 345
    assert completeness(four_cases(), chosen) == pytest.approx(0.998504113687360, abs=1e-12)


def test_given_a_dead_and_a_censored_participant_on_one_day_then_the_dead_are_at_risk_of_being_censored() -> None:
    """R gives 0.667 and 0 for a death on day 1, and censoring on days 1 and 2."""
    cohort = cohort_of([treated(dead(1)), treated(*alive(1)), treated(*alive(2))])
    curve = kaplan_meier(follow_up_times(cohort, selection(300)).observations)
    assert curve.estimate.tolist() == pytest.approx([1, 2 / 3, 0])


def test_given_a_stereotactic_course_then_reaching_the_group_ends_nobodys_follow_up() -> None:
    reaching = treated(stereotactic_course(40), *alive(100))
    times = follow_up_times(cohort_of([reaching, treated(*alive(60))]), selection(300, by="subset"))
    assert times_of(times, "other") == [Time(0, 40, False), Time(0, 60, True)]
    assert times_of(times, "stereotactic") == [Time(40, 100, True)]


@given(COHORTS, st.integers(0, 35))
def test_given_any_division_then_as_many_ends_of_follow_up_are_counted(cohort: list[KnownLife], cut: int) -> None:
    snapshot = cohort_of([life.facts() for life in cohort])
    whole, *divided = (follow_up_times(snapshot, selection(cut, by=by)) for by in (None, "subset", "delivery", "sex"))
    ends = [times.subjects[times.observations.causes != CENSORED].tolist() for times in divided]
    expected = whole.subjects[whole.observations.causes != CENSORED].tolist()
    assert [sorted(subjects) for subjects in ends] == [sorted(expected)] * 3


def test_given_nobody_then_completeness_is_undefined() -> None:
    assert completeness(cohort_of([]), selection(300)) is None
    assert completeness(cohort_of([treated(dead(0))]), selection(300)) is None


def test_given_follow_up_beyond_the_plan_then_both_times_end_with_the_plan() -> None:
    """The last of eight visits after the end of the index course on day 28 has its slot end in 2026."""
    ended = treated(facts.radiotherapy_completed(28), *alive(1000))
    assert completeness(cohort_of([ended]), selection(2000)) == 1
    silent = treated(facts.radiotherapy_completed(28), *alive(400))
    late, later = (completeness(cohort_of([silent]), selection(cut)) for cut in (1500, 2000))
    assert late == later


def test_given_an_undated_death_after_the_cut_off_then_the_participant_is_living_until_the_plan_ends() -> None:
    """Both end follow-up with the plan, in 2026; alone, the death of the first may not lengthen the possible time."""
    ended = facts.radiotherapy_completed(28)
    dying, living = treated(ended, *alive(1000), dead(None)), treated(ended, *alive(1000))
    silent = treated(ended, *alive(400))
    completenesses = [completeness(cohort_of([other, silent]), selection(900)) for other in (dying, living)]
    assert completenesses[0] == completenesses[1]
    assert completeness(cohort_of([dying, silent]), selection(1000)) != completenesses[0]


def test_given_a_withdrawal_then_the_time_after_it_was_possible() -> None:
    leaving = treated(*alive(100), facts.consent_withdrawn(100))
    assert completeness(cohort_of([leaving]), selection(200)) == pytest.approx(0.5)
    died_later = treated(*alive(100), facts.consent_withdrawn(100), dead(125))
    assert completeness(cohort_of([died_later]), selection(200)) == pytest.approx(0.8)


def test_given_a_proof_of_life_within_an_interval_and_its_window_then_it_is_recent() -> None:
    """Three months and 14 days before day 300, 27 November 2024: 13 August, day 194."""
    cohort = [treated(*alive(194)), treated(*alive(193)), treated(*alive(400)), treated(dead(10)), treated(dead(None))]
    assert currency(cohort_of(cohort), selection(300)) == RecentProofs(living=3, current=2)
    withdrawn = treated(*alive(100), facts.consent_withdrawn(100))
    assert currency(cohort_of([withdrawn]), selection(300)) == RecentProofs(living=1, current=0)


def test_given_a_death_after_the_cut_off_then_the_participant_is_known_to_live_on_it() -> None:
    """Survival is censored on the cut-off likewise. After a withdrawal of consent a death proves nothing."""
    dying = treated(*alive(100), dead(310))
    assert survival_times(300, dying) == [Time(0, 300, False)]
    assert currency(cohort_of([dying]), selection(300)) == RecentProofs(living=1, current=1)
    leaving = treated(*alive(100), facts.consent_withdrawn(100), dead(310))
    assert currency(cohort_of([leaving]), selection(300)) == RecentProofs(living=1, current=0)


@given(COHORTS, st.integers(0, 200))
def test_marks_of_a_curve_are_the_currency_on_the_last_possible_day(cohort: list[KnownLife], cut: int) -> None:
    """All are enrolled on day 0, so that the cut-off is the last possible day of everybody (ADR 42)."""
    link = {"site_id": "rome", "from": facts.day(0)}
    linked = record_of(facts.study_opened(facts.protocol(registry_links=[link])))
    same_day = [replace(life, enrolled=0, start=0) for life in cohort]
    for study in (STUDY, linked):
        snapshot, chosen = cohort_of([life.facts() for life in same_day], study=study), selection(cut)
        living, _ = living_by_day(snapshot, chosen, overall_survival(snapshot, chosen))
        recent = currency(snapshot, chosen)
        on_cut = (int(living.living[-1]), int(living.not_current[-1])) if len(living.living) == cut + 1 else (0, 0)
        assert on_cut == (recent.living, recent.living - recent.current)
