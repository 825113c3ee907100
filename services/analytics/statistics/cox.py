"""Proportional hazards regression on one covariate, with Efron's handling of ties.

Cox, JRSS B 1972;34:187; Efron, JASA 1977;72:557. As `coxph(Surv(entry, exit, event) ~ x)` of R's survival.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from services.analytics.statistics.elementary import Doubles, exp, log
from services.analytics.statistics.intervals import NORMAL_QUANTILE, UNDEFINED, Estimate
from services.analytics.statistics.risk_sets import CENSORED, Counts, Days, Observations

Reason = Literal["no_events", "no_variance", "monotone_likelihood"]
_MAX_STEPS = 40
_STEP_TOLERANCE = 1e-11
_VALUE_TOLERANCE = 1e-12
"""A fall of the likelihood by less than this share is the rounding of its sum."""
_LEAST_INFORMATION = 1e-9
"""Information below this share of that at 0 means that the likelihood grows without end."""

_FEW_VALUES = 8
"""Covariates of so few values, as those of groups, are counted by value; a sweep over 100,000 entries is slow."""


@dataclass(frozen=True, slots=True)
class CoxModel:
    """A fitted model: logarithm of the hazard ratio with its standard error, and tests that it is 0.

    `score` and `likelihood_ratio` are chi-square statistics with one degree of freedom. What is not defined is None,
    and `reason` says why: no events; no difference in the covariate among those at risk; or a likelihood that grows
    with the hazard ratio without end, where the score is defined all the same and R prints a large coefficient.
    """

    coefficient: float | None
    standard_error: float | None
    hazard_ratio: Estimate
    score: float | None
    likelihood_ratio: float | None
    reason: Reason | None = None


def fit_cox(observations: Observations, covariate: ArrayLike) -> CoxModel:
    """Fits the hazard ratio of a difference of 1 in `covariate`, which has a number for each observation."""
    values = np.asarray(covariate, np.float64)
    if values.shape != observations.exits.shape or not np.all(np.isfinite(values)):
        raise ValueError("the covariate needs a finite number for each observation")
    is_event = observations.causes != CENSORED
    if not is_event.any():
        return _undefined("no_events")
    likelihood = _PartialLikelihood(observations, values - values.sum() / len(values))
    start = likelihood.at(0.0)
    if not start.information > _STEP_TOLERANCE * likelihood.spread:
        return _undefined("no_variance")
    score = start.slope * start.slope / start.information
    is_monotone = _is_monotone(observations, values) or _is_monotone(observations, -values)
    coefficient = None if is_monotone else _maximize(likelihood, start)
    if coefficient is None:
        return _undefined("monotone_likelihood", score)
    end = likelihood.at(coefficient)
    standard_error = float(np.sqrt(1 / end.information))
    return CoxModel(
        coefficient=coefficient,
        standard_error=standard_error,
        hazard_ratio=_hazard_ratio(coefficient, standard_error),
        score=score,
        likelihood_ratio=max(0.0, 2 * (end.value - start.value)),
    )


def _undefined(reason: Reason, score: float | None = None) -> CoxModel:
    return CoxModel(None, None, UNDEFINED, score, None, reason)


def _hazard_ratio(coefficient: float, standard_error: float) -> Estimate:
    margin = NORMAL_QUANTILE * standard_error
    value, lower, upper = exp(np.array([coefficient, coefficient - margin, coefficient + margin])).tolist()
    return Estimate(value, lower, upper)


@dataclass(frozen=True, slots=True)
class _Point:
    """The logarithm of the partial likelihood at a coefficient, its first and its negative second derivative."""

    value: float
    slope: float
    information: float


class _PartialLikelihood:
    def __init__(self, observations: Observations, values: Doubles) -> None:
        is_event = observations.causes != CENSORED
        self._exits, self._entries = observations.exits, observations.entries
        self._values, self._indices = np.unique(values, return_inverse=True)
        self._event_days, self._event_indices = observations.exits[is_event], self._indices[is_event]
        self._day_count = int(observations.exits.max()) + 1
        events = np.bincount(self._event_days, minlength=self._day_count)
        self._days = np.flatnonzero(events)
        self._ties = np.repeat(np.arange(len(self._days)), events[self._days])
        starts = np.cumsum(events[self._days]) - events[self._days]
        self._shares = (np.arange(len(self._ties)) - starts[self._ties]) / events[self._days][self._ties]
        self._event_sum = float(values[is_event].sum())
        self.longest_step = 4 / float(max(np.ptp(values), np.finfo(np.float64).tiny * 4))
        self.spread = float(np.square(values).max()) * len(self._ties)

    def at(self, coefficient: float) -> _Point:
        """Evaluates the likelihood; its value is -inf where a sum over those at risk is lost in rounding."""
        risks = exp(coefficient * self._values)
        totals = []
        for power in range(3):
            moments = risks * self._values**power
            at_risk = self._sums_at_risk(moments)[self._days][self._ties]
            dying = self._sums(self._event_days, moments[self._event_indices])[self._days][self._ties]
            totals.append(at_risk - self._shares * dying)
        if not np.all(totals[0] > 0):
            return _Point(-np.inf, 0.0, 0.0)
        mean = totals[1] / totals[0]
        return _Point(
            value=coefficient * self._event_sum - float(log(totals[0]).sum()),
            slope=self._event_sum - float(mean.sum()),
            information=float((totals[2] / totals[0] - mean * mean).sum()),
        )

    def _sums_at_risk(self, moments: Doubles) -> Doubles:
        """Returns the sum over those at risk, by day: of exits on or after it, less entries on or after it."""
        weights = moments[self._indices]
        sums: Doubles = np.cumsum(self._sums(self._exits, weights)[::-1])[::-1]
        if self._entries is not None:
            is_delayed = self._entries > 0
            sums -= np.cumsum(self._sums(self._entries[is_delayed], weights[is_delayed])[::-1])[::-1]
        return sums

    def _sums(self, days: Counts, weights: Doubles) -> Doubles:
        sums: Doubles = np.bincount(days, weights, self._day_count).astype(np.float64, copy=False)
        return sums


def _maximize(likelihood: _PartialLikelihood, start: _Point) -> float | None:
    """Climbs by Newton's steps, halved where the likelihood falls; None if that does not end."""
    coefficient, point = 0.0, start
    for _ in range(_MAX_STEPS):
        if not point.information > _LEAST_INFORMATION * start.information:
            return None
        step = float(np.clip(point.slope / point.information, -likelihood.longest_step, likelihood.longest_step))
        following = likelihood.at(coefficient + step)
        least = point.value - _VALUE_TOLERANCE * (1 + abs(point.value))
        while following.value < least and abs(step) > _STEP_TOLERANCE * (1 + abs(coefficient)):
            step /= 2
            following = likelihood.at(coefficient + step)
        coefficient, point = coefficient + step, following
        if abs(step) <= _STEP_TOLERANCE * (1 + abs(coefficient)):
            return coefficient
    return None


def _is_monotone(observations: Observations, values: Doubles) -> bool:
    """True if every event happens to those with the greatest value at risk: the likelihood then has no maximum."""
    is_event = observations.causes != CENSORED
    days = observations.exits[is_event]
    return bool(np.all(values[is_event] == _greatest_at_risk(observations, values, int(days.max()) + 1)[days]))


def _greatest_at_risk(observations: Observations, values: Doubles, day_count: int) -> Doubles:
    """Returns the greatest value of those at risk on each of the days 0 … day_count - 1; -inf if nobody is at risk."""
    if observations.entries is not None:
        groups, indices = np.unique(values, return_inverse=True)
        if len(groups) <= _FEW_VALUES:
            return _greatest_group(observations, observations.entries, groups, indices, day_count)
        return _greatest_with_entries(observations, observations.entries, values, day_count)
    greatest = np.full(day_count, -np.inf)
    np.maximum.at(greatest, np.minimum(observations.exits, day_count - 1), values)
    result: Doubles = np.maximum.accumulate(greatest[::-1])[::-1]
    return result


def _greatest_group(
    observations: Observations, entries: Days, groups: Doubles, indices: Counts, day_count: int
) -> Doubles:
    """Counts who is at risk by day, once for each of the few values, from the least to the greatest."""
    greatest = np.full(day_count, -np.inf)
    for index, value in enumerate(groups.tolist()):
        entered, left = (
            np.cumsum(np.bincount(np.minimum(days[indices == index] + 1, day_count), minlength=day_count + 1)[:-1])
            for days in (entries, observations.exits)
        )
        greatest[entered > left] = value
    return greatest


def _greatest_with_entries(observations: Observations, entries: Days, values: Doubles, day_count: int) -> Doubles:
    """Sweeps over the days with a heap of all who have entered, and drops its top while that has left."""
    columns = (entries.tolist(), (-values).tolist(), observations.exits.tolist())
    waiting = sorted(zip(*columns, strict=True), reverse=True)
    present, greatest = list[tuple[float, int]](), np.full(day_count, -np.inf)
    for day in range(day_count):
        while waiting and waiting[-1][0] < day:
            heappush(present, waiting.pop()[1:])
        while present and present[0][1] < day:
            heappop(present)
        if present:
            greatest[day] = -present[0][0]
    return greatest
