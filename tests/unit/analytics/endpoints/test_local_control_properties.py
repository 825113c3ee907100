"""Local control along any history: what a later cut-off may change, and a slow implementation for each lesion."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.analytics.endpoints.local_control import DEATH, FAILURE, RETREATMENT, local_control
from services.analytics.statistics.competing_risks import cumulative_incidence
from services.analytics.statistics.risk_sets import CENSORED
from shared.kernel.fact import Fact
from shared.testing.builders import facts
from tests.unit.analytics.endpoints.cohorts import alive, cohort_of, dead, selection
from tests.unit.analytics.endpoints.lesion_cohorts import LesionTime, course, imaged, times_of, with_lesions

DAYS = st.integers(0, 30)
STATUSES = st.sampled_from(["controlled", "indeterminate", "necrosis", "progressed", "not_assessed"])
BASES = st.sampled_from(["imaging", "clinical", "histology"])


@dataclass(frozen=True)
class LesionHistory:
    """Two lesions, courses by the lesions that each names, and what happens later, by days."""

    enrolled: int
    courses: list[tuple[int, str, bool]]
    contacts: list[tuple[int, str, str, str]]
    procedures: list[tuple[int, str]]
    alive: list[int]
    withdrawn: int | None
    died: int | None

    def facts(self) -> list[Fact]:
        start = min([self.enrolled, *(day for day, _, _ in self.courses)])
        stated = [
            course(day, *_lesions(names), name=f"C{number}", delivery="SRS" if is_srs else "hypofractionated")
            for number, (day, names, is_srs) in enumerate(self.courses)
        ]
        stated += [
            imaged(day, *_lesions(names), status=status, basis=basis) for day, names, status, basis in self.contacts
        ]
        stated += [facts.procedure_performed(day, lesion_ids=_lesions(names)) for day, names in self.procedures]
        stated += alive(*self.alive)
        stated += [facts.consent_withdrawn(self.withdrawn)] if self.withdrawn is not None else []
        stated += [dead(None if self.died < 0 else self.died)] if self.died is not None else []
        return with_lesions(*stated, enrolled=self.enrolled, start=start)


def _lesions(names: str) -> list[str]:
    return [f"L{name}" for name in names]


@st.composite
def participants(draw: st.DrawFn) -> LesionHistory:
    names = st.sampled_from(["1", "2", "12"])
    withdrawn = draw(st.none() | st.integers(20, 30))
    last = 30 if withdrawn is None else withdrawn
    died = draw(st.none() | st.integers(-1, 30))
    until = st.integers(0, min(last, 30 if died is None or died < 0 else died))
    return LesionHistory(
        enrolled=draw(st.integers(0, 8).filter(lambda day: died is None or died < 0 or day <= died)),
        courses=draw(st.lists(st.tuples(until, names, st.booleans()), max_size=3)),
        contacts=draw(st.lists(st.tuples(until, names, STATUSES, BASES), max_size=5)),
        procedures=draw(st.lists(st.tuples(until, names), max_size=1)),
        alive=draw(st.lists(until, max_size=2)),
        withdrawn=withdrawn,
        died=died,
    )


def slow_time(history: LesionHistory, lesion: str, cut: int, *, srs: bool) -> LesionTime | str | None:
    """Returns the time of a lesion, the reason for none, or None if no course treats it by the cut-off."""
    courses = sorted(
        (day, number, is_srs) for number, (day, names, is_srs) in enumerate(history.courses) if lesion in names
    )
    begun = [(day, number) for day, number, is_srs in courses if day <= cut and (is_srs or not srs)]
    if not begun or history.enrolled > cut:
        return None
    start, number = begun[0]
    events = [
        day for day, names, status, _ in history.contacts if lesion in names and status == "progressed" and day > start
    ]
    again = [day for day, other, _ in courses if other != number and day > start]
    again += [day for day, names in history.procedures if lesion in names and day > start]
    counts = (
        history.died is not None
        and history.died >= 0
        and (history.withdrawn is None or history.died <= history.withdrawn)
    )
    deaths = [history.died] if counts and history.died is not None else []
    happened = [(day, order, FAILURE) for order, days in enumerate([events]) for day in days]
    happened += [(day, 1, RETREATMENT) for day in again] + [(day, 2, DEATH) for day in deaths]
    images = [
        day
        for day, names, status, basis in history.contacts
        if lesion in names and basis == "imaging" and status != "not_assessed" and start < day <= cut
    ]
    end, _, cause = min(
        [event for event in happened if event[0] <= cut], default=(max(images, default=start), 0, CENSORED)
    )
    if history.enrolled > start and end <= history.enrolled:
        return "entry_not_before_exit" if cause == CENSORED else "event_before_entry"
    return LesionTime(f"L{lesion}", max(0, history.enrolled - start), end - start, cause)


@given(st.lists(participants(), min_size=1, max_size=4), st.integers(0, 33), st.booleans())
def test_times_are_those_of_a_slow_implementation(cohort: list[LesionHistory], cut: int, srs: bool) -> None:
    snapshot = cohort_of([history.facts() for history in cohort])
    chosen = selection(cut, subset="stereotactic" if srs else "all")
    times = local_control(snapshot, chosen)
    expected = [slow_time(history, lesion, cut, srs=srs) for history in cohort for lesion in "12"]
    assert times_of(snapshot, times) == [time for time in expected if isinstance(time, LesionTime)]
    reasons = [time for time in expected if isinstance(time, str)]
    assert sum(times.lesions_not_counted.values()) == len(reasons)
    if not srs:
        enrolled = sum(history.enrolled <= min(cut, history.withdrawn or 99) for history in cohort)
        assert times.participants + sum(times.not_counted.values()) == enrolled
    curves = cumulative_incidence(times.observations, 3, times.subjects)
    assert all(
        abs(total - 1) < 1e-12 for total in (curves.event_free + curves.incidence.sum(axis=1)) if len(times.subjects)
    )


@given(st.lists(participants(), min_size=1, max_size=4))
def test_no_event_of_a_lesion_moves_as_the_cut_off_grows(cohort: list[LesionHistory]) -> None:
    snapshot = cohort_of([history.facts() for history in cohort])
    by_cut = [local_control(snapshot, selection(cut)) for cut in range(0, 35, 4)]
    for earlier, later in pairwise(by_cut):
        before, after = (
            {
                (subject, lesion, origin): (exit_, cause)
                for subject, lesion, origin, exit_, cause in zip(
                    times.subjects.tolist(),
                    times.lesions.tolist(),
                    times.origins.tolist(),
                    times.observations.exits.tolist(),
                    times.observations.causes.tolist(),
                    strict=True,
                )
            }
            for times in (earlier, later)
        )
        assert before.keys() <= after.keys()
        for key, (exit_, cause) in before.items():
            assert exit_ <= after[key][0]
            assert cause == CENSORED or (exit_, cause) == after[key]
