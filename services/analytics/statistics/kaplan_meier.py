"""The product-limit estimate of a survival curve with its band, and what is read from it.

Kaplan and Meier, JASA 1958;53:457, with Greenwood's variance and the log(-log) band. Equal to `survfit` of R's survival
(conf.type = "log-log"), with delayed entry as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from services.analytics.statistics.elementary import Doubles
from services.analytics.statistics.intervals import UNDEFINED, Estimate, limits_after_steps, optional
from services.analytics.statistics.risk_sets import CENSORED, Counts, Days, Observations, risk_sets

_HALF_PRECISION = 2.0**-26
"""The tolerance of R in comparisons of a curve with a probability: the root of the precision of a double."""


@dataclass(frozen=True, slots=True, eq=False)
class SurvivalCurve:
    """A step function: a row for each day on which an observation ends, and always one for day 0.

    A row has the numbers at risk, of events and of censored observations on that day, and the estimate after them.
    `standard_error` is Greenwood's; it and the limits are NaN where R has NA: where the estimate is 0 or 1. In the row
    of day 0 the limits are 1 if nobody has an event on that day. Without any observation the estimate is NaN.
    `entered_later`: how many enter on or after the day on which everybody at risk had an event, so that the estimate
    stays at 0; 0 if there was no such day.
    """

    days: Days
    at_risk: Counts
    events: Counts
    censored: Counts
    estimate: Doubles
    standard_error: Doubles
    lower: Doubles
    upper: Doubles
    entered_later: int

    @property
    def is_risk_set_emptied(self) -> bool:
        """True if the estimate is 0 for good although others enter later; quantiles are then undefined."""
        return self.entered_later > 0


def kaplan_meier(observations: Observations) -> SurvivalCurve:
    """Estimates the probability of having had no event; every cause counts as one."""
    sets = risk_sets(observations)
    at_risk, events = sets.at_risk, sets.events
    remaining = at_risk - events
    with np.errstate(divide="ignore", invalid="ignore"):
        factors: Doubles = np.where(events > 0, remaining / at_risk, 1.0)
        estimate: Doubles = np.multiply.accumulate(factors)
        terms = np.where(events > 0, events / (at_risk * remaining.astype(np.float64)), 0.0)
        relative_error = np.sqrt(np.cumsum(terms))
        standard_error = np.where(estimate > 0, estimate * relative_error, np.nan)
    lower, upper = limits_after_steps(estimate, relative_error, events > 0)
    if not events[0]:
        lower[0] = upper[0] = 1.0
    if not len(observations):
        estimate[0] = lower[0] = upper[0] = standard_error[0] = np.nan
    return SurvivalCurve(
        days=sets.days,
        at_risk=at_risk,
        events=events,
        censored=sets.censored,
        estimate=estimate,
        standard_error=standard_error,
        lower=lower,
        upper=upper,
        entered_later=_count_entries_from(observations, sets.days[estimate == 0]),
    )


def reverse_kaplan_meier(observations: Observations) -> SurvivalCurve:
    """Estimates the distribution of follow-up: censoring is the event, and events are censored.

    Schemper and Smith, Control Clin Trials 1996;17:343. An observation with an event is at risk of being censored on
    the same day, as in `survfit(Surv(time, 1 - status))`.
    """
    return kaplan_meier(observations.with_causes(observations.causes == CENSORED))


def _count_entries_from(observations: Observations, days: Days) -> int:
    if observations.entries is None or not len(days):
        return 0
    return int(np.count_nonzero(observations.entries >= days[0]))


def quantile(curve: SurvivalCurve, probability: float = 0.5) -> Estimate:
    """Returns the day by which a share of `probability` has had the event; the median by default.

    The rule is that of R's `print.survfit`, for the curve and for both limits of its band: the first day on which it is
    below 1 - probability; where it is equal to that and falls later, the mean of the first day there and the first
    lower one. (R's `quantile.survfit` has another rule for a plateau that reaches the end.) Everything is None if the
    risk set was emptied before others entered.
    """
    if curve.is_risk_set_emptied:
        return UNDEFINED
    return Estimate(
        _first_day(curve.days, curve.estimate, 1 - probability),
        _first_day(curve.days, curve.lower, 1 - probability),
        _first_day(curve.days, curve.upper, 1 - probability),
    )


def _first_day(days: Days, values: Doubles, level: float) -> float | None:
    chosen = values < level + _HALF_PRECISION
    days, values = days[chosen], values[chosen]
    if not len(days):
        return None
    lower = np.flatnonzero(values < values[0])
    is_plateau = abs(values[0] - level) < _HALF_PRECISION
    return float((days[0] + days[lower[0]]) / 2 if is_plateau and len(lower) else days[0])


def is_plateau_at(curve: SurvivalCurve, probability: float = 0.5) -> bool:
    """Returns True if the curve has a step at 1 - probability, where the quantile is a matter of convention."""
    return bool(np.any(np.abs(curve.estimate - (1 - probability)) < _HALF_PRECISION))


def landmark(curve: SurvivalCurve, day: float) -> Estimate:
    """Returns the estimate on a day. After the last exit it is undefined, unless the curve has come down to 0."""
    row = int(np.searchsorted(curve.days, day, side="right")) - 1
    if row < 0 or (day > curve.days[-1] and curve.estimate[-1] > 0):
        return UNDEFINED
    return Estimate(optional(curve.estimate[row]), optional(curve.lower[row]), optional(curve.upper[row]))
