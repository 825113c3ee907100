"""ADAE: findings of toxicity of grade 1 or more or without a grade, and serious adverse events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, NamedTuple

from services.analytics.datasets.cohort import CutCohort, numbered
from services.analytics.datasets.column import Column
from services.analytics.datasets.common_columns import YES_NO, Day, DayFlag, ParticipantNumber, Sequence, StudyId
from services.analytics.datasets.data_set import DataSet
from services.analytics.datasets.toxicity_columns import Grade, Onset, OnsetFlag, Relation, TermId, relation_of
from services.analytics.derivation.rows import UNKNOWN_NUMBER
from services.analytics.endpoints.toxicity_versions import dictionary_of
from shared.terminology.ctcae import TermNames

_NAMES = TermNames()


class AdverseEvent(NamedTuple):
    """An adverse event on a day by the cut-off, whenever it was assessed."""

    studyid: StudyId
    usubjid: ParticipantNumber
    aseq: Sequence
    aeterm: TermId
    aedecod: Annotated[str, Column("Dictionary-Derived Term", "The name of AETERM in the dictionary.", length=200)]
    dictver: Annotated[str, Column("Dictionary of the Term", "The version of CTCAE, which is not MedDRA.")]
    atoxgrn: Grade
    grdfl: Annotated[str, Column("Graded Flag", "N if the finding was not graded.", codes=YES_NO)]
    arel: Relation
    astdt: Onset
    astdtf: OnsetFlag
    adt: Day
    adtf: DayFlag
    aeser: Annotated[
        str, Column("Serious Event", "Y for a serious adverse event, with the highest grade reported.", codes=YES_NO)
    ]
    assno: Annotated[
        int | None, Column("Assessment Number", "ASSNO in ADTOX; empty for a serious event or a later assessment.")
    ]


def make_adverse_events(cohort: CutCohort) -> Iterator[AdverseEvent]:
    """Yields the events by participant, day, term and source."""
    for number, sequence, *values in numbered(sorted(_rows(cohort))):
        event_on, term, assessment, grade, relation, precision, assessed_on, assessed_precision = values
        is_serious, assessed = assessment == UNKNOWN_NUMBER, cohort.day(assessed_on)
        yield AdverseEvent(
            cohort.study_id,
            number,
            sequence,
            aeterm=term,
            aedecod=_NAMES[term],
            dictver=dictionary_of(term),
            atoxgrn=None if grade == UNKNOWN_NUMBER else grade,
            grdfl="N" if grade == UNKNOWN_NUMBER else "Y",
            arel=relation_of(relation),
            astdt=cohort.day(event_on),
            astdtf=cohort.flag(event_on, precision),
            adt=assessed,
            adtf=cohort.flag(assessed_on, assessed_precision),
            aeser="Y" if is_serious else "N",
            assno=None if is_serious or assessed is None else assessment + 1,
        )


EventRow = tuple[str, int, str, int, int, str, int, int, int]


def _rows(cohort: CutCohort) -> Iterator[EventRow]:
    """Yields the members of an event in the order of sorting: number, day, term, assessment, grade, and the others."""
    table = cohort.rows("finding")
    names = ("participant_id", "event_on", "number", "grade", "event_precision", "assessed_on", "assessed_precision")
    rows = zip(cohort.records(table, *names), cohort.words(table["term"]), cohort.words(table["relation"]), strict=True)
    for (number, event_on, assessment, grade, precision, assessed_on, assessed_precision), term, relation in rows:
        if (grade != 0 or assessment == UNKNOWN_NUMBER) and event_on <= cohort.cut_number:
            yield number, event_on, term, assessment, grade, relation, precision, assessed_on, assessed_precision


ADAE = DataSet(
    name="ADAE",
    label="Adverse Event Analysis Data Set",
    structure="One record per participant per adverse event",
    data_class="OCCURRENCE DATA STRUCTURE",
    keys=("STUDYID", "USUBJID", "ASEQ"),
    record=AdverseEvent,
    make=make_adverse_events,
)
