"""Days of facts as columns: the imputed day with its precision."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import NamedTuple

from services.analytics.cohort.participant import Participant
from services.analytics.derivation.rows import EXACT, MONTH, NEVER, YEAR
from shared.kernel.fact import F, Fact
from shared.kernel.partial_date import PartialDate


class RowDay(NamedTuple):
    """A day of a row, `NEVER` where there is none, with the precision of the date that it was taken from."""

    on: date = NEVER
    precision: int = EXACT


NO_DAY = RowDay()


def row_day(participant: Participant, fact: Fact | None) -> RowDay:
    """Returns the day that analyses take the fact for; `NO_DAY` for no fact."""
    return RowDay(participant.day(fact), _precision(fact.happened_on)) if fact else NO_DAY


def impute_day(participant: Participant, fact: Fact, partial_date: PartialDate | None) -> RowDay:
    """Returns the imputed day of a date of a fact that is not the fact's own day; `NO_DAY` for no date."""
    return RowDay(participant.impute(fact, partial_date), _precision(partial_date)) if partial_date else NO_DAY


def counted(participant: Participant, fact_type: type[F]) -> Sequence[F]:
    """Returns the facts of a type that analyses count, the earliest first: none after a withdrawal of consent."""
    return participant.counted(fact_type)


def first(participant: Participant, fact_type: type[F]) -> F | None:
    """Returns the earliest of the facts that analyses count; None if there is none."""
    return next(iter(counted(participant, fact_type)), None)


def earliest(days: Iterable[RowDay]) -> RowDay:
    """Returns the earliest of the days, of several on one day the most precise; `NO_DAY` if there is none."""
    return min(days, default=NO_DAY)


def _precision(partial_date: PartialDate | None) -> int:
    if partial_date is None or partial_date.is_exact:
        return EXACT
    return MONTH if partial_date.earliest.month == partial_date.latest.month else YEAR
