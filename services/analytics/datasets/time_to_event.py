"""ADTTE: the times to events of participants, those that figures count and no others."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Annotated, NamedTuple

from services.analytics.datasets.adverse_events import make_adverse_events
from services.analytics.datasets.cohort import CutCohort
from services.analytics.datasets.column import Column
from services.analytics.datasets.common_columns import ParticipantNumber, StudyId
from services.analytics.datasets.data_set import DataSet
from services.analytics.datasets.endpoint_times import time_parts
from services.analytics.datasets.participant_endpoints import PARAMETERS, participant_endpoints
from services.analytics.datasets.responses import make_responses
from services.analytics.datasets.time_columns import (
    Analysis,
    CensoringCode,
    CensoringDate,
    Entry,
    EventCode,
    EventWords,
    ExitDate,
    ExitFlag,
    SourceDomain,
    SourceSequence,
    SourceVariable,
    StartDate,
    StartFlag,
    Units,
)

SEVERE = 3
SourceKey = tuple[str, str, date | None]
"""A set, a participant and a day."""


class TimeToEvent(NamedTuple):
    """The time of one participant to the event of one parameter."""

    studyid: StudyId
    usubjid: ParticipantNumber
    paramcd: Annotated[str, Column("Parameter Code", "The endpoint with its origin and reading.", codes=PARAMETERS)]
    param: Annotated[str, Column("Parameter", "PARAMCD in words.", length=100)]
    startdt: StartDate
    startdtf: StartFlag
    adt: ExitDate
    adtf: ExitFlag
    aval: Analysis
    avalu: Units
    aentry: Entry
    cnsr: CensoringCode
    evntcd: EventCode
    evntdesc: EventWords
    cnsdtdsc: CensoringDate
    dictver: Annotated[
        str | None,
        Column(
            "Dictionary of Toxicity Grades",
            "TOX3, TOX3R: the version of CTCAE in which the participant was graded; no curve is over two versions.",
        ),
    ]
    srcdom: SourceDomain
    srcvar: SourceVariable
    srcseq: SourceSequence


def make_times(cohort: CutCohort) -> Iterator[TimeToEvent]:
    """Yields the times by participant, and of each in the order of the parameters."""
    sequences, order = _source_sequences(cohort), {code: rank for rank, code in enumerate(PARAMETERS)}
    records = list[TimeToEvent]()
    for endpoint, versions in participant_endpoints(cohort):
        for index, parts in time_parts(cohort, endpoint):
            number = cohort.numbers[index]
            records.append(
                TimeToEvent(
                    cohort.study_id,
                    number,
                    **parts._asdict(),
                    dictver=versions[index] if versions is not None else "",
                    srcseq=sequences.get((parts.srcdom, number, parts.adt)),
                )
            )
    yield from sorted(records, key=lambda record: (record.usubjid, order[record.paramcd]))


def _source_sequences(cohort: CutCohort) -> dict[SourceKey, int]:
    """Returns the first record of a progression, a disease assessment or a severe event of each day."""
    sequences: dict[SourceKey, int] = {}
    for response in make_responses(cohort):
        if response.paramcd != "RSP":
            sequences.setdefault(("ADRS", response.usubjid, response.adt), response.aseq)
    for event in make_adverse_events(cohort):
        if (event.atoxgrn or 0) >= SEVERE:
            sequences.setdefault(("ADAE", event.usubjid, event.astdt), event.aseq)
    return sequences


ADTTE = DataSet(
    name="ADTTE",
    label="Time-to-Event Analysis Data Set",
    structure="One record per participant per parameter",
    data_class="BASIC DATA STRUCTURE",
    keys=("STUDYID", "USUBJID", "PARAMCD"),
    record=TimeToEvent,
    make=make_times,
)
