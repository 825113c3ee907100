"""Overall survival along any history: what a later cut-off may change, and a slow implementation per participant."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.analytics.endpoints.overall_survival import overall_survival
from tests.unit.analytics.endpoints.cohorts import Time, cohort_of, selection, times_of
from tests.unit.analytics.endpoints.known_lives import COHORTS, KnownLife, lives


def slow_time(life: KnownLife, cut: int) -> Time | str | None:
    """Returns the time of one participant from the start of the index course, the reason for none, or None if unknown.

    A sentence of domain.md, section 6, after the other.
    """
    leaving = 1000 if life.withdrawn is None else life.withdrawn
    if life.enrolled > min(cut, leaving):
        return None
    if life.start is None or life.start > min(cut, leaving):
        return "no_origin"
    first = min(life.start, life.enrolled)
    proofs = [first, life.enrolled, life.start, *life.seen, *life.registry]
    proofs += [] if life.stereotactic is None else [life.stereotactic]
    last_alive = max(day for day in proofs if day <= leaving)
    died = life.died if life.died is not None and 0 <= life.died <= leaving else None
    if died is not None and died <= cut:
        exit_, is_event = died, True
    else:
        exit_, is_event = (cut if died is not None else min(cut, last_alive)), False
    if exit_ < life.start:
        return "exit_before_origin"
    entry = max(0, life.enrolled - life.start)
    if entry > 0 and exit_ - life.start <= entry:
        return "event_before_entry" if is_event else "entry_not_before_exit"
    return Time(entry, exit_ - life.start, is_event)


@given(COHORTS, st.integers(0, 35))
def test_a_slow_implementation_per_participant_agrees(cohort: list[KnownLife], cut: int) -> None:
    times = overall_survival(cohort_of([life.facts() for life in cohort]), selection(cut))
    expected = [slow_time(life, cut) for life in cohort]
    assert times_of(times) == [time for time in expected if isinstance(time, Time)]
    reasons = Counter(reason for reason in expected if isinstance(reason, str))
    assert {reason: count for reason, count in times.not_counted.items() if count} == reasons


@given(COHORTS)
def test_no_exit_decreases_and_no_event_moves_as_the_cut_off_grows(cohort: list[KnownLife]) -> None:
    snapshot = cohort_of([life.facts() for life in cohort])
    by_cut = [overall_survival(snapshot, selection(cut)) for cut in range(0, 35, 2)]
    for earlier, later in pairwise(by_cut):
        before, after = (dict(zip(times.subjects.tolist(), times_of(times), strict=True)) for times in (earlier, later))
        for subject in before.keys() & after.keys():
            assert before[subject].exit <= after[subject].exit
            assert not before[subject].is_event or before[subject] == after[subject]


@given(COHORTS, st.integers(0, 35), st.sampled_from(["enrolled", "rt_start", "stereotactic_start"]))
def test_everybody_enrolled_is_counted_or_listed_once(cohort: list[KnownLife], cut: int, origin: str) -> None:
    snapshot = cohort_of([life.facts() for life in cohort])
    enrolled = int((snapshot.subjects["enrolled_on"] <= selection(cut).cut_number).sum())
    times = overall_survival(snapshot, selection(cut, origin=origin))
    assert times.participants + sum(times.not_counted.values()) == enrolled


@given(COHORTS, st.integers(0, 35))
def test_division_by_subset_has_the_same_days_at_risk_and_the_same_events(cohort: list[KnownLife], cut: int) -> None:
    snapshot = cohort_of([life.facts() for life in cohort])
    whole, divided = (overall_survival(snapshot, selection(cut, by=by)) for by in (None, "subset"))
    assert (whole.participants, whole.events) == (divided.participants, divided.events)
    assert whole.not_counted == divided.not_counted
    days = [sum(time.exit - time.entry for time in times_of(times)) for times in (whole, divided)]
    assert days[0] == days[1]


@given(COHORTS, lives(), st.integers(0, 35))
def test_facts_of_one_participant_change_nothing_of_the_others(
    cohort: list[KnownLife], other: KnownLife, cut: int
) -> None:
    alone = overall_survival(cohort_of([life.facts() for life in cohort]), selection(cut))
    beside = overall_survival(cohort_of([life.facts() for life in (*cohort, other)]), selection(cut))
    others = [
        row for row, subject in zip(times_of(beside), sorted(beside.subjects), strict=True) if subject < len(cohort)
    ]
    assert others == times_of(alone)
