"""ADRS: contacts, and what they and other facts say of the disease: responses, progressions and assessments."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Annotated, NamedTuple

from services.analytics.datasets.cohort import CutCohort, numbered
from services.analytics.datasets.column import Column
from services.analytics.datasets.common_columns import Day, DayFlag, ParticipantNumber, Sequence, StudyId
from services.analytics.datasets.data_set import DataSet

_PARAMETERS = {
    "CONTACT": ("contact", "Contact, by its mode"),
    "DISASS": ("disease_assessment", "Contact that assesses some part of the disease, or evidence of progression"),
    "PROG": ("progression", "Evidence of progression, by its kind"),
    "RSP": ("response", "Response by RECIST 1.1"),
}


class Response(NamedTuple):
    """A contact, a response, a progression or an assessment of the disease on a day."""

    studyid: StudyId
    usubjid: ParticipantNumber
    aseq: Sequence
    paramcd: Annotated[
        str,
        Column("Parameter Code", "What the record is.", {name: words for name, (_, words) in _PARAMETERS.items()}),
    ]
    adt: Day
    adtf: DayFlag
    avalc: Annotated[
        str | None,
        Column(
            "Analysis Value (C)",
            "RSP: the response. PROG: local (with the kind of the lesion), regional or distant. CONTACT: its mode.",
            source="Collected",
        ),
    ]


def make_responses(cohort: CutCohort) -> Iterator[Response]:
    """Yields the records by participant, day, parameter and value."""
    for number, sequence, day, parameter, value, flag in numbered(sorted(_rows(cohort))):
        yield Response(cohort.study_id, number, sequence, parameter, day, flag, value)


def _rows(cohort: CutCohort) -> Iterator[tuple[str, date, str, str, str]]:
    days = cohort.rows("subject_day")
    parameters = {cohort.snapshot.words.code(kind): name for name, (kind, _) in _PARAMETERS.items()}
    columns = ("participant_id", "kind", "day_on", "day_precision")
    rows = zip(cohort.records(days, *columns), cohort.words(days["code"]), strict=True)
    for (number, kind, day_number, precision), value in rows:
        if kind in parameters and (day := cohort.day(day_number)):
            yield number, day, parameters[kind], value, cohort.flag(day_number, precision)


ADRS = DataSet(
    name="ADRS",
    label="Response and Disease Assessment Data Set",
    structure="One record per participant per day per parameter per value",
    data_class="BASIC DATA STRUCTURE",
    keys=("STUDYID", "USUBJID", "ASEQ"),
    record=Response,
    make=make_responses,
)
