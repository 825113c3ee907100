"""Gray's test of equal cumulative incidence of one cause in several groups (Ann Stat 1988;16:1141), with rho = 0.

The result is that of `cuminc` of R's cmprsk. The notation of the paper: R_i = n_i (1 - F_i(t-)) / S_i(t-) is the number
at risk of group i adjusted for competing events, h_i = n_i / S_i(t-), and F the pooled incidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from services.analytics.statistics.elementary import Doubles
from services.analytics.statistics.group_test import GroupTest, score_test, undefined_test
from services.analytics.statistics.log_rank import count_by_day, counts_by_group
from services.analytics.statistics.risk_sets import Counts, Observations


def gray_test(observations: Observations, cause: int, groups: ArrayLike, group_count: int) -> GroupTest:
    """Compares the incidence of a cause in groups 0 … group_count - 1; `groups` has the group of each observation.

    A group that nobody is in takes no part. Undefined without events of the cause, with fewer than two groups that take
    part, and where the variance is singular, as with a group that has no information (R returns -1 there); raises
    ValueError with delayed entries, for which the test is not defined.
    """
    if observations.entries is not None:
        raise ValueError("Gray's test has no delayed entry")
    if not np.any(observations.causes == cause):
        return undefined_test("no_events")
    numbers = np.asarray(groups, np.int64)
    days, at_risk, events = counts_by_group(observations, numbers, group_count)
    chosen = np.flatnonzero(np.bincount(numbers, minlength=group_count))
    if len(chosen) < 2:
        return undefined_test("one_group")
    is_own = observations.causes == cause
    own = count_by_day(observations.exits[is_own], numbers[is_own], int(observations.exits.max()) + 1, group_count)[
        days
    ]
    steps = _Steps.of(at_risk[:, chosen].astype(np.float64), own[:, chosen], (events - own)[:, chosen])
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = steps.variance()
    return score_test(steps.score().tolist(), variance.tolist())


@dataclass(frozen=True, slots=True, eq=False)
class _Steps:
    """Numbers by day and group, for the days with an event of any cause; S and F before the day, and S after it."""

    at_risk: Doubles
    own: Counts
    other: Counts
    free_before: Doubles
    free_after: Doubles
    incidence_before: Doubles

    @classmethod
    def of(cls, at_risk: Doubles, own: Counts, other: Counts) -> _Steps:
        events = own + other
        shares = np.divide(at_risk - events, at_risk, where=at_risk > 0, out=np.ones_like(at_risk))
        free_after: Doubles = np.multiply.accumulate(shares)
        free_before = _before(free_after, 1.0)
        gains = np.divide(free_before * own, at_risk, where=at_risk > 0, out=np.zeros_like(at_risk))
        return cls(at_risk, own, other, free_before, free_after, _before(np.cumsum(gains, axis=0), 0.0))

    @property
    def weights(self) -> Doubles:
        """h_i, 0 for a group in which nobody is at risk."""
        return np.divide(self.at_risk, self.free_before, where=self.at_risk > 0, out=np.zeros_like(self.at_risk))

    def score(self) -> Doubles:
        """Returns events of the cause less those expected, for all groups but the last."""
        adjusted = self.weights * (1 - self.incidence_before)
        expected = self.own.sum(axis=1)[:, None] * adjusted / adjusted.sum(axis=1)[:, None]
        score: Doubles = np.where(self.at_risk > 0, self.own - expected, 0.0).sum(axis=0)
        return score[:-1]

    def variance(self) -> Doubles:
        """Returns the covariance of the scores of all groups but the last."""
        weights, own = self.weights, self.own.sum(axis=1)
        total = weights.sum(axis=1)
        pooled = np.cumsum(own / total)
        identity = np.eye(weights.shape[1])
        contrasts = weights[:, :, None] * (identity - (weights / total[:, None])[:, None, :])
        slopes = np.cumsum(contrasts * (own / (total * (1 - _before(pooled, 0.0))))[:, None, None], axis=0)
        has_left = self.free_after > 0
        left = np.divide(1 - pooled[:, None], self.free_after, where=has_left, out=np.zeros_like(weights))
        change = np.where(has_left, 1 - left, 1.0)
        of_own, of_other = self._own_variance(total), self._other_variance()
        from_own, from_other = contrasts - slopes * change[:, None, :], -slopes * left[:, None, :]
        last = slopes[-1]
        first, second = from_own + last * change[:, None, :], from_other + last * left[:, None, :]
        terms = _outer(first) * of_own[:, None, None, :] + _outer(second) * of_other[:, None, None, :]
        variance: Doubles = terms.sum(axis=3).sum(axis=0)
        return variance[:-1, :-1]

    def _own_variance(self, total: Doubles) -> Doubles:
        own = self.own.sum(axis=1)[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            ties = np.where(own > 1, 1 - (own - 1) / (total[:, None] * self.free_before - 1), 1.0)
            return np.where(self.at_risk > 0, ties * self.free_before * own / (total[:, None] * self.at_risk), 0.0)

    def _other_variance(self) -> Doubles:
        with np.errstate(divide="ignore", invalid="ignore"):
            ties = np.where(self.other > 1, 1 - (self.other - 1) / (self.at_risk - 1), 1.0)
            variance = ties * self.free_before**2 * self.other / self.at_risk**2
        return np.where((self.free_after > 0) & (self.other > 0), variance, 0.0)


def _outer(contributions: Doubles) -> Doubles:
    """Multiplies the contributions of each pair of groups, by day and contributing group."""
    return contributions[:, :, None, :] * contributions[:, None, :, :]


def _before(values: Doubles, start: float) -> Doubles:
    """Shifts values by a day: the value before each day."""
    first = np.full((1, *values.shape[1:]), start)
    return np.concatenate((first, values[:-1]))
