"""Worst grades of each term before and after radiotherapy began: what is 0, what is not assessed, what is related."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from infra.reference.study import PROTOCOL
from services.analytics.endpoints.toxicity_grades import NOT_ASSESSED, UNGRADED, ToxicityGrades
from services.analytics.snapshot.selection import ToxicitySelection
from services.analytics.snapshot.snapshot import StudySnapshot
from shared.kernel.fact import Fact
from shared.kernel.record import Record
from shared.protocol.protocol import Protocol
from shared.testing.builders import facts
from shared.testing.builders.facts import day
from shared.testing.builders.participant_history import participant_events
from shared.testing.builders.toxicity_facts import DYSPHAGIA, finding, serious_event_reported, toxicity_assessed
from tests.unit.analytics.endpoints.cohorts import (
    FOUR_CASES_CUT,
    KNOWN_ON,
    dead,
    selection,
    stereotactic_course,
    treated,
)
from tests.unit.analytics.endpoints.toxicity_cohorts import TO_COURSE, TO_DISEASE, baseline, complete, graded
from tests.unit.analytics.published_cases import CASE_NUMBERS, published_case_events
from tests.unit.analytics.support import record_of, snapshot_of_events

NAUSEA, SEIZURE, FATIGUE = "3.0:0207", "3.0:0699", "3.0:0061"
CHECKLIST = [DYSPHAGIA, NAUSEA]
STUDY_OPENED = facts.study_opened(facts.protocol(toxicity={"dictionary": "ctcae-3.0", "checklist": CHECKLIST}))
STUDY = record_of(STUDY_OPENED)


def cohort_of(*participants: Sequence[Fact], study: Record = STUDY) -> StudySnapshot:
    events = [
        event
        for number, stated in enumerate(participants)
        for event in participant_events(stated, f"P{number:02}", known_on=KNOWN_ON)
    ]
    return snapshot_of_events(events, study)


def grades_of(period: str, term: str, *participants: Sequence[Fact], cut: int = 300, **changes: Any) -> list[int]:
    """Returns the worst grade of a term of each participant in a period."""
    grades = ToxicityGrades.of(cohort_of(*participants), selection(cut, **changes))
    worst: list[int] = getattr(grades, period)[:, list(grades.terms).index(term)].tolist()
    return worst


def test_grades_of_the_four_cases() -> None:
    """W19's table: seizures {0: 2, 2: 1, not assessed: 1}, dysphagia never graded in case 3."""
    study = record_of(facts.study_opened(Protocol.model_validate(PROTOCOL)))
    snapshot = snapshot_of_events([event for number in CASE_NUMBERS for event in published_case_events(number)], study)
    grades = ToxicityGrades.of(snapshot, selection(FOUR_CASES_CUT))
    seizure, dysphagia = (list(grades.terms).index(term) for term in (SEIZURE, DYSPHAGIA))
    assert grades.before[:, seizure].tolist() == [NOT_ASSESSED] * 4
    assert Counter(grades.after[:, seizure].tolist()) == {0: 2, 2: 1, NOT_ASSESSED: 1}
    assert grades.after[:, dysphagia].tolist() == [0, NOT_ASSESSED, UNGRADED, 0]


def test_term_of_the_checklist_is_0_if_a_complete_assessment_does_not_name_it() -> None:
    incomplete = treated(graded(10, 2))
    assert grades_of("after", NAUSEA, treated(*complete(10)), incomplete) == [0, NOT_ASSESSED]
    assert grades_of("after", FATIGUE, treated(*complete(10)), treated(graded(9, 1, term=FATIGUE))) == [NOT_ASSESSED, 1]


def test_checklist_is_that_of_the_protocol_on_the_day_of_the_assessment() -> None:
    amendment = facts.protocol_amended(20, facts.protocol(toxicity={"dictionary": "ctcae-3.0", "checklist": [FATIGUE]}))
    snapshot = cohort_of(treated(*complete(10)), treated(*complete(20)), study=record_of(STUDY_OPENED, amendment))
    grades = ToxicityGrades.of(snapshot, selection(300))
    columns = [list(grades.terms).index(term) for term in (NAUSEA, FATIGUE)]
    assert grades.after[:, columns].tolist() == [[0, NOT_ASSESSED], [NOT_ASSESSED, 0]]


def test_finding_that_was_not_graded_neither_raises_nor_lowers() -> None:
    participants = [
        treated(graded(10, None)),
        treated(graded(10, None), graded(20, 1)),
        treated(toxicity_assessed(10, finding(grade=None))),
        treated(toxicity_assessed(10, finding(grade=None)), *complete(20)),
    ]
    assert grades_of("after", DYSPHAGIA, *participants) == [UNGRADED, 1, UNGRADED, 0]
    assert grades_of("after_related", DYSPHAGIA, *participants) == [UNGRADED, 1, UNGRADED, 0]


def test_before_is_the_worst_baseline_by_time_0_and_after_is_all_else_from_that_day_on() -> None:
    participant = treated(baseline(-5, 2), baseline(0, 1), graded(-3, 5), baseline(4, 3), graded(0, 1), enrolled=-10)
    assert grades_of("before", DYSPHAGIA, participant) == [2]
    assert grades_of("after", DYSPHAGIA, participant) == [3]
    assert grades_of("after", DYSPHAGIA, participant, cut=3) == [1]


def test_serious_events_count_with_their_highest_grade() -> None:
    assert grades_of("after", DYSPHAGIA, treated(serious_event_reported(when=40, grade=4), graded(50, 2))) == [4]


def test_related_is_0_where_nothing_of_an_assessed_term_may_be_of_a_course() -> None:
    participants = [
        treated(graded(10, 3, **TO_DISEASE)),
        treated(graded(10, 3, **TO_DISEASE), graded(20, 2, **TO_COURSE)),
        treated(graded(10, 3)),
        treated(dead(10)),
    ]
    assert grades_of("after_related", DYSPHAGIA, *participants) == [0, 2, 3, NOT_ASSESSED]


def test_acute_and_late_go_by_the_day_of_the_event() -> None:
    participant = treated(graded(80, 2), graded(100, 3, term=NAUSEA, onset_on=day(85)), *complete(120))
    acute, late = (ToxicitySelection(window=window) for window in ("acute", "late"))
    assert grades_of("after", DYSPHAGIA, participant, toxicity=acute) == [2]
    assert grades_of("after", DYSPHAGIA, participant, toxicity=late) == [0]
    assert grades_of("after", NAUSEA, participant, toxicity=acute) == [3]
    assert grades_of("after", NAUSEA, participant, toxicity=late) == [0]


def test_clock_may_be_the_first_stereotactic_course() -> None:
    participant = treated(graded(10, 4), stereotactic_course(20), graded(30, 1))
    snapshot = cohort_of(participant, treated(graded(10, 4)))
    grades = ToxicityGrades.of(snapshot, selection(300, origin="stereotactic_start"))
    assert (grades.origin, grades.after.tolist()) == ("stereotactic_start", [[1, NOT_ASSESSED]])


def test_participants_before_their_course_are_not_counted() -> None:
    snapshot = cohort_of(treated(*complete(10)), treated(start=50, enrolled=40), list(facts.ENROLLMENT_FACTS))
    assert len(ToxicityGrades.of(snapshot, selection(45)).after) == 1
    assert list(ToxicityGrades.of(cohort_of(), selection(45)).terms) == sorted(CHECKLIST)


@dataclass(frozen=True)
class Assessed:
    """An assessment: its day, whether it is a baseline and complete, and grades by term, which may be None."""

    on: int
    is_baseline: bool
    is_complete: bool
    grades: dict[str, int | None]

    def fact(self) -> Fact:
        return toxicity_assessed(
            self.on,
            *[finding(term, grade) for term, grade in self.grades.items()],
            timepoint="baseline" if self.is_baseline else "follow_up",
            checklist_complete=self.is_complete,
        )


ASSESSED = st.builds(
    Assessed,
    on=st.integers(-5, 20),
    is_baseline=st.booleans(),
    is_complete=st.booleans(),
    grades=st.dictionaries(st.sampled_from([DYSPHAGIA, NAUSEA, FATIGUE]), st.none() | st.integers(0, 5), max_size=3),
)
HISTORIES = st.lists(st.lists(ASSESSED, max_size=5), min_size=1, max_size=4)


def slow_worst(assessments: Sequence[Assessed], term: str) -> int:
    """Returns the worst grade of a term in these assessments, a sentence of domain.md, section 6, after the other."""
    named = [other.grades[term] for other in assessments if term in other.grades]
    grades = [grade for grade in named if grade is not None]
    if any(other.is_complete and term in CHECKLIST and term not in other.grades for other in assessments):
        grades.append(0)
    return max(grades) if grades else UNGRADED if named else NOT_ASSESSED


@given(HISTORIES, st.integers(0, 25))
def test_a_slow_implementation_per_participant_agrees(histories: list[list[Assessed]], cut: int) -> None:
    participants = [treated(*[other.fact() for other in history], enrolled=-10) for history in histories]
    grades = ToxicityGrades.of(cohort_of(*participants), selection(cut))
    for number, history in enumerate(histories):
        before = [other for other in history if other.is_baseline and other.on <= 0]
        after = [other for other in history if other not in before and 0 <= other.on <= cut]
        for column, term in enumerate(grades.terms):
            assert grades.before[number, column] == slow_worst(before, term)
            assert grades.after[number, column] == slow_worst(after, term)
