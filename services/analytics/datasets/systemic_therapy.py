"""ADCM: lines of systemic therapy that started by the data cut-off."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Annotated, NamedTuple

from services.analytics.datasets.cohort import CutCohort
from services.analytics.datasets.column import Column
from services.analytics.datasets.common_columns import FLAG_RULE, IMPUTED_PARTS, ParticipantNumber, StudyId
from services.analytics.datasets.data_set import DataSet
from services.analytics.derivation.rows import UNKNOWN_NUMBER


class TherapyLine(NamedTuple):
    """A line of systemic therapy. Its end is empty if it is after the cut-off."""

    studyid: StudyId
    usubjid: ParticipantNumber
    lineid: Annotated[str, Column("Line Identifier", "The id of the line, within the participant.")]
    cmsetng: Annotated[str, Column("Setting", "As stated.", source="Collected")]
    cmdecod: Annotated[
        str, Column("Agents", "The names of the agents, with + between.", source="Collected", length=1000)
    ]
    cmplan: Annotated[int | None, Column("Planned Cycles", "As stated.", source="Collected")]
    astdt: Annotated[date | None, Column("Analysis Start Date", "The first day of the line.", source="Collected")]
    astdtf: Annotated[
        str | None, Column("Analysis Start Date Imputation Flag", FLAG_RULE.format(date="ASTDT"), codes=IMPUTED_PARTS)
    ]
    aendt: Annotated[date | None, Column("Analysis End Date", "The day on which it stopped.", source="Collected")]
    aendtf: Annotated[
        str | None, Column("Analysis End Date Imputation Flag", FLAG_RULE.format(date="AENDT"), codes=IMPUTED_PARTS)
    ]
    endreas: Annotated[str | None, Column("Reason for the End", "A code, as stated.", source="Collected")]
    cmcycles: Annotated[int | None, Column("Cycles Given", "As stated at the end.", source="Collected")]


def make_lines(cohort: CutCohort) -> Iterator[TherapyLine]:
    """Yields the lines by participant, first day and id."""
    yield from sorted(_lines(cohort), key=lambda line: (line.usubjid, line.astdt or date.max, line.lineid))


def _lines(cohort: CutCohort) -> Iterator[TherapyLine]:
    table = cohort.rows("line")
    names = ("started_on", "started_precision", "stopped_on", "stopped_precision", "planned_cycles", "cycles_given")
    texts = (cohort.words(table[name]) for name in ("line", "setting", "agents", "reason"))
    rows = zip(cohort.records(table, "participant_id", *names), *texts, strict=True)
    for (number, start, start_precision, stop, stop_precision, planned, cycles), line, setting, agents, reason in rows:
        if cohort.day(start):
            has_stopped = cohort.day(stop) is not None
            yield TherapyLine(
                cohort.study_id,
                number,
                line,
                setting,
                agents,
                cmplan=_stated(planned),
                astdt=cohort.day(start),
                astdtf=cohort.flag(start, start_precision),
                aendt=cohort.day(stop),
                aendtf=cohort.flag(stop, stop_precision),
                endreas=reason if has_stopped else "",
                cmcycles=_stated(cycles) if has_stopped else None,
            )


def _stated(number: int) -> int | None:
    return None if number == UNKNOWN_NUMBER else number


ADCM = DataSet(
    name="ADCM",
    label="Systemic Therapy Data Set",
    structure="One record per participant per line of therapy",
    data_class="OCCURRENCE DATA STRUCTURE",
    keys=("STUDYID", "USUBJID", "LINEID"),
    record=TherapyLine,
    make=make_lines,
)
