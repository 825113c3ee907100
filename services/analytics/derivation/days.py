"""Days of facts as columns: the imputed day with its precision."""

from __future__ import annotations

from collections.abc import Iterable

from services.analytics.cohort.date_imputation import EXACT, AnalysisDay, precision_of
from services.analytics.cohort.participant import Participant
from services.analytics.derivation.rows import NEVER
from shared.kernel.fact import F, Fact
from shared.kernel.partial_date import PartialDate

NO_DAY = AnalysisDay(NEVER, EXACT)


def analysis_day(participant: Participant, fact: Fact | None) -> AnalysisDay:
    """Returns the day that analyses use for the fact; `NO_DAY` for no fact."""
    return participant.analysis_day(fact) if fact else NO_DAY


def impute_day(participant: Participant, fact: Fact, partial_date: PartialDate | None) -> AnalysisDay:
    """Returns the imputed day of a date of a fact that is not the fact's own day; `NO_DAY` for no date."""
    if partial_date is None:
        return NO_DAY
    return AnalysisDay(participant.impute(fact, partial_date), precision_of(partial_date))


def first(participant: Participant, fact_type: type[F]) -> F | None:
    """Returns the earliest of the facts that analyses count; None if there is none."""
    return next(iter(participant.counted(fact_type)), None)


def latest(days: Iterable[AnalysisDay]) -> AnalysisDay:
    """Returns the latest of the days, of several on one day the most precise; `NO_DAY` if there is none."""
    return max(days, key=lambda day: (day.on, -day.precision), default=NO_DAY)


def earliest(days: Iterable[AnalysisDay]) -> AnalysisDay:
    """Returns the earliest of the days, of several on one day the most precise; `NO_DAY` if there is none."""
    return min(days, default=NO_DAY)
