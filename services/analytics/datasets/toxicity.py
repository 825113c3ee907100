"""ADTOX: every assessment of toxicity with every term that it names or that its checklist has, grade 0 included."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Annotated, NamedTuple

from services.analytics.datasets.cohort import CutCohort
from services.analytics.datasets.column import Column
from services.analytics.datasets.common_columns import YES_NO, Day, DayFlag, ParticipantNumber, Sequence, StudyId
from services.analytics.datasets.data_set import DataSet
from services.analytics.datasets.toxicity_columns import (
    Grade,
    Onset,
    OnsetFlag,
    Relation,
    TermId,
    TimePoint,
    relation_of,
)
from services.analytics.derivation.rows import UNKNOWN_NUMBER
from services.analytics.endpoints.toxicity_versions import dictionary_of
from shared.gate.study_timeline import protocol_periods

_STATUSES = {
    "GRADED": "Graded",
    "ABSENT": "On a complete checklist and not named: grade 0",
    "NOT GRADED": "Named without a grade",
    "NOT ASSESSED": "On the checklist, which is not complete, and not named",
}


class AssessedTerm(NamedTuple):
    """A term of an assessment of toxicity."""

    studyid: StudyId
    usubjid: ParticipantNumber
    aseq: Sequence
    assno: Annotated[int, Column("Assessment Number", "The place of the assessment by day, from 1.")]
    adt: Day
    adtf: DayFlag
    timept: TimePoint
    complfl: Annotated[
        str, Column("Complete Checklist Flag", "Y if every term of the checklist was looked for.", codes=YES_NO)
    ]
    dictver: Annotated[str, Column("Dictionary of the Term", "The version of CTCAE.")]
    term: TermId
    toxstat: Annotated[str, Column("Status of the Term", "What the assessment says of it.", codes=_STATUSES)]
    atoxgrn: Grade
    arel: Relation
    astdt: Onset
    astdtf: OnsetFlag


class _Assessment(NamedTuple):
    number: str
    number_by_day: int
    day_number: int
    precision: int
    is_complete: bool


def make_assessed_terms(cohort: CutCohort) -> Iterator[AssessedTerm]:
    """Yields the terms by participant, assessment and id."""
    findings = _findings_by_assessment(cohort)
    periods = protocol_periods(cohort.snapshot.study)
    checklists = {period.amendment: period.protocol.toxicity.checklist for period in periods}
    table = cohort.rows("assessment")
    rows = zip(
        cohort.records(table, "participant_id", "number", "assessed_on", "assessed_precision", "is_complete"),
        cohort.words(table["timepoint"]),
        cohort.words(table["amendment"]),
        strict=True,
    )
    sequences = defaultdict[str, int](int)
    for values, timepoint, amendment in rows:
        assessment = _Assessment(*values)
        if cohort.day(assessment.day_number) is None:
            continue
        graded = findings.get((assessment.number, assessment.number_by_day), {})
        for term in sorted({*graded, *checklists.get(amendment, ())}):
            sequences[assessment.number] += 1
            yield _record(cohort, assessment, timepoint, sequences[assessment.number], term, graded.get(term))


Finding = tuple[int, str | None, date | None, str]
"""A grade, the relation to radiotherapy, the day of the event, and the part of it that is imputed."""


def _findings_by_assessment(cohort: CutCohort) -> Mapping[tuple[str, int], dict[str, Finding]]:
    """Returns the findings of each assessment by term."""
    table = cohort.rows("finding")
    findings = defaultdict[tuple[str, int], dict[str, Finding]](dict)
    rows = zip(
        cohort.records(table, "participant_id", "number", "grade", "event_on", "event_precision"),
        cohort.words(table["term"]),
        cohort.words(table["relation"]),
        strict=True,
    )
    for (number, index, grade, event_on, precision), term, relation in rows:
        if index != UNKNOWN_NUMBER:
            day, flag = cohort.day(event_on), cohort.flag(event_on, precision)
            findings[number, index][term] = (grade, relation_of(relation), day, flag)
    return findings


def _record(
    cohort: CutCohort, assessment: _Assessment, timepoint: str, sequence: int, term: str, finding: Finding | None
) -> AssessedTerm:
    grade, relation, onset, flag = finding or (0 if assessment.is_complete else UNKNOWN_NUMBER, None, None, "")
    is_graded = grade != UNKNOWN_NUMBER
    statuses = ("GRADED", "NOT GRADED") if finding else ("ABSENT", "NOT ASSESSED")
    return AssessedTerm(
        cohort.study_id,
        assessment.number,
        sequence,
        assno=assessment.number_by_day + 1,
        adt=cohort.day(assessment.day_number),
        adtf=cohort.flag(assessment.day_number, assessment.precision),
        timept=timepoint,
        complfl="Y" if assessment.is_complete else "N",
        dictver=dictionary_of(term),
        term=term,
        toxstat=statuses[not is_graded],
        atoxgrn=grade if is_graded else None,
        arel=relation,
        astdt=onset,
        astdtf=flag,
    )


ADTOX = DataSet(
    name="ADTOX",
    label="Toxicity Assessment Data Set",
    structure="One record per participant per assessment per term",
    data_class="BASIC DATA STRUCTURE",
    keys=("STUDYID", "USUBJID", "ASSNO", "TERM"),
    record=AssessedTerm,
    make=make_assessed_terms,
)
