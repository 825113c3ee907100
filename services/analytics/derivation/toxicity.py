"""Derives toxicity assessments and their findings, and a finding of each serious adverse event."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import groupby

from services.analytics.cohort.date_imputation import AnalysisDay
from services.analytics.cohort.participant import Participant
from services.analytics.cohort.serious_events import SeriousEvent, serious_events
from services.analytics.cohort.study_plans import StudyPlans
from services.analytics.derivation.days import analysis_day, impute_day
from services.analytics.derivation.rows import NEVER, UNKNOWN_NUMBER, AssessmentRow, FindingRow
from shared.contracts.toxicity import RELATED_LEVELS, Attribution, ToxicityAssessed
from shared.contracts.treatment import RadiotherapyStarted
from shared.kernel.partial_date import PartialDate
from shared.protocol.protocol import ToxicityPlan

SEVERE_GRADE = 3


@dataclass(frozen=True)
class DatedAssessment:
    """An assessment of which findings count, with the plan in force on its day, in the order of the days."""

    number: int
    fact: ToxicityAssessed
    day: AnalysisDay
    plan: ToxicityPlan
    amendment: str

    @cached_property
    def grades(self) -> dict[str, int | None]:
        """The grade of each term that is named; None where it was not graded."""
        return {finding.term: finding.grade for finding in self.fact.findings}

    def shows_less_than_severe(self, term: str) -> bool:
        """Returns whether the term was graded below 3, or was looked for and absent."""
        grade = self.grades.get(term)
        if term in self.grades:
            return grade is not None and grade < SEVERE_GRADE
        return self.fact.checklist_complete and term in self.plan.checklist


def dated_assessments(participant: Participant, plans: StudyPlans) -> list[DatedAssessment]:
    """Returns the assessments that analyses count, the earliest first; of one day, in an order by their content."""
    assessments = list[DatedAssessment]()
    for on, of_day in groupby(participant.counted(ToxicityAssessed), key=participant.day):
        protocol = plans.protocol_on(on)
        for fact in _by_content(list(of_day)):
            day = analysis_day(participant, fact)
            assessments.append(
                DatedAssessment(len(assessments), fact, day, protocol.protocol.toxicity, protocol.amendment)
            )
    return assessments


def _by_content(facts: Sequence[ToxicityAssessed]) -> Sequence[ToxicityAssessed]:
    """Returns facts in an order that does not depend on that of their recording."""
    return facts if len(facts) == 1 else sorted(facts, key=lambda fact: fact.model_dump_json())


def derive_assessments(participant: Participant, assessments: Sequence[DatedAssessment]) -> Iterator[AssessmentRow]:
    for assessment in assessments:
        yield AssessmentRow(
            participant_id=participant.participant_id,
            number=assessment.number,
            assessed_on=assessment.day.on,
            assessed_precision=assessment.day.precision,
            timepoint=assessment.fact.timepoint,
            course=assessment.fact.course_id or "",
            is_complete=assessment.fact.checklist_complete,
            dictionary=assessment.plan.dictionary,
            amendment=assessment.amendment,
            graded=sum(grade is not None for grade in assessment.grades.values()),
        )


def derive_findings(participant: Participant, assessments: Sequence[DatedAssessment]) -> Iterator[FindingRow]:
    """Yields the findings of assessments by day, then a finding of each serious adverse event by id."""
    course_starts = {
        f"course:{course.course_id}": participant.day(course) for course in participant.counted(RadiotherapyStarted)
    }
    for assessment in assessments:
        day = assessment.day
        for finding in assessment.fact.findings:
            happened = day
            if finding.onset_on:
                happened = _event_day(participant, finding.term, finding.onset_on, assessment, assessments)
            relation = _relation(finding.attribution, happened.on, course_starts)
            yield FindingRow(
                participant.participant_id,
                assessment.number,
                finding.term,
                _grade(finding.grade),
                *day,
                *happened,
                relation,
            )
    for event in serious_events(participant.record).values():
        if finding_of_event := _finding_of_event(participant, event, course_starts):
            yield finding_of_event


def _event_day(
    participant: Participant,
    term: str,
    onset_on: PartialDate,
    assessment: DatedAssessment,
    assessments: Sequence[DatedAssessment],
) -> AnalysisDay:
    """Returns the day of the onset if it lies after every earlier assessment that shows the term as less than severe.

    `assessment`: the one that reports the onset; another of the same day is not earlier. `assessments`: all of them. An
    onset is that of the term, which may have become severe later; otherwise the day of the assessment counts.
    """
    onset, reported_on = impute_day(participant, assessment.fact, onset_on), assessment.day.on
    is_plausible = onset.on <= reported_on and not any(
        onset.on <= other.day.on < reported_on and other.shows_less_than_severe(term) for other in assessments
    )
    return onset if is_plausible else assessment.day


def _relation(attributions: Sequence[Attribution], on: date, course_starts: Mapping[str, date]) -> str:
    """Returns whether an event is related to a course that had begun by its day; `not_stated` without attribution.

    `course_starts`: the first day of each course, by the cause that names it, `course:<id>`.
    """
    if not attributions:
        return "not_stated"
    for attribution in attributions:
        if attribution.level in RELATED_LEVELS and course_starts.get(attribution.to, NEVER) <= on:
            return "related"
    return "unrelated"


def _finding_of_event(
    participant: Participant, event: SeriousEvent, course_starts: Mapping[str, date]
) -> FindingRow | None:
    """Returns the finding of a serious adverse event on the day of its onset, with the highest grade that is known.

    The onset is the one that the site learned of last. None for an event without a report, or after the withdrawal of
    consent.
    """
    report, source = event.report, event.onset_source
    if report is None or source is None:
        return None
    is_own_day = source.happened_on == source.onset_on
    onset = analysis_day(participant, source) if is_own_day else impute_day(participant, source, source.onset_on)
    if onset.on > participant.withdrawn_on:
        return None
    return FindingRow(
        participant_id=participant.participant_id,
        number=UNKNOWN_NUMBER,
        term=event.term or report.term,
        grade=_grade(event.highest_grade),
        assessed_on=onset.on,
        assessed_precision=onset.precision,
        event_on=onset.on,
        event_precision=onset.precision,
        relation=_relation(event.attribution, onset.on, course_starts),
    )


def _grade(grade: int | None) -> int:
    return UNKNOWN_NUMBER if grade is None else grade
