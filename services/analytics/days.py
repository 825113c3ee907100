"""The day that analyses take a clinical date for, and how long somebody is known to have lived. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from itertools import chain

from shared.contracts.enrollment import Consented, Enrolled, LesionRegistered, ScreenFailed, Transferred, Withdrawn
from shared.contracts.followup import Died, FollowUpResumed, Lost, Progressed, VisitMissed, VitalStatusConfirmed
from shared.contracts.toxicity import SeriousEventReported, SeriousEventResolved, SeriousEventUpdated
from shared.contracts.treatment import (
    PrescriptionChanged,
    RadiotherapyCompleted,
    RadiotherapyDiscontinued,
    RadiotherapyStarted,
    SystemicTherapyStarted,
    SystemicTherapyStopped,
)
from shared.kernel.dates import PartialDate
from shared.kernel.fact import Fact

MID_MONTH, MID_YEAR = 15, (7, 1)
MAY_FOLLOW_DEATH: tuple[type[Fact], ...] = (
    ScreenFailed, Transferred, Withdrawn, LesionRegistered, SeriousEventResolved, VisitMissed, Lost, Died,
)  # fmt: skip
"""A lesion may be found, and an event may end, with or after death. All else needs a living participant on its day."""
_BEGINNINGS = (Consented, RadiotherapyStarted, SystemicTherapyStarted, SeriousEventReported)
_ENDS = (Enrolled, RadiotherapyCompleted, RadiotherapyDiscontinued, SystemicTherapyStopped, SeriousEventResolved)
_OF_A_THREAD = (*_BEGINNINGS, PrescriptionChanged, *_ENDS)
Thread = tuple[str, str]
"""What begins and ends: a course, a line, a serious event; and a consent with the enrolment that follows on it."""
Key = tuple[type[Fact], Thread | None, PartialDate | None]
"""Facts of one key are taken for one day."""


def imputed(when: PartialDate, known_on: date) -> date:
    """The day an analysis takes a date for: of a month the 15th, of a year 1 July, never after all of it was known."""
    if when.is_exact:
        return when.earliest
    of_month = when.earliest.month == when.latest.month
    middle = when.earliest.replace(day=MID_MONTH) if of_month else date(when.earliest.year, *MID_YEAR)
    return max(when.earliest, min(middle, known_on))


def needs_life(fact: Fact) -> bool:
    """A progression may be found at autopsy, and of a serious event more may be learnt after death."""
    at_autopsy = isinstance(fact, Progressed) and fact.basis == "histology"
    learnt = isinstance(fact, SeriousEventUpdated) and fact.onset_on is None
    return not (at_autopsy or learnt or isinstance(fact, MAY_FOLLOW_DEATH))


def may_follow_withdrawal(fact: Fact) -> bool:
    from_registry = isinstance(fact, VitalStatusConfirmed) and fact.source == "registry"
    return from_registry or isinstance(fact, Withdrawn | Died)


def bound(fact: Fact, known_on: date, leaves_on: date) -> date:
    """The last day that an imprecise date of the fact is taken for: what may have been before a withdrawal was."""
    return known_on if may_follow_withdrawal(fact) else min(known_on, leaves_on)


def thread(fact: Fact) -> Thread | None:
    """Of what a fact is the beginning, a change or the end."""
    if not isinstance(fact, _OF_A_THREAD):
        return None
    named = ((member, getattr(fact, member, None)) for member in ("course_id", "line_id", "serious_event_id"))
    return next(((member, name) for member, name in named if name), ("enrolment", ""))


def key(fact: Fact) -> Key:
    return type(fact), thread(fact), fact.happened_on


def moved(facts: Sequence[Fact], alone: Callable[[Fact], date]) -> dict[Key, date]:
    """Days fitted to each other of what begins and ends, and of who is lost and found; `alone` each has its own."""
    threads: dict[Thread, list[Fact]] = {}
    for fact in facts:
        if of := thread(fact):
            threads.setdefault(of, []).append(fact)
    fitted = [*chain.from_iterable(_within(told, alone) for told in threads.values()), *_absences(facts, alone)]
    return {key(fact): day for fact, day in fitted}


def _within(told: Sequence[Fact], alone: Callable[[Fact], date]) -> Iterator[tuple[Fact, date]]:
    """Of one thread: it begins, changes, and ends, in this order. Of several consents the first begins it."""
    begin = min((fact for fact in told if isinstance(fact, _BEGINNINGS)), key=alone, default=None)
    end = next((fact for fact in told if isinstance(fact, _ENDS)), None)
    if begin is None or end is None:
        return
    began, ended = _lowered(begin, alone(begin), alone(end)), alone(end)
    yield begin, began
    for change in (fact for fact in told if isinstance(fact, PrescriptionChanged)):
        day = _raised(change, _lowered(change, alone(change), alone(end)), began)
        ended = _raised(end, ended, day)
        yield change, day
    yield end, _raised(end, ended, began)


def _absences(told: Sequence[Fact], alone: Callable[[Fact], date]) -> Iterator[tuple[Fact, date]]:
    """A resumption before which no loss is taken for comes after the one that may have been: who is found was lost."""
    lost = sorted((fact for fact in told if isinstance(fact, Lost)), key=alone)
    for found in (fact for fact in told if isinstance(fact, FollowUpResumed)):
        may_be = [loss for loss in lost if loss.on.earliest <= found.on.latest]
        if may_be and alone(may_be[0]) > alone(found):
            day = _lowered(may_be[0], alone(may_be[0]), alone(found))
            yield from ((may_be[0], day), (found, _raised(found, alone(found), day)))


def _lowered(fact: Fact, day: date, to: date) -> date:
    """Not after `to`, if its date admits that."""
    return min(day, to) if fact.happened_on and fact.happened_on.earliest <= to else day


def _raised(fact: Fact, day: date, to: date) -> date:
    """Not before `to`, if its date admits that."""
    return max(day, to) if fact.happened_on and to <= fact.happened_on.latest else day


def day_of_death(died_on: PartialDate, alive_on: date, known_on: date) -> date:
    """The day a death is taken for: never before the participant was last known alive, if the date admits it."""
    return max(imputed(died_on, known_on), min(alive_on, died_on.latest))


def taken_part(facts: Iterable[Fact]) -> list[date]:
    """The first day that each fact of participation may mean."""
    return [fact.happened_on.earliest for fact in facts if fact.happened_on and not may_follow_withdrawal(fact)]


def day_of_withdrawal(withdrawn_on: PartialDate, taken_part: Iterable[date], known_on: date) -> date:
    """The day a withdrawal is taken for: never before what may have been before it, for nothing should be after it."""
    return max([imputed(withdrawn_on, known_on), *(day for day in taken_part if day <= withdrawn_on.latest)])
