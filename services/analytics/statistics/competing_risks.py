"""Cumulative incidence of causes that compete (Aalen and Johansen), with two variances.

Participants have the variance of `cuminc` of R's cmprsk (Gray, Ann Stat 1988;16:1141). Where that has none, with
delayed entries, and where several observations belong to one participant, as lesions do, the variance is the
infinitesimal jackknife: the squared sums of the influences within participants, as in `survfit` of R's survival.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from services.analytics.statistics.elementary import Doubles
from services.analytics.statistics.influence import influence_variance
from services.analytics.statistics.intervals import UNDEFINED, Estimate, limits_after_steps, optional
from services.analytics.statistics.risk_sets import Counts, Days, Observations, RiskSets, risk_sets


@dataclass(frozen=True, slots=True, eq=False)
class IncidenceCurves:
    """A row for each day on which an observation ends, and always one for day 0; a column for each cause, from 1 on.

    `event_free` and the incidences of all causes add up to 1. Limits are on the log(-log) scale, and NaN where the
    incidence is 0 or 1. Without any observation the estimates are NaN.
    """

    days: Days
    at_risk: Counts
    events: Counts
    censored: Counts
    event_free: Doubles
    incidence: Doubles
    standard_error: Doubles
    lower: Doubles
    upper: Doubles


def cumulative_incidence(
    observations: Observations, cause_count: int, clusters: ArrayLike | None = None, *, limits: int | None = None
) -> IncidenceCurves:
    """Estimates the probability of an event of each cause 1 … cause_count by each day.

    `clusters` has the participant (0, 1, …) of each observation if they are not participants themselves. `limits`: the
    variance by influences is that of the causes 1 … limits, and NaN of others; None: of all.
    """
    sets = risk_sets(observations, cause_count)
    with np.errstate(divide="ignore", invalid="ignore"):
        hazards = np.where(sets.ends[:, 1:] > 0, sets.ends[:, 1:] / sets.at_risk[:, None], 0.0)
        shares = np.where(sets.events > 0, (sets.at_risk - sets.events) / sets.at_risk, 1.0)
    event_free: Doubles = np.multiply.accumulate(shares)
    before = np.concatenate(([1.0], event_free[:-1]))
    incidence: Doubles = np.cumsum(before[:, None] * hazards, axis=0)
    if clusters is None and observations.entries is None:
        variance = _gray_variance(sets, event_free, incidence)
    else:
        numbers = np.arange(len(observations)) if clusters is None else np.asarray(clusters, np.int64)
        variance, limited = np.full(incidence.shape, np.nan), limits or cause_count
        variance[:, :limited] = influence_variance(observations, sets, event_free, numbers, limited)
    if not len(observations):
        event_free, incidence = event_free * np.nan, incidence * np.nan
    return _with_limits(sets, event_free, incidence, np.sqrt(variance))


def _with_limits(sets: RiskSets, event_free: Doubles, incidence: Doubles, standard_error: Doubles) -> IncidenceCurves:
    with np.errstate(divide="ignore", invalid="ignore"):
        relative_error = standard_error / incidence
    is_step = sets.events > 0
    limits = [limits_after_steps(*columns, is_step) for columns in zip(incidence.T, relative_error.T, strict=True)]
    lower, upper = (np.stack(columns, axis=1) for columns in zip(*limits, strict=True))
    return IncidenceCurves(
        days=sets.days,
        at_risk=sets.at_risk,
        events=sets.ends[:, 1:],
        censored=sets.censored,
        event_free=event_free,
        incidence=incidence,
        standard_error=standard_error,
        lower=lower,
        upper=upper,
    )


def _gray_variance(sets: RiskSets, event_free: Doubles, incidence: Doubles) -> Doubles:
    """Returns the variance of the incidences by day and cause, in one pass of running sums.

    With w(d) = S(t-)² d / n² (n - d) / (n - 1) for d events of n at risk, the variance of F(t) adds up, over the days u
    to t, w(own events) (1 - (F(t) - F(u)) / S(u))² + w(other events) ((F(t) - F(u)) / S(u))².
    """
    before = np.concatenate(([1.0], event_free[:-1]))[:, None]
    own = _event_variance(sets.ends[:, 1:], sets.at_risk[:, None], before)
    other = _event_variance(sets.events[:, None] - sets.ends[:, 1:], sets.at_risk[:, None], before)
    is_left = event_free[:, None] > 0
    other = np.where(is_left, other, 0.0)
    inverse = np.divide(1.0, event_free[:, None], where=is_left, out=np.zeros_like(event_free[:, None]))
    ratio = inverse * incidence
    constant = np.cumsum((1 + ratio) ** 2 * own + ratio**2 * other, axis=0)
    linear = np.cumsum(inverse * ((1 + ratio) * own + ratio * other), axis=0)
    quadratic = np.cumsum(inverse * inverse * (own + other), axis=0)
    variance: Doubles = np.maximum(constant + incidence * (incidence * quadratic - 2 * linear), 0.0)
    return variance


def _event_variance(events: Counts, at_risk: Counts, before: Doubles) -> Doubles:
    with np.errstate(divide="ignore", invalid="ignore"):
        ties = np.where(events > 1, (at_risk - events) / (at_risk - 1.0), 1.0)
        return np.where(events > 0, before**2 * events / (at_risk * at_risk.astype(np.float64)) * ties, 0.0)


def incidence_at(curves: IncidenceCurves, cause: int, day: float) -> Estimate:
    """Returns the incidence of a cause on a day; undefined after the last exit, unless nobody is left event-free."""
    row, column = int(np.searchsorted(curves.days, day, side="right")) - 1, cause - 1
    if row < 0 or (day > curves.days[-1] and curves.event_free[-1] > 0):
        return UNDEFINED
    value, lower, upper = (values[row, column] for values in (curves.incidence, curves.lower, curves.upper))
    return Estimate(optional(value), optional(lower), optional(upper))
