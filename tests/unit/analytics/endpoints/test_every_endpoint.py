"""Every endpoint along any history: what a later cut-off may change, and what the facts of others change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from services.analytics.endpoints.enrolled import EnrolledRows
from services.analytics.endpoints.follow_up import follow_up_times
from services.analytics.endpoints.local_control import LesionTimes, local_control
from services.analytics.endpoints.overall_survival import overall_survival
from services.analytics.endpoints.progression_control import progression_control
from services.analytics.endpoints.progression_free_survival import progression_free_survival
from services.analytics.endpoints.severe_toxicity import SevereToxicityEndpoint
from services.analytics.endpoints.symptom_relief import SymptomRelief
from services.analytics.endpoints.time_to_event import EndpointTimes
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import StudySnapshot
from services.analytics.statistics.risk_sets import CENSORED
from shared.kernel.fact import Fact
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as follow_up
from tests.unit.analytics.endpoints.cohorts import alive, cohort_of, dead, selection, stereotactic_course, treated
from tests.unit.analytics.endpoints.toxicity_cohorts import graded
from tests.unit.analytics.support import record_of

Times = EndpointTimes | LesionTimes


def first_relief(snapshot: StudySnapshot, chosen: Selection) -> EndpointTimes:
    """Returns the times to relief of pain, the only symptom of the protocol."""
    (pain,) = SymptomRelief(EnrolledRows(snapshot, chosen)).courses()
    return pain.times


ENDPOINTS: Mapping[str, Callable[[StudySnapshot, Selection], Times]] = {
    "overall survival": overall_survival,
    "progression-free survival": progression_free_survival,
    "locoregional control": lambda snapshot, chosen: progression_control(snapshot, chosen, "locoregional"),
    "distant control": lambda snapshot, chosen: progression_control(snapshot, chosen, "distant"),
    "first failure": lambda snapshot, chosen: progression_control(snapshot, chosen, "first"),
    "local control": local_control,
    "severe toxicity": lambda snapshot, chosen: SevereToxicityEndpoint.of(snapshot, chosen).times("all_causes"),
    "related toxicity": lambda snapshot, chosen: SevereToxicityEndpoint.of(snapshot, chosen).times("related"),
    "symptom relief": first_relief,
    "follow-up": follow_up_times,
}
WITHOUT_FIXED_EVENTS = {"follow-up"}
"""The event of follow-up is its end, which a later cut-off puts later."""
STUDY = record_of(facts.study_opened(facts.protocol(symptoms=["pain"])))
LESION = facts.lesion_registered("L1", kind="primary")
TREATMENT = facts.radiotherapy_started(0, "RT1", facts.target("T1", "L1"))
PAIN = facts.baseline_recorded(0, symptoms=[{"symptom": "pain", "severity": "mild"}])
DAYS = st.integers(0, 30)


def contact(day: int, status: str, distant: str, change: str) -> Fact:
    disease = follow_up.disease_status("L1", status=status, distant=distant)
    return follow_up.follow_up_recorded(day, disease=disease, symptoms=[{"symptom": "pain", "change": change}])


HAPPENINGS = st.one_of(
    st.builds(
        contact,
        DAYS,
        st.sampled_from(["controlled", "progressed", "not_assessed"]),
        st.sampled_from(["stable", "progressed", "not_assessed"]),
        st.sampled_from(["improved", "stable", "worse"]),
    ),
    st.builds(follow_up.disease_progressed, DAYS, st.sampled_from(["L1", None])),
    st.builds(graded, DAYS, st.none() | st.integers(0, 5)),
    st.builds(lambda day: alive(day)[0], DAYS),
    st.builds(stereotactic_course, DAYS),
    st.builds(facts.consent_withdrawn, DAYS),
)


class StatedHistory(NamedTuple):
    """The facts of a participant whose index course starts on day 0. `died`: no fact, or one."""

    happened: Sequence[Fact]
    died: Sequence[Fact]
    enrolled: int

    def facts(self) -> list[Fact]:
        enrollment = [fact for fact in treated(enrolled=self.enrolled) if fact.type_name != "radiotherapy.started"]
        once = {(fact.type_name, getattr(fact, "course_id", index)): fact for index, fact in enumerate(self.happened)}
        return [*enrollment, PAIN, LESION, TREATMENT, *once.values(), *self.died]


COHORTS = st.lists(
    st.builds(
        StatedHistory,
        st.lists(HAPPENINGS, max_size=6),
        st.lists(st.builds(dead, st.none() | DAYS), max_size=1),
        st.integers(0, 8),
    ),
    min_size=1,
    max_size=4,
)


def ends_of(times: Times, subjects: int) -> dict[tuple[int, int], tuple[int, int]]:
    """Returns the exit and the cause of each time of the first participants, by participant and day of the origin."""
    observations = times.observations
    columns = (times.subjects, times.origins, observations.exits, observations.causes)
    return {
        (subject, origin): (exit_, cause)
        for subject, origin, exit_, cause in zip(*(column.tolist() for column in columns), strict=True)
        if subject < subjects
    }


def study_of(cohort: Sequence[StatedHistory]) -> StudySnapshot:
    return cohort_of([participant.facts() for participant in cohort], study=STUDY)


@given(COHORTS)
def test_no_exit_decreases_and_no_event_moves_as_the_cut_off_grows(cohort: list[StatedHistory]) -> None:
    snapshot = study_of(cohort)
    for name, times_at in ENDPOINTS.items():
        by_cut = [ends_of(times_at(snapshot, selection(cut)), len(cohort)) for cut in range(0, 35, 4)]
        for earlier, later in pairwise(by_cut):
            for key in earlier.keys() & later.keys():
                (exit_, cause), (later_exit, _) = earlier[key], later[key]
                assert exit_ <= later_exit, name
                assert cause == CENSORED or name in WITHOUT_FIXED_EVENTS or earlier[key] == later[key], name


@given(COHORTS, COHORTS, st.integers(0, 35))
def test_facts_of_one_participant_change_nothing_of_another(
    cohort: list[StatedHistory], others: list[StatedHistory], cut: int
) -> None:
    alone, beside = study_of(cohort), study_of([*cohort, *others])
    for name, times_at in ENDPOINTS.items():
        ends = [ends_of(times_at(snapshot, selection(cut)), len(cohort)) for snapshot in (alone, beside)]
        assert ends[0] == ends[1], name


@given(COHORTS, st.integers(0, 35))
def test_everybody_is_counted_or_listed_once_and_the_dead_end_in_every_curve(
    cohort: list[StatedHistory], cut: int
) -> None:
    snapshot, chosen = study_of(cohort), selection(cut)
    survival = overall_survival(snapshot, chosen)
    enrolled = survival.participants + sum(survival.not_counted.values())
    died = set(survival.subjects[survival.observations.causes != CENSORED].tolist())
    for name in ENDPOINTS.keys() - {"symptom relief", "follow-up"}:
        times = ENDPOINTS[name](snapshot, chosen)
        assert times.participants + sum(times.not_counted.values()) == enrolled, name
        ended = times.observations.causes != CENSORED
        assert died.isdisjoint(times.subjects[~ended].tolist()), name
