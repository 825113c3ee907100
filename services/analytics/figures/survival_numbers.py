"""The numbers of a survival figure: a curve with its median, landmarks and restricted means for each group. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from services.analytics.endpoints.sensitivity import SensitivityName
from services.analytics.endpoints.time_to_event import EndpointTimes, NotCountedReason
from services.analytics.statistics.intervals import Estimate, optional
from services.analytics.statistics.kaplan_meier import SurvivalCurve, kaplan_meier, landmark, quantile
from services.analytics.statistics.restricted_mean import restricted_mean
from services.analytics.statistics.risk_sets import Observations, risk_table

DAYS_OF_MONTH = 30.4375
"""Days of a month on axes and in captions, exactly 487 / 16."""


class Interval(BaseModel):
    """A number with its 95 % interval, null where it is not reached or not defined. Days, of a median."""

    model_config = ConfigDict(frozen=True)

    estimate: float | None
    lower: float | None
    upper: float | None

    @classmethod
    def of(cls, estimate: Estimate) -> Self:
        return cls(estimate=estimate.value, lower=estimate.lower, upper=estimate.upper)


class TimedInterval(Interval):
    """An estimate at a number of months, which are given as days from the origin."""

    time: float


class CurveRow(BaseModel):
    """A day on which a time at risk ends, or day 0: who was at risk on it, and the estimate after it.

    Readers get ends of months, `month` from the origin, without events and limits: `time` is the last day of the month,
    and the number at risk is rounded down.
    """

    model_config = ConfigDict(frozen=True)

    time: int
    month: int | None = None
    at_risk: int
    events: int | None = None
    censored: int | None = None
    estimate: float | None
    lower: float | None
    upper: float | None


class RiskTableRow(BaseModel):
    """A tick of the axis, in days: who is at risk on it; events and censored before it."""

    model_config = ConfigDict(frozen=True)

    time: float
    at_risk: int
    events: int
    censored: int


class TimeSpan(BaseModel):
    """Days from the origin, both ends inclusive."""

    model_config = ConfigDict(frozen=True)

    start: int
    end: int


class SurvivalGroup(BaseModel):
    """The survival of one group; `all` is the group of an undivided figure.

    With `by=subset` a participant counts in both groups: in `other` up to the day of reaching `stereotactic`.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    n: int
    events: int
    median: Interval
    curve: tuple[CurveRow, ...]
    landmarks: tuple[TimedInterval, ...]
    restricted_means: tuple[TimedInterval, ...] = Field(
        default=(), description="the mean days without event up to each landmark; not for readers"
    )
    risk_table: tuple[RiskTableRow, ...] = Field(default=(), description="the numbers below the curve; not for readers")

    @property
    def has_events(self) -> bool:
        return self.events > 0


class NotCounted(BaseModel):
    """Participants who are enrolled and have no time at risk."""

    model_config = ConfigDict(frozen=True)

    reason: NotCountedReason
    participants: int


class SensitivityLine(BaseModel):
    """The figure by another reading of deaths, withdrawals or losses; a line stands where somebody is concerned."""

    model_config = ConfigDict(frozen=True)

    name: SensitivityName
    participants: int
    events: int
    median: Interval
    landmarks: tuple[TimedInterval, ...]


class Definition(BaseModel):
    """The definition that the figure follows; a change of its meaning is another version."""

    model_config = ConfigDict(frozen=True)

    id: str
    version: int


class GroupComparison(BaseModel):
    """The test that the groups have equal hazards. Where it is not defined, `reason` says why."""

    model_config = ConfigDict(frozen=True)

    name: Literal["log-rank", "Mantel-Byar"]
    statistic: float | None
    df: int
    p: float | None
    reason: Literal["no_events", "one_group", "no_variance"] | None = None


def survival_group(
    name: str, observations: Observations, months: Sequence[int], ticks: Sequence[float]
) -> SurvivalGroup:
    """Returns the numbers of a group. `months`: landmarks. `ticks`: days of the axis, for the table below the curve."""
    curve = kaplan_meier(observations)
    return SurvivalGroup(
        name=name,
        n=len(observations),
        events=observations.event_count,
        median=Interval.of(quantile(curve)),
        curve=_rows(curve),
        landmarks=landmarks(curve, months),
        restricted_means=_restricted_means(curve, months),
        risk_table=tuple(
            RiskTableRow(time=row.day, at_risk=row.at_risk, events=row.events, censored=row.censored)
            for row in risk_table(observations, list(ticks))
        ),
    )


def sensitivity_line(name: SensitivityName, times: EndpointTimes, months: Sequence[int]) -> SensitivityLine:
    """Returns the undivided numbers of another reading."""
    curve = kaplan_meier(times.observations)
    return SensitivityLine(
        name=name,
        participants=times.participants,
        events=times.events,
        median=Interval.of(quantile(curve)),
        landmarks=landmarks(curve, months),
    )


def landmarks(curve: SurvivalCurve, months: Sequence[int]) -> tuple[TimedInterval, ...]:
    """Returns the estimate at each number of months."""
    return tuple(_timed(month, landmark(curve, month * DAYS_OF_MONTH)) for month in months)


def _restricted_means(curve: SurvivalCurve, months: Sequence[int]) -> tuple[TimedInterval, ...]:
    return tuple(_timed(month, restricted_mean(curve, month * DAYS_OF_MONTH)[0]) for month in months)


def _timed(month: int, estimate: Estimate) -> TimedInterval:
    return TimedInterval(
        time=month * DAYS_OF_MONTH, estimate=estimate.value, lower=estimate.lower, upper=estimate.upper
    )


def _rows(curve: SurvivalCurve) -> tuple[CurveRow, ...]:
    columns = (curve.days, curve.at_risk, curve.events, curve.censored, curve.estimate, curve.lower, curve.upper)
    return tuple(
        CurveRow(
            time=day,
            at_risk=at_risk,
            events=events,
            censored=censored,
            estimate=optional(estimate),
            lower=optional(lower),
            upper=optional(upper),
        )
        for day, at_risk, events, censored, estimate, lower, upper in zip(
            *(column.tolist() for column in columns), strict=True
        )
    )
