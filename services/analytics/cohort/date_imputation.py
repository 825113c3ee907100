"""The day that analyses take a clinical date for, and how long somebody is known to have lived. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from itertools import chain

from shared.contracts.enrollment import (
    ConsentSigned,
    ConsentWithdrawn,
    LesionRegistered,
    ParticipantEnrolled,
    ParticipantTransferred,
    ScreeningFailed,
)
from shared.contracts.follow_up import (
    DiseaseProgressed,
    FollowUpResumed,
    LostToFollowUp,
    ParticipantDied,
    VisitMissed,
    VitalStatusConfirmed,
)
from shared.contracts.toxicity import SeriousEventReported, SeriousEventResolved, SeriousEventUpdated
from shared.contracts.treatment import (
    PrescriptionChanged,
    RadiotherapyCompleted,
    RadiotherapyDiscontinued,
    RadiotherapyStarted,
    SystemicTherapyStarted,
    SystemicTherapyStopped,
)
from shared.kernel.fact import Fact
from shared.kernel.partial_date import PartialDate

MID_MONTH, MID_YEAR = 15, (7, 1)
POSSIBLE_AFTER_DEATH: tuple[type[Fact], ...] = (
    ScreeningFailed,
    ParticipantTransferred,
    ConsentWithdrawn,
    LesionRegistered,
    SeriousEventResolved,
    VisitMissed,
    LostToFollowUp,
    ParticipantDied,
)
"""A lesion may be found, and an event may end, with or after death. All else needs a living participant on its day."""
EPISODE_STARTS = (ConsentSigned, RadiotherapyStarted, SystemicTherapyStarted, SeriousEventReported)
EPISODE_ENDS = (
    ParticipantEnrolled,
    RadiotherapyCompleted,
    RadiotherapyDiscontinued,
    SystemicTherapyStopped,
    SeriousEventResolved,
)
EPISODE_FACTS = (*EPISODE_STARTS, PrescriptionChanged, *EPISODE_ENDS)
EpisodeId = tuple[str, str]
"""What begins and ends: a course, a line, a serious event; and a consent with the enrolment that follows on it."""
DateKey = tuple[type[Fact], EpisodeId | None, PartialDate | None]
"""Facts of one key are taken for one day."""


def impute(partial_date: PartialDate, known_on: date) -> date:
    """The day an analysis takes a date for: of a month the 15th, of a year 1 July, never after all of it was known."""
    if partial_date.is_exact:
        return partial_date.earliest
    is_month = partial_date.earliest.month == partial_date.latest.month
    middle = partial_date.earliest.replace(day=MID_MONTH) if is_month else date(partial_date.earliest.year, *MID_YEAR)
    return max(partial_date.earliest, min(middle, known_on))


def implies_alive(fact: Fact) -> bool:
    """A progression may be found at autopsy, and of a serious event more may be learnt after death."""
    at_autopsy = isinstance(fact, DiseaseProgressed) and fact.basis == "histology"
    is_later_information = isinstance(fact, SeriousEventUpdated) and fact.onset_on is None
    return not (at_autopsy or is_later_information or isinstance(fact, POSSIBLE_AFTER_DEATH))


def possible_after_withdrawal(fact: Fact) -> bool:
    from_registry = isinstance(fact, VitalStatusConfirmed) and fact.source == "registry"
    return from_registry or isinstance(fact, ConsentWithdrawn | ParticipantDied)


def latest_imputable_day(fact: Fact, known_on: date, withdrawn_on: date) -> date:
    """The last day that an imprecise date of the fact is taken for: what may have been before a withdrawal was."""
    return known_on if possible_after_withdrawal(fact) else min(known_on, withdrawn_on)


def episode_of(fact: Fact) -> EpisodeId | None:
    """Of what a fact is the beginning, a change or the end."""
    if not isinstance(fact, EPISODE_FACTS):
        return None
    identifiers = ((member, getattr(fact, member, None)) for member in ("course_id", "line_id", "serious_event_id"))
    return next(((member, name) for member, name in identifiers if name), ("enrolment", ""))


def date_key(fact: Fact) -> DateKey:
    return type(fact), episode_of(fact), fact.happened_on


def adjust_episode_days(facts: Sequence[Fact], impute_alone: Callable[[Fact], date]) -> dict[DateKey, date]:
    """Days fitted to each other of what begins and ends, and of who is lost and found; `alone` each has its own."""
    episodes: dict[EpisodeId, list[Fact]] = {}
    for fact in facts:
        if episode := episode_of(fact):
            episodes.setdefault(episode, []).append(fact)
    adjusted = [
        *chain.from_iterable(_order_episode(episode_facts, impute_alone) for episode_facts in episodes.values()),
        *_order_losses(facts, impute_alone),
    ]
    return {date_key(fact): day for fact, day in adjusted}


def _order_episode(episode_facts: Sequence[Fact], impute_alone: Callable[[Fact], date]) -> Iterator[tuple[Fact, date]]:
    """Of one thread: it begins, changes, and ends, in this order. Of several consents the first begins it."""
    start = min((fact for fact in episode_facts if isinstance(fact, EPISODE_STARTS)), key=impute_alone, default=None)
    end = next((fact for fact in episode_facts if isinstance(fact, EPISODE_ENDS)), None)
    if start is None or end is None:
        return
    start_day, end_day = _not_after(start, impute_alone(start), impute_alone(end)), impute_alone(end)
    yield start, start_day
    for change in (fact for fact in episode_facts if isinstance(fact, PrescriptionChanged)):
        day = _not_before(change, _not_after(change, impute_alone(change), impute_alone(end)), start_day)
        end_day = _not_before(end, end_day, day)
        yield change, day
    yield end, _not_before(end, end_day, start_day)


def _order_losses(facts: Sequence[Fact], impute_alone: Callable[[Fact], date]) -> Iterator[tuple[Fact, date]]:
    """A resumption before which no loss is taken for comes after the one that may have been: who is found was lost."""
    losses = sorted((fact for fact in facts if isinstance(fact, LostToFollowUp)), key=impute_alone)
    for resumption in (fact for fact in facts if isinstance(fact, FollowUpResumed)):
        possible_losses = [loss for loss in losses if loss.on.earliest <= resumption.on.latest]
        if possible_losses and impute_alone(possible_losses[0]) > impute_alone(resumption):
            day = _not_after(possible_losses[0], impute_alone(possible_losses[0]), impute_alone(resumption))
            yield from ((possible_losses[0], day), (resumption, _not_before(resumption, impute_alone(resumption), day)))


def _not_after(fact: Fact, day: date, limit: date) -> date:
    """Not after `to`, if its date admits that."""
    return min(day, limit) if fact.happened_on and fact.happened_on.earliest <= limit else day


def _not_before(fact: Fact, day: date, limit: date) -> date:
    """Not before `to`, if its date admits that."""
    return max(day, limit) if fact.happened_on and limit <= fact.happened_on.latest else day


def day_of_death(died_on: PartialDate, alive_on: date, known_on: date) -> date:
    """The day a death is taken for: never before the participant was last known alive, if the date admits it."""
    return max(impute(died_on, known_on), min(alive_on, died_on.latest))


def list_participation_days(facts: Iterable[Fact]) -> list[date]:
    """The first day that each fact of participation may mean."""
    return [fact.happened_on.earliest for fact in facts if fact.happened_on and not possible_after_withdrawal(fact)]


def day_of_withdrawal(withdrawn_on: PartialDate, participation_days: Iterable[date], known_on: date) -> date:
    """The day a withdrawal is taken for: never before what may have been before it, for nothing should be after it."""
    return max([impute(withdrawn_on, known_on), *(day for day in participation_days if day <= withdrawn_on.latest)])
