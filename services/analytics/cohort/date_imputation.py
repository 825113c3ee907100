"""Imputed dates: the day that analyses use in place of a partial date. Pure.

docs/architecture/analytics/cohort.md has the rules in a table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from itertools import chain
from typing import NamedTuple

from services.analytics.cohort.episodes import EPISODE_CHANGES, EPISODE_ENDS, EPISODE_STARTS, EpisodeId, episode_of
from services.analytics.cohort.vital_status import implies_alive, possible_after_withdrawal
from shared.contracts.enrollment import ParticipantEnrolled, ParticipantScreened, ScreeningFailed
from shared.contracts.follow_up import FollowUpResumed, LostToFollowUp
from shared.contracts.serious_events import SeriousEventFact
from shared.kernel.fact import Fact
from shared.kernel.partial_date import PartialDate

EXACT, MONTH, YEAR, UNDATED = 0, 1, 2, 3
"""The precision of a date: to the day, to the month, to the year, or no date at all."""
MID_MONTH, MID_YEAR = 15, (7, 1)
DateKey = tuple[type[Fact], EpisodeId | None, PartialDate | None, date]
"""Identifies the imputed day: facts with equal keys have the same one."""


class AnalysisDay(NamedTuple):
    """The day that analyses use, with the precision of the date that it was taken from; it is imputed unless exact."""

    on: date
    precision: int = EXACT


def precision_of(partial_date: PartialDate | None) -> int:
    """Returns the precision of a date; `EXACT` for no date, because the day of recording is exact."""
    if partial_date is None or partial_date.is_exact:
        return EXACT
    return MONTH if partial_date.earliest.month == partial_date.latest.month else YEAR


def impute(partial_date: PartialDate, known_on: date) -> date:
    """Returns the imputed day: the 15th of a month, 1 July of a year, or the day of an exact date.

    It is no day after `known_on`, the study's day when the date was recorded, but always within the partial date, even
    if all of that is after `known_on`.
    """
    if partial_date.is_exact:
        return partial_date.earliest
    first = partial_date.earliest
    middle = first.replace(day=MID_MONTH) if precision_of(partial_date) == MONTH else date(first.year, *MID_YEAR)
    return max(partial_date.earliest, min(middle, known_on))


def latest_imputable_day(fact: Fact, known_on: date, withdrawn_on: date, died_on: date) -> date:
    """Returns the last day to impute: the withdrawal of consent and an exact death limit facts that cannot follow them.

    What a report of a serious event states happened by the day on which the site became aware of it. `withdrawn_on`,
    `died_on`: `date.max` without one.
    """
    if isinstance(fact, SeriousEventFact):
        known_on = min(known_on, fact.aware_at.date())
    limit = known_on if possible_after_withdrawal(fact) else min(known_on, withdrawn_on)
    may_precede_death = fact.happened_on is not None and fact.happened_on.earliest <= died_on
    return min(limit, died_on) if may_precede_death and implies_alive(fact) else limit


def date_key(fact: Fact, unadjusted_day: date) -> DateKey:
    return type(fact), episode_of(fact), fact.happened_on, unadjusted_day


def adjust_episode_days(facts: Sequence[Fact], impute_alone: Callable[[Fact], date]) -> dict[DateKey, date]:
    """Returns imputed days, adjusted so that episodes start before they end, and what comes first is first.

    A loss comes before its resumption, and a screening before the enrollment or the failure.

    `impute_alone` gives the unadjusted day of a fact.
    """
    episodes: dict[EpisodeId, list[Fact]] = {}
    for fact in facts:
        if episode := episode_of(fact):
            episodes.setdefault(episode, []).append(fact)
    adjusted = [
        *chain.from_iterable(_order_episode(episode_facts, impute_alone) for episode_facts in episodes.values()),
        *_order_losses(facts, impute_alone),
    ]
    days = {date_key(fact, impute_alone(fact)): day for fact, day in adjusted}
    screened = _order_screening(facts, lambda fact: days.get(date_key(fact, impute_alone(fact)), impute_alone(fact)))
    return days | {date_key(fact, impute_alone(fact)): day for fact, day in screened}


def _order_episode(episode_facts: Sequence[Fact], impute_alone: Callable[[Fact], date]) -> Iterator[tuple[Fact, date]]:
    """Yields the days of one episode, which starts, changes and ends in this order. The first consent starts it."""
    start = min((fact for fact in episode_facts if type(fact) in EPISODE_STARTS), key=impute_alone, default=None)
    end = next((fact for fact in episode_facts if type(fact) in EPISODE_ENDS), None)
    if start is None or end is None:
        return
    start_day, end_day = _not_after(start, impute_alone(start), impute_alone(end)), impute_alone(end)
    yield start, start_day
    for change in (fact for fact in episode_facts if type(fact) in EPISODE_CHANGES):
        day = _not_before(change, _not_after(change, impute_alone(change), impute_alone(end)), start_day)
        end_day = _not_before(end, end_day, day)
        yield change, day
    yield end, _not_before(end, end_day, start_day)


def _order_losses(facts: Sequence[Fact], impute_alone: Callable[[Fact], date]) -> Iterator[tuple[Fact, date]]:
    """Moves a loss before a resumption if all losses are imputed after it although this one may precede it."""
    losses = sorted((fact for fact in facts if type(fact) is LostToFollowUp), key=impute_alone)
    for resumption in (fact for fact in facts if type(fact) is FollowUpResumed):
        possible_losses = [loss for loss in losses if loss.on.earliest <= resumption.on.latest]
        if possible_losses and impute_alone(possible_losses[0]) > impute_alone(resumption):
            day = _not_after(possible_losses[0], impute_alone(possible_losses[0]), impute_alone(resumption))
            yield from ((possible_losses[0], day), (resumption, _not_before(resumption, impute_alone(resumption), day)))


def _order_screening(facts: Sequence[Fact], day_of: Callable[[Fact], date]) -> Iterator[tuple[Fact, date]]:
    """Yields the day of a screening, which may not follow its outcome, and of the outcomes, which may not precede it.

    `day_of`: the day of a fact by the rules of episodes.
    """
    outcomes = [fact for fact in facts if type(fact) in (ScreeningFailed, ParticipantEnrolled)]
    for screening in (fact for fact in facts if type(fact) is ParticipantScreened):
        day = min([_not_after(screening, day_of(screening), day_of(outcome)) for outcome in outcomes], default=None)
        if day:
            yield screening, day
            yield from ((outcome, _not_before(outcome, day_of(outcome), day)) for outcome in outcomes)


def _not_after(fact: Fact, day: date, limit: date) -> date:
    """Returns the day, or `limit` if it is earlier and within the fact's date."""
    return min(day, limit) if fact.happened_on and fact.happened_on.earliest <= limit else day


def _not_before(fact: Fact, day: date, limit: date) -> date:
    """Returns the day, or `limit` if it is later and within the fact's date."""
    return max(day, limit) if fact.happened_on and limit <= fact.happened_on.latest else day


def day_of_death(died_on: PartialDate, alive_on: date, known_on: date) -> date:
    """Returns the imputed day of a death: not before the day last known alive, as far as the date allows that."""
    return max(impute(died_on, known_on), min(alive_on, died_on.latest))


def list_participation_days(facts: Iterable[Fact]) -> list[date]:
    """Returns the first possible day of each fact that needs the participant's consent."""
    return [fact.happened_on.earliest for fact in facts if fact.happened_on and not possible_after_withdrawal(fact)]


def day_of_withdrawal(withdrawn_on: PartialDate, participation_days: Iterable[date], known_on: date) -> date:
    """Returns the imputed day of a withdrawal: not before any day of participation that may precede it."""
    return max([impute(withdrawn_on, known_on), *(day for day in participation_days if day <= withdrawn_on.latest)])
