"""Survival figures as readers see them: life tables in place of curves, without a day of an event. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain, repeat

from services.analytics.disclosure.editions import Members, Membership
from services.analytics.disclosure.life_table import DAYS_OF_MONTH, LifeTable, TimeAtRisk, life_table
from services.analytics.endpoints.time_to_event import EndpointTimes
from services.analytics.figures.survival_numbers import CurveRow, Interval, SurvivalGroup, TimedInterval
from services.analytics.snapshot.columns import day_of_number
from services.analytics.snapshot.snapshot import StudySnapshot
from services.analytics.statistics.risk_sets import CENSORED, Observations

EVENT = "event"
LateEntries = tuple[tuple[int, int], ...]
"""Days after day 0 on which participants entered, with the number of them, in order of days."""


def late_entries(observations: Observations) -> LateEntries:
    """Returns the delayed entries of a group, which its curve does not show by themselves."""
    if observations.entries is None:
        return ()
    days = Counter(observations.entries[observations.entries > 0].tolist())
    return tuple(sorted(days.items()))


def publish_group(group: SurvivalGroup, entries: LateEntries, minimum: int) -> SurvivalGroup:
    """Returns a group with a life table as its curve. `minimum`: the smallest group."""
    table = life_table(_times_at_risk(group, entries), [EVENT], minimum)
    median = None if table.median is None else last_day_of_month(table.median)
    return SurvivalGroup(
        name=group.name,
        n=group.n,
        events=group.events,
        median=Interval(estimate=median, lower=None, upper=None),
        curve=_rows(table),
        landmarks=tuple(_landmark(table, landmark.time) for landmark in group.landmarks),
    )


def _times_at_risk(group: SurvivalGroup, entries: LateEntries) -> list[TimeAtRisk]:
    exits = [
        (row.time, cause)
        for row in group.curve
        for cause, count in ((EVENT, row.events or 0), (None, row.censored or 0))
        for _ in range(count)
    ]
    return pair_entries(exits, entries)


def pair_entries(exits: Sequence[tuple[int, str | None]], entries: LateEntries) -> list[TimeAtRisk]:
    """Returns times with these exits, in the order of days, each with its cause, and these entries.

    The latest entries belong to the latest exits. So each entry is before its exit, if one way to pair them is; the
    life table counts entries and exits alone.
    """
    late = [day for day, count in entries for _ in range(count)]
    from_origin = len(exits) - len(late)
    return [
        TimeAtRisk(day, cause, entry)
        for (day, cause), entry in zip(exits, chain(repeat(0, from_origin), late), strict=True)
    ]


def _rows(table: LifeTable) -> tuple[CurveRow, ...]:
    return tuple(
        CurveRow(
            time=last_day_of_month(point.month),
            month=point.month,
            at_risk=point.at_risk,
            estimate=point.event_free,
            lower=None,
            upper=None,
        )
        for point in table.points
    )


def last_day_of_month(month: int) -> int:
    """Returns the last whole day of a month from the origin."""
    return int(month * DAYS_OF_MONTH)


def _landmark(table: LifeTable, time: float) -> TimedInterval:
    point = table.landmark(round(time / DAYS_OF_MONTH))
    return TimedInterval(time=time, estimate=point.event_free if point else None, lower=None, upper=None)


def survival_members(snapshot: StudySnapshot, times: EndpointTimes) -> Members:
    """Returns the participants of a division, with what a survival figure shows of them."""
    members = dict[str, Membership]()
    observations = times.observations
    entries = [-1] * len(observations) if observations.entries is None else observations.entries.tolist()
    numbers = snapshot.subjects["participant_id"][times.subjects]
    columns = (times.groups.tolist(), times.origins.tolist(), observations.exits.tolist(), observations.causes.tolist())
    for number, entry, group, origin, exit_day, cause in zip(numbers, entries, *columns, strict=True):
        name = number.decode()
        members[name] = Membership(
            group=group,
            entered_on=day_of_number(origin),
            exit_on=day_of_number(origin + exit_day),
            status="" if cause == CENSORED else EVENT,
            at_risk_from=day_of_number(origin + max(entry, 0)),
            earlier_group=members[name].group if name in members else "",
        )
    return members
