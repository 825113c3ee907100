"""ADSYM: the severity of each symptom at baseline, and its changes at contacts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, NamedTuple

from services.analytics.datasets.cohort import CutCohort, numbered
from services.analytics.datasets.column import Column
from services.analytics.datasets.common_columns import Day, DayFlag, ParticipantNumber, Sequence, StudyId
from services.analytics.datasets.data_set import DataSet

_PARAMETERS = {"SEVERITY": "Severity at baseline", "CHANGE": "Change against baseline at a contact"}


class SymptomRecord(NamedTuple):
    """A symptom at baseline or at a contact."""

    studyid: StudyId
    usubjid: ParticipantNumber
    aseq: Sequence
    symptom: Annotated[str, Column("Symptom", "The code of the protocol.", source="Collected")]
    paramcd: Annotated[str, Column("Parameter Code", "What AVALC says.", codes=_PARAMETERS)]
    adt: Day
    adtf: DayFlag
    avalc: Annotated[
        str,
        Column(
            "Analysis Value (C)",
            "SEVERITY: none (0), mild, moderate, severe, or 1 to 10. CHANGE: improved, stable, worse or resolved.",
            source="Collected",
        ),
    ]


def make_symptoms(cohort: CutCohort) -> Iterator[SymptomRecord]:
    """Yields the records by participant, symptom, day and value."""
    for number, sequence, symptom, day_number, parameter, value, precision in numbered(sorted(_rows(cohort))):
        day, flag = cohort.day(day_number), cohort.flag(day_number, precision)
        yield SymptomRecord(cohort.study_id, number, sequence, symptom, parameter, day, flag, value)


def _rows(cohort: CutCohort) -> Iterator[tuple[str, str, int, str, str, int]]:
    table = cohort.rows("symptom")
    texts = (cohort.words(table[name]) for name in ("symptom", "severity", "change"))
    rows = zip(cohort.records(table, "participant_id", "day_on", "day_precision"), *texts, strict=True)
    for (number, day_number, precision), symptom, severity, change in rows:
        if cohort.day(day_number):
            parameter, value = ("SEVERITY", severity) if severity else ("CHANGE", change)
            yield number, symptom, day_number, parameter, value, precision


ADSYM = DataSet(
    name="ADSYM",
    label="Symptom Analysis Data Set",
    structure="One record per participant per symptom per assessment",
    data_class="BASIC DATA STRUCTURE",
    keys=("STUDYID", "USUBJID", "ASEQ"),
    record=SymptomRecord,
    make=make_symptoms,
)
