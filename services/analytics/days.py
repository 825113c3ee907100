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


def imputed(when: PartialDate, known_on: date) -> date:
    """The day an analysis takes a date for: of a month the 15th, of a year 1 July, never after all of it was known."""
    if when.is_exact:
        return when.earliest
    of_month = when.earliest.month == when.latest.month
    middle = when.earliest.replace(day=MID_MONTH) if of_month else date(when.earliest.year, *MID_YEAR)
    return max(when.earliest, min(middle, known_on))


def needs_life(fact: Fact) -> bool:
    """A progression may be found at autopsy."""
    at_autopsy = isinstance(fact, Progressed) and fact.basis == "histology"
    return not (at_autopsy or isinstance(fact, MAY_FOLLOW_DEATH))


def may_follow_withdrawal(fact: Fact) -> bool:
    from_registry = isinstance(fact, VitalStatusConfirmed) and fact.source == "registry"
    return from_registry or isinstance(fact, Withdrawn | Died)


def bound(fact: Fact, known_on: date, leaves_on: date) -> date:
    """The last day that an imprecise date of the fact is taken for: what may have been before a withdrawal was."""
    return known_on if may_follow_withdrawal(fact) else min(known_on, leaves_on)


def last_known_alive(facts: Iterable[Fact], known_on: date, leaves_on: date) -> date:
    """The last day on which something needed a living participant; the first day there is, where nothing did."""
    days = (
        imputed(fact.happened_on, bound(fact, known_on, leaves_on))
        for fact in facts
        if fact.happened_on and needs_life(fact)
    )
    return max(days, default=date.min)


def day_of_death(died_on: PartialDate, alive_on: date, known_on: date) -> date:
    """The day a death is taken for: never before the participant was last known alive, if the date admits it."""
    return max(imputed(died_on, known_on), min(alive_on, died_on.latest))


def taken_part(facts: Iterable[Fact]) -> list[date]:
    """The first day that each fact of participation may mean."""
    return [fact.happened_on.earliest for fact in facts if fact.happened_on and not may_follow_withdrawal(fact)]


def day_of_withdrawal(withdrawn_on: PartialDate, taken_part: Iterable[date], known_on: date) -> date:
    """The day a withdrawal is taken for: never before what may have been before it, for nothing should be after it."""
    return max([imputed(withdrawn_on, known_on), *(day for day in taken_part if day <= withdrawn_on.latest)])


def is_lost(record: Record, known_on: date) -> bool:
    """Was the participant lost later than found again?"""
    lost = [imputed(fact.on, known_on) for fact in record.facts(Lost)]
    found = [imputed(fact.on, known_on) for fact in record.facts(FollowUpResumed)]
    return bool(lost) and max(lost) > max(found, default=date.min)
