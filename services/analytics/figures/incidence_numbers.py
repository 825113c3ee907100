"""The numbers of an incidence figure: for each group a curve of the event beside the causes that compete. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, Field

from services.analytics.endpoints.local_control import LesionTimes
from services.analytics.endpoints.sensitivity import SensitivityName
from services.analytics.endpoints.time_to_event import EndpointTimes
from services.analytics.figures.survival_numbers import DAYS_OF_MONTH, Interval, SensitivityLine, TimedInterval
from services.analytics.statistics.competing_risks import IncidenceCurves, cumulative_incidence, incidence_at
from services.analytics.statistics.gray import gray_test
from services.analytics.statistics.intervals import optional
from services.analytics.statistics.proportions import clopper_pearson
from services.analytics.statistics.rates import incidence_rate
from services.analytics.statistics.risk_sets import Observations, risk_table

EVENT_CAUSE = 1
"""The cause of the event of the figure; the causes that compete follow it, in their order."""


class IncidenceRow(BaseModel):
    """A day on which a time at risk ends, or day 0: who was at risk on it, and the incidences after it.

    `estimate` is the incidence of the event, with its limits; `competing` is that of all competing causes together, and
    `by_cause` of each of them. They and `event_free` add up to 1. Readers get ends of months, `month` from the origin,
    without events and limits: `time` is the last day of the month, and the number at risk is rounded down.
    """

    model_config = ConfigDict(frozen=True)

    time: int
    month: int | None = None
    at_risk: int
    events: int | None = None
    events_by_cause: dict[str, int] | None = Field(default=None, description="events of each competing cause")
    censored: int | None = None
    estimate: float | None
    lower: float | None
    upper: float | None
    competing: float | None
    by_cause: dict[str, float | None]
    event_free: float | None


class IncidenceLandmark(TimedInterval):
    """The incidence of the event at a number of months, with that of all competing causes together."""

    competing: float | None


class IncidenceRiskRow(BaseModel):
    """A tick of the axis, in days: who is at risk on it; events, competing events and censored before it."""

    model_config = ConfigDict(frozen=True)

    time: float
    at_risk: int
    events: int
    competing: int
    censored: int


class IncidenceRate(Interval):
    """Events per month of time at risk, with the exact interval of a Poisson count."""

    events: int
    person_months: float


class IncidenceGroup(BaseModel):
    """The incidence of the event in one group; `all` is the group of an undivided figure.

    `events_by_cause` counts the events of each competing cause. `median`: the first day on which half have had the
    event; it has no limits. `proportion`: events / n with its exact interval, whatever the time at risk.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    n: int
    events: int
    events_by_cause: dict[str, int]
    median: Interval
    proportion: Interval
    curve: tuple[IncidenceRow, ...]
    landmarks: tuple[IncidenceLandmark, ...]
    risk_table: tuple[IncidenceRiskRow, ...] = Field(
        default=(), description="the numbers below the curve; not for readers"
    )
    rate: IncidenceRate | None = Field(default=None, description="of figures with a rate; not for readers")


class IncidenceComparison(BaseModel):
    """The test that the groups have equal incidences of the event. Where it is not defined, `reason` says why."""

    model_config = ConfigDict(frozen=True)

    name: Literal["Gray"]
    statistic: float | None
    df: int
    p: float | None
    reason: Literal["no_events", "one_group", "no_variance", "delayed_entry", "several_versions"] | None = None


class IncidencePlan(NamedTuple):
    """The parts of an incidence curve: the competing causes, the months of landmarks, and the days of the ticks."""

    competing: Sequence[str]
    months: Sequence[int]
    ticks: Sequence[float]


def incidence_group(
    name: str, observations: Observations, plan: IncidencePlan, clusters: ArrayLike | None = None
) -> IncidenceGroup:
    """Returns the numbers of a group. Cause 1 is the event, causes 2, 3, … are `plan.competing` in their order.

    `clusters`: the participant of each observation, 0, 1, …, if they are not participants themselves.
    """
    curves = cumulative_incidence(observations, EVENT_CAUSE + len(plan.competing), clusters, limits=EVENT_CAUSE)
    counts = np.bincount(observations.causes, minlength=EVENT_CAUSE + len(plan.competing) + 1).tolist()
    return IncidenceGroup(
        name=name,
        n=len(observations),
        events=counts[EVENT_CAUSE],
        events_by_cause=dict(zip(plan.competing, counts[EVENT_CAUSE + 1 :], strict=True)),
        median=Interval(estimate=_median(curves), lower=None, upper=None),
        proportion=proportion_of(counts[EVENT_CAUSE], len(observations)),
        curve=_rows(curves, plan.competing),
        landmarks=incidence_landmarks(curves, plan.months),
        risk_table=_risk_rows(observations, plan.ticks),
    )


def rate_of(observations: Observations) -> IncidenceRate:
    """Returns the rate of the event: events per month from the entry to the event, a competing one or censoring."""
    entries = 0 if observations.entries is None else np.maximum(observations.entries, 0)
    events = int(np.count_nonzero(observations.causes == EVENT_CAUSE))
    person_months = int(np.sum(observations.exits - entries)) / DAYS_OF_MONTH
    rate = incidence_rate(events, person_months)
    return IncidenceRate(
        estimate=rate.value, lower=rate.lower, upper=rate.upper, events=events, person_months=person_months
    )


def compare_incidences(observations: Observations, groups: ArrayLike, group_count: int) -> IncidenceComparison:
    """Returns Gray's test of the event; `groups` has the number of the group of each observation."""
    if observations.entries is not None:
        return IncidenceComparison(name="Gray", statistic=None, df=0, p=None, reason="delayed_entry")
    test = gray_test(observations, EVENT_CAUSE, groups, group_count)
    return IncidenceComparison(name="Gray", statistic=test.statistic, df=test.df, p=test.p, reason=test.reason)


def proportion_of(events: int, n: int) -> Interval:
    """Returns events / n with its exact interval; undefined of nobody."""
    if not n:
        return Interval(estimate=None, lower=None, upper=None)
    lower, upper = clopper_pearson(events, n)
    return Interval(estimate=events / n, lower=lower, upper=upper)


def emptied_on(group: IncidenceGroup) -> tuple[int, int] | None:
    """Returns the day on which all at risk had an event although others entered later, and how many did; or None."""
    row = next((number for number, row in enumerate(group.curve) if row.event_free == 0), None)
    if row is None or not group.risk_table:
        return None
    later = group.curve[row + 1 :]
    entered = sum((row.events or 0) + sum((row.events_by_cause or {}).values()) + (row.censored or 0) for row in later)
    return (group.curve[row].time, entered) if entered else None


def incidence_sensitivity(
    name: SensitivityName,
    times: EndpointTimes | LesionTimes,
    plan: IncidencePlan,
    clusters: ArrayLike | None = None,
) -> SensitivityLine:
    """Returns the undivided numbers of another reading. `clusters`: as those of a group."""
    curves = cumulative_incidence(times.observations, EVENT_CAUSE + len(plan.competing), clusters, limits=EVENT_CAUSE)
    return SensitivityLine(
        name=name,
        participants=times.participants,
        events=int(np.count_nonzero(times.observations.causes == EVENT_CAUSE)),
        median=Interval(estimate=_median(curves), lower=None, upper=None),
        landmarks=incidence_landmarks(curves, plan.months),
    )


def without_curve(line: SensitivityLine) -> SensitivityLine:
    """Returns the counts of a line, with nothing of its curve."""
    undefined = {"estimate": None, "lower": None, "upper": None}
    landmarks = tuple(TimedInterval(time=landmark.time, **undefined) for landmark in line.landmarks)
    return line.model_copy(update={"median": Interval(**undefined), "landmarks": landmarks})


def incidence_landmarks(curves: IncidenceCurves, months: Sequence[int]) -> tuple[IncidenceLandmark, ...]:
    """Returns the incidences at each number of months."""
    return tuple(_landmark(curves, month * DAYS_OF_MONTH) for month in months)


def _landmark(curves: IncidenceCurves, day: float) -> IncidenceLandmark:
    estimate = incidence_at(curves, EVENT_CAUSE, day)
    others = [incidence_at(curves, cause, day).value for cause in range(2, curves.incidence.shape[1] + 1)]
    competing = None if estimate.value is None else sum(value or 0.0 for value in others)
    return IncidenceLandmark(
        time=day, estimate=estimate.value, lower=estimate.lower, upper=estimate.upper, competing=competing
    )


def _median(curves: IncidenceCurves) -> float | None:
    """Returns the first day on which half have had the event, but for the error of sums; None if all had one early."""
    if np.any(curves.event_free[:-1] == 0):
        return None
    reached = np.flatnonzero(curves.incidence[:, 0] >= 0.5 - np.sqrt(np.finfo(float).eps))
    return float(curves.days[reached[0]]) if len(reached) else None


def _rows(curves: IncidenceCurves, competing: Sequence[str]) -> tuple[IncidenceRow, ...]:
    columns = (curves.days, curves.at_risk, curves.censored, curves.event_free, curves.lower[:, 0], curves.upper[:, 0])
    events, incidence = curves.events.tolist(), curves.incidence.tolist()
    return tuple(
        IncidenceRow(
            time=day,
            at_risk=at_risk,
            events=events[row][0],
            events_by_cause=dict(zip(competing, events[row][1:], strict=True)),
            censored=censored,
            estimate=optional(incidence[row][0]),
            lower=optional(lower),
            upper=optional(upper),
            competing=optional(sum(incidence[row][1:])),
            by_cause=_optional_by_cause(competing, incidence[row][1:]),
            event_free=optional(event_free),
        )
        for row, (day, at_risk, censored, event_free, lower, upper) in enumerate(
            zip(*(column.tolist() for column in columns), strict=True)
        )
    )


def _optional_by_cause(competing: Sequence[str], values: Sequence[float]) -> dict[str, float | None]:
    return {cause: optional(value) for cause, value in zip(competing, values, strict=True)}


def _risk_rows(observations: Observations, ticks: Sequence[float]) -> tuple[IncidenceRiskRow, ...]:
    days = list(ticks)
    every_cause = risk_table(observations, days)
    event_alone = risk_table(observations.with_causes(observations.causes == EVENT_CAUSE), days)
    return tuple(
        IncidenceRiskRow(
            time=row.day,
            at_risk=row.at_risk,
            events=own.events,
            competing=row.events - own.events,
            censored=row.censored,
        )
        for row, own in zip(every_cause, event_alone, strict=True)
    )
