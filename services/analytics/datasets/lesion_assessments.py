"""ADLES: the status of each lesion at each contact, and stated local progressions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, NamedTuple

from services.analytics.datasets.cohort import CutCohort, numbered
from services.analytics.datasets.column import Column
from services.analytics.datasets.common_columns import Day, DayFlag, ParticipantNumber, Sequence, StudyId
from services.analytics.datasets.data_set import DataSet

LesionId = Annotated[str, Column("Lesion Identifier", "The id of the lesion, within the participant.")]


class LesionAssessment(NamedTuple):
    """The status of a lesion on a day."""

    studyid: StudyId
    usubjid: ParticipantNumber
    aseq: Sequence
    lesid: LesionId
    adt: Day
    adtf: DayFlag
    avalc: Annotated[
        str,
        Column(
            "Status of the Lesion",
            "As stated; progressed of a stated local progression.",
            codes={name: name.capitalize() for name in ("controlled", "progressed", "indeterminate", "necrosis")},
            source="Collected",
        ),
    ]
    basis: Annotated[
        str,
        Column(
            "Basis of the Status",
            "As stated.",
            codes={name: name.capitalize() for name in ("imaging", "clinical", "histology")},
            source="Collected",
        ),
    ]


def make_lesion_assessments(cohort: CutCohort) -> Iterator[LesionAssessment]:
    """Yields the records by participant, lesion, day, status and basis."""
    for number, sequence, lesion, day_number, status, basis, precision in numbered(sorted(_rows(cohort))):
        day, flag = cohort.day(day_number), cohort.flag(day_number, precision)
        yield LesionAssessment(cohort.study_id, number, sequence, lesion, day, flag, status, basis)


def _rows(cohort: CutCohort) -> Iterator[tuple[str, str, int, str, str, int]]:
    table = cohort.rows("lesion_status")
    texts = (cohort.words(table[name]) for name in ("lesion", "status", "basis"))
    rows = zip(cohort.records(table, "participant_id", "assessed_on", "assessed_precision"), *texts, strict=True)
    for (number, day_number, precision), lesion, status, basis in rows:
        if cohort.day(day_number):
            yield number, lesion, day_number, status, basis, precision


ADLES = DataSet(
    name="ADLES",
    label="Lesion Status Data Set",
    structure="One record per participant per lesion per assessment",
    data_class="BASIC DATA STRUCTURE",
    keys=("STUDYID", "USUBJID", "ASEQ"),
    record=LesionAssessment,
    make=make_lesion_assessments,
)
