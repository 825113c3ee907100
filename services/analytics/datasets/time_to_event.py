"""ADTTE: the times to events of participants, those that figures count and no others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Annotated, NamedTuple

from services.analytics.datasets.adverse_events import make_adverse_events
from services.analytics.datasets.cohort import CutCohort
from services.analytics.datasets.column import Column
from services.analytics.datasets.common_columns import ParticipantNumber, StudyId
from services.analytics.datasets.data_set import DataSet
from services.analytics.datasets.endpoint_times import SourceRecord, source_sequence, time_parts
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
from services.analytics.derivation.toxicity import SEVERE_GRADE

RecordsByDay = Mapping[tuple[str, str, date | None], Sequence[SourceRecord]]
"""Records by their set, participant and day."""


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
    sources, order = _source_records(cohort), {code: rank for rank, code in enumerate(PARAMETERS)}
    records = list[TimeToEvent]()
    for endpoint, versions in participant_endpoints(cohort):
        for index, parts, source in time_parts(cohort, endpoint):
            number = cohort.numbers[index]
            records.append(
                TimeToEvent(
                    cohort.study_id,
                    number,
                    **parts._asdict(),
                    dictver=versions[index] if versions is not None else "",
                    srcseq=source_sequence(sources.get((source.domain, number, parts.adt), ()), source),
                )
            )
    yield from sorted(records, key=lambda record: (record.usubjid, order[record.paramcd]))


def _source_records(cohort: CutCohort) -> RecordsByDay:
    """Returns the records of ADRS, and those of severe events of ADAE with their relation to radiotherapy."""
    records = defaultdict[tuple[str, str, date | None], list[SourceRecord]](list)
    for response in make_responses(cohort):
        records["ADRS", response.usubjid, response.adt].append((response.paramcd, response.avalc, response.aseq))
    for event in make_adverse_events(cohort):
        if (event.atoxgrn or 0) >= SEVERE_GRADE:
            records["ADAE", event.usubjid, event.astdt].append(("", event.arel, event.aseq))
    return records


ADTTE = DataSet(
    name="ADTTE",
    label="Time-to-Event Analysis Data Set",
    structure="One record per participant per parameter",
    data_class="BASIC DATA STRUCTURE",
    keys=("STUDYID", "USUBJID", "PARAMCD"),
    record=TimeToEvent,
    make=make_times,
)
