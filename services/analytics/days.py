"""The day that analyses take a clinical date for, and how long somebody is known to have lived. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from shared.contracts.enrollment import LesionRegistered, ScreenFailed, Transferred, Withdrawn
from shared.contracts.followup import Died, FollowUpResumed, Lost, Progressed, VisitMissed, VitalStatusConfirmed
from shared.contracts.toxicity import SeriousEventResolved
from shared.kernel.dates import PartialDate
from shared.kernel.fact import Fact
from shared.kernel.record import Record

MID_MONTH, MID_YEAR = 15, (7, 1)
MAY_FOLLOW_DEATH: tuple[type[Fact], ...] = (
    ScreenFailed, Transferred, Withdrawn, LesionRegistered, SeriousEventResolved, VisitMissed, Lost, Died,
)  # fmt: skip
"""A lesion may be found, and an event may end, with or after death. All else needs a living participant on its day."""


MAY_FOLLOW_WITHDRAWAL: tuple[type[Fact], ...] = (Withdrawn, Died, VitalStatusConfirmed)


def imputed(when: PartialDate, today: date) -> date:
    """The day an analysis takes a date for: of a month the 15th, of a year 1 July, never after today.

    `today` is the cut of a figure: what it says of a position and a cut does not change with the calendar.
    """
    if when.is_exact:
        return when.earliest
    of_month = when.earliest.month == when.latest.month
    middle = when.earliest.replace(day=MID_MONTH) if of_month else date(when.earliest.year, *MID_YEAR)
    return max(when.earliest, min(middle, today))


def needs_life(fact: Fact) -> bool:
    """A progression may be found at autopsy."""
    at_autopsy = isinstance(fact, Progressed) and fact.basis == "histology"
    return not (at_autopsy or isinstance(fact, MAY_FOLLOW_DEATH))


def last_known_alive(facts: Iterable[Fact], today: date) -> date:
    """The last day on which something needed a living participant; the first day there is, where nothing did."""
    days = (imputed(fact.happened_on, today) for fact in facts if fact.happened_on and needs_life(fact))
    return max(days, default=date.min)


def day_of_death(died_on: PartialDate, alive_on: date, today: date) -> date:
    """The day a death is taken for: never before the participant was last known alive, if the date admits it."""
    return max(imputed(died_on, today), min(alive_on, died_on.latest))


def taken_part(facts: Iterable[Fact]) -> list[date]:
    """The first day that each fact of participation may mean."""
    return [
        fact.happened_on.earliest for fact in facts if fact.happened_on and not isinstance(fact, MAY_FOLLOW_WITHDRAWAL)
    ]


def day_of_withdrawal(withdrawn_on: PartialDate, taken_part: Iterable[date], today: date) -> date:
    """The day a withdrawal is taken for: never before what may have been before it, for nothing should be after it."""
    return max([imputed(withdrawn_on, today), *(day for day in taken_part if day <= withdrawn_on.latest)])


def is_lost(record: Record, today: date) -> bool:
    """Was the participant lost later than found again?"""
    lost = [imputed(fact.on, today) for fact in record.facts(Lost)]
    found = [imputed(fact.on, today) for fact in record.facts(FollowUpResumed)]
    return bool(lost) and max(lost) > max(found, default=date.min)
