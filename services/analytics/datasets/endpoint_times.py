"""Times of an endpoint as records of time-to-event sets: dates, codes of censoring, and where each date is from. Pure.

A time begins on day 1: AVAL is the exit of the figure plus 1, and AENTRY its entry plus 1, or 0 for those at risk from
the origin. So no interval is empty, and `Surv(AENTRY, AVAL, CNSR == 0)` has the numbers of the figure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import numpy as np

from services.analytics.cohort.date_imputation import UNDATED
from services.analytics.datasets.cohort import CutCohort
from services.analytics.endpoints.exits import Exits
from services.analytics.snapshot.columns import Column
from services.analytics.snapshot.flow import DayColumn
from services.analytics.snapshot.snapshot import Mask
from services.analytics.statistics.risk_sets import Observations

EVENT, LAST_ALIVE, CUT_OFF, WITHDRAWAL, LOST, UNDATED_DEATH, DEATH, COMPETING = 0, 1, 2, 3, 4, 5, 6, 9
CENSORING = {
    EVENT: "Event",
    LAST_ALIVE: "Censored: last known alive",
    CUT_OFF: "Censored: alive on the data cut-off",
    WITHDRAWAL: "Censored: withdrawal of consent",
    LOST: "Censored: lost to follow-up",
    UNDATED_DEATH: "Censored: dead without a known day",
    DEATH: "Censored: death, which ends follow-up (FUP alone)",
    COMPETING: "Competing event",
}
_REASONS = {
    LAST_ALIVE: "LAST KNOWN ALIVE",
    CUT_OFF: "DATA CUT-OFF",
    WITHDRAWAL: "WITHDRAWAL OF CONSENT",
    LOST: "LOST TO FOLLOW-UP",
    UNDATED_DEATH: "DEATH WITHOUT A KNOWN DAY",
    DEATH: "DEATH",
}


@dataclass(frozen=True, slots=True, eq=False)
class DateSource:
    """Dates by element, of which one may be that of an event or of censoring, and what they are in words.

    `domain`, `variable`: the set and the column that have the date; empty for a date of no participant. `parameter`,
    `values`: the parameter of the record there that has it, and the values that the record may have; empty for any.
    """

    domain: str
    variable: str
    words: str
    dates: DayColumn
    parameter: str = ""
    values: Sequence[str] = ()


SourceRecord = tuple[str, str | None, int]
"""The parameter, the value and the number of a record that may have a date."""


class Outcome(NamedTuple):
    """The end of a time with another cause than censoring: its code for censoring, and its dates."""

    censoring: int
    sources: Sequence[DateSource]


@dataclass(frozen=True, slots=True, eq=False)
class Endpoint:
    """An endpoint at a data cut. All columns have an element for each one that `elements` names.

    `elements`: for each time, the element of it. `reasons`: the code of the reason for which a time is censored.
    `outcomes`: by cause. `censored`: the dates on which times without an event end.
    """

    code: str
    label: str
    elements: Sequence[int]
    origins: Sequence[int]
    observations: Observations
    started: DayColumn
    reasons: Sequence[int]
    outcomes: Mapping[int, Outcome]
    censored: Sequence[DateSource]


class TimeParts(NamedTuple):
    """The members of a time that all time-to-event sets have."""

    paramcd: str
    param: str
    startdt: date | None
    startdtf: str
    adt: date | None
    adtf: str
    aval: int
    avalu: str
    aentry: int
    cnsr: int
    evntcd: int
    evntdesc: str
    cnsdtdsc: str
    srcdom: str
    srcvar: str


def time_parts(cohort: CutCohort, endpoint: Endpoint) -> Iterator[tuple[int, TimeParts, DateSource]]:
    """Yields each time of an endpoint with its element, and the dates that its end is among."""
    observations = endpoint.observations
    entries = [-1] * len(observations) if observations.entries is None else observations.entries.tolist()
    columns = (endpoint.elements, endpoint.origins, entries, observations.exits.tolist(), observations.causes.tolist())
    for element, origin, entry, exit_, cause in zip(*columns, strict=True):
        outcome = endpoint.outcomes.get(cause)
        reason = outcome.censoring if outcome else endpoint.reasons[element]
        source = _source(outcome.sources if outcome else endpoint.censored, element, origin + exit_)
        is_own_date = outcome is not None or source.words == _REASONS[reason]
        yield (
            element,
            TimeParts(
                paramcd=endpoint.code,
                param=endpoint.label,
                startdt=cohort.day(origin),
                startdtf=cohort.flag(origin, int(endpoint.started.precision[element])),
                adt=cohort.day(origin + exit_),
                adtf=cohort.flag(origin + exit_, int(source.dates.precision[element])),
                aval=exit_ + 1,
                avalu="DAYS",
                aentry=entry + 1 if entry > 0 else 0,
                cnsr=reason,
                evntcd=cause,
                evntdesc=source.words if outcome else _REASONS[reason],
                cnsdtdsc="" if is_own_date else source.words,
                srcdom=source.domain,
                srcvar=source.variable,
            ),
            source,
        )


def _source(sources: Sequence[DateSource], element: int, day: int) -> DateSource:
    """Returns the first of the sources whose date is that day. Raises LookupError for a day that none has."""
    for source in sources:
        if int(source.dates.day[element]) == day:
            return source
    raise LookupError(f"no date of element {element} is {day}")


def source_sequence(records: Iterable[SourceRecord], source: DateSource) -> int | None:
    """Returns the number of the first of the records of a day that its date may be from; None if there is none."""
    for parameter, value, sequence in records:
        if source.parameter in ("", parameter) and (not source.values or value in source.values):
            return sequence
    return None


def censoring_reasons(cohort: CutCohort, life: Exits, lost: Mask) -> list[int]:
    """Returns for each participant why observation of life ends without a death.

    `lost`: who is lost to follow-up on the cut-off.
    """
    subjects, cut = cohort.snapshot.subjects, cohort.cut_number
    reasons: Column = np.full(len(subjects), LAST_ALIVE)
    reasons[lost] = LOST
    reasons[life.day == cut] = CUT_OFF
    reasons[(subjects["died_precision"] == UNDATED) & (subjects["dead_from"] <= cut)] = UNDATED_DEATH
    left_on = subjects["participation_ends_on"]
    reasons[(left_on <= cut) & (life.day <= left_on)] = WITHDRAWAL  # else a registry reports on later days
    return [int(reason) for reason in reasons.tolist()]


def cut_off_source(cohort: CutCohort) -> DateSource:
    """Returns the cut-off as the date of everybody: it is no date of a participant."""
    count = len(cohort.snapshot.subjects)
    dates = DayColumn(np.full(count, cohort.cut_number), np.zeros(count, dtype=np.int64))
    return DateSource("", "", _REASONS[CUT_OFF], dates)
