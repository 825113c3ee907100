"""Severe toxicity along any history: a slow implementation per participant, and what a later cut-off may change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.endpoints.overall_survival import overall_survival
from services.analytics.endpoints.severe_toxicity import Attribution, SevereToxicityEndpoint
from services.analytics.snapshot.selection import ToxicitySelection
from services.analytics.statistics.competing_risks import cumulative_incidence
from shared.kernel.fact import Fact
from shared.testing.builders.toxicity_facts import finding, toxicity_assessed
from tests.unit.analytics.endpoints.cohorts import alive, cohort_of, dead, selection, treated
from tests.unit.analytics.endpoints.toxicity_cohorts import DEAD, NOTHING, TO_COURSE, TO_DISEASE, TOXIC, exits_of

DAYS = st.integers(-4, 30)
ATTRIBUTIONS = {"course": TO_COURSE, "disease": TO_DISEASE, "nothing": {}}


@dataclass(frozen=True)
class Graded:
    """An assessment of one term. `grade`: None if it was not graded."""

    on: int
    is_baseline: bool
    is_complete: bool
    grade: int | None
    attribution: str

    def fact(self) -> Fact:
        return toxicity_assessed(
            self.on,
            finding(grade=self.grade, **ATTRIBUTIONS[self.attribution]),
            timepoint="baseline" if self.is_baseline else "follow_up",
            checklist_complete=self.is_complete,
        )

    @property
    def is_before(self) -> bool:
        return self.is_baseline and self.on <= 0

    @property
    def severity(self) -> int:
        return -1 if self.grade is None else self.grade


@dataclass(frozen=True)
class ToxicLife:
    """The assessments of a participant whose course starts on day 0. `died`: None for no death."""

    enrolled: int
    assessments: Sequence[Graded]
    died: int | None

    def facts(self) -> list[Fact]:
        death = [dead(self.died)] if self.died is not None else []
        return treated(*[other.fact() for other in self.alive()], *death, *alive(0), enrolled=self.enrolled)

    def alive(self) -> list[Graded]:
        """Returns the assessments by the day of death."""
        return [other for other in self.assessments if self.died is None or other.on <= self.died]


LIVES = st.builds(
    ToxicLife,
    enrolled=st.integers(-5, 8),
    assessments=st.lists(
        st.builds(
            Graded,
            on=DAYS,
            is_baseline=st.booleans(),
            is_complete=st.booleans(),
            grade=st.none() | st.integers(0, 5),
            attribution=st.sampled_from(sorted(ATTRIBUTIONS)),
        ),
        max_size=5,
    ),
    died=st.none() | st.integers(0, 30),
)
COHORTS = st.lists(LIVES, min_size=1, max_size=6)
TOXICITY = st.builds(
    ToxicitySelection,
    window=st.sampled_from(["all", "acute", "late"]),
    late_after=st.integers(0, 20),
    emergent=st.booleans(),
)


def slow_exit(
    life: ToxicLife, cut: int, toxicity: ToxicitySelection, attribution: Attribution
) -> tuple[int, int] | str | None:
    """Returns the exit and its cause, the reason for none, or None for a participant who is not enrolled yet.

    A sentence of domain.md, section 6, after the other.
    """
    if life.enrolled > cut:
        return None
    if cut < 0:
        return "no_origin"
    before = [other.severity for other in life.alive() if other.is_before]
    if max(before, default=0) >= 3 and not toxicity.emergent:
        return "baseline_severe"
    after = [other for other in life.alive() if not other.is_before and 0 <= other.on <= cut]
    severe = [other for other in after if other.severity >= 3]
    if toxicity.emergent:
        severe = [other for other in severe if other.severity > max(before, default=-1)]
    if toxicity.window != "all":
        severe = [other for other in severe if (other.on <= toxicity.late_after) is (toxicity.window == "acute")]
    related = [other for other in severe if attribution == "all_causes" or other.attribution != "disease"]
    has_died = life.died is not None and life.died <= cut
    assessed = [other for other in life.alive() if 0 < other.on <= cut]
    adequate = [other.on for other in assessed if other.is_complete or other.grade is not None]
    if not severe and not has_died and assessed and not adequate:
        return "not_evaluable"
    if related:
        exit_ = (min(other.on for other in related), TOXIC)
    else:
        exit_ = (life.died or 0, DEAD) if has_died else (max(adequate, default=0), NOTHING)
    if exit_[0] <= life.enrolled and life.enrolled > 0:
        return "event_before_entry" if exit_[1] else "entry_not_before_exit"
    return exit_


@pytest.mark.parametrize("attribution", ["all_causes", "related"])
@given(cohort=COHORTS, cut=st.integers(-2, 35), toxicity=TOXICITY)
def test_a_slow_implementation_per_participant_agrees(
    attribution: Attribution, cohort: list[ToxicLife], cut: int, toxicity: ToxicitySelection
) -> None:
    snapshot = cohort_of([life.facts() for life in cohort])
    times = SevereToxicityEndpoint.of(snapshot, selection(cut, toxicity=toxicity)).times(attribution)
    expected = [slow_exit(life, cut, toxicity, attribution) for life in cohort]
    assert exits_of(times) == [exit_ for exit_ in expected if isinstance(exit_, tuple)]
    reasons = Counter(reason for reason in expected if isinstance(reason, str))
    assert {reason: count for reason, count in times.not_counted.items() if count} == reasons


@given(COHORTS)
def test_no_exit_decreases_and_no_event_moves_as_the_cut_off_grows(cohort: list[ToxicLife]) -> None:
    snapshot = cohort_of([life.facts() for life in cohort])
    by_cut = [SevereToxicityEndpoint.of(snapshot, selection(cut)).times("all_causes") for cut in range(0, 35, 3)]
    for earlier, later in pairwise(by_cut):
        before, after = (dict(zip(times.subjects.tolist(), exits_of(times), strict=True)) for times in (earlier, later))
        for subject in before.keys() & after.keys():
            assert before[subject][0] <= after[subject][0]
            assert before[subject][1] == NOTHING or before[subject] == after[subject]


@given(COHORTS, st.integers(0, 35))
def test_everybody_dead_in_survival_has_an_end_here_and_incidences_add_up_to_1(
    cohort: list[ToxicLife], cut: int
) -> None:
    snapshot, chosen = cohort_of([life.facts() for life in cohort]), selection(cut)
    times, survival = (
        SevereToxicityEndpoint.of(snapshot, chosen).times("all_causes"),
        overall_survival(snapshot, chosen),
    )
    died = set(survival.subjects[survival.observations.causes > 0].tolist())
    ended = set(times.subjects[times.observations.causes > 0].tolist())
    assert died & set(times.subjects.tolist()) <= ended
    curves = cumulative_incidence(times.observations, 2)
    if len(times.observations):
        assert (curves.incidence.sum(axis=1) + curves.event_free).tolist() == pytest.approx([1.0] * len(curves.days))
