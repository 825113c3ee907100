"""Incidence figures as readers see them: life tables of causes that compete, without a day of an event. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from services.analytics.disclosure.life_table import LifeTable, LifeTablePoint, TimeAtRisk, life_table
from services.analytics.figures.incidence_numbers import IncidenceGroup, IncidenceLandmark, IncidenceRow, proportion_of
from services.analytics.figures.survival_numbers import DAYS_OF_MONTH, Interval
from services.analytics.figures.survival_publication import EVENT, LateEntries, last_day_of_month, pair_entries


def publish_incidence(group: IncidenceGroup, entries: LateEntries, minimum: int) -> IncidenceGroup:
    """Returns a group with a life table as its curve. `minimum`: the smallest group."""
    return with_life_table(group, _times_at_risk(group, entries), minimum)


def with_life_table(
    group: IncidenceGroup, times: Sequence[TimeAtRisk], minimum: int, participants: Sequence[int] | None = None
) -> IncidenceGroup:
    """Returns a group with the life table of its times as its curve.

    `participants`: the number of the participant of each time, if one can have several.
    """
    table = life_table(times, [EVENT, *group.events_by_cause], minimum, participants)
    median = next((point.month for point in table.points if point.incidence[EVENT] >= 0.5), None)
    return IncidenceGroup(
        name=group.name,
        n=group.n,
        events=group.events,
        events_by_cause=group.events_by_cause,
        median=Interval(estimate=None if median is None else last_day_of_month(median), lower=None, upper=None),
        proportion=group.proportion,
        curve=tuple(_row(point) for point in table.points),
        landmarks=tuple(_landmark(table, landmark.time) for landmark in group.landmarks),
    )


def pool_counts(name: str, groups: Sequence[IncidenceGroup]) -> IncidenceGroup:
    """Returns the counts of at least one group together, without a curve."""
    first, n, events = groups[0], sum(group.n for group in groups), sum(group.events for group in groups)
    by_cause = {cause: sum(group.events_by_cause[cause] for group in groups) for cause in first.events_by_cause}
    counts = {"name": name, "n": n, "events": events, "events_by_cause": by_cause}
    return publish_counts(first.model_copy(update={**counts, "proportion": proportion_of(events, n)}))


def publish_counts(group: IncidenceGroup) -> IncidenceGroup:
    """Returns the counts of a group, without a curve."""
    undefined = {"estimate": None, "lower": None, "upper": None}
    return IncidenceGroup(
        name=group.name,
        n=group.n,
        events=group.events,
        events_by_cause=group.events_by_cause,
        median=Interval(**undefined),
        proportion=group.proportion,
        curve=(),
        landmarks=tuple(
            IncidenceLandmark(time=landmark.time, **undefined, competing=None) for landmark in group.landmarks
        ),
    )


def _times_at_risk(group: IncidenceGroup, entries: LateEntries) -> list[TimeAtRisk]:
    exits = [
        (row.time, cause)
        for row in group.curve
        for cause, count in (
            (EVENT, row.events or 0),
            *(row.events_by_cause or {}).items(),
            (None, row.censored or 0),
        )
        for _ in range(count)
    ]
    return pair_entries(exits, entries)


def _row(point: LifeTablePoint) -> IncidenceRow:
    by_cause = {cause: value for cause, value in point.incidence.items() if cause != EVENT}
    return IncidenceRow(
        time=last_day_of_month(point.month),
        month=point.month,
        at_risk=point.at_risk,
        estimate=point.incidence[EVENT],
        lower=None,
        upper=None,
        competing=round(sum(by_cause.values()), 2),
        by_cause=dict(by_cause),
        event_free=point.event_free,
    )


def _landmark(table: LifeTable, time: float) -> IncidenceLandmark:
    point = table.landmark(round(time / DAYS_OF_MONTH))
    others = sum(value for cause, value in point.incidence.items() if cause != EVENT) if point else 0.0
    return IncidenceLandmark(
        time=time,
        estimate=point.incidence[EVENT] if point else None,
        lower=None,
        upper=None,
        competing=round(others, 2) if point else None,
    )
