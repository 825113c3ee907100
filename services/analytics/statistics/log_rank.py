"""The log-rank test for any number of groups, with delayed entry and for groups that are reached in the course of time.

Mantel and Haenszel's version with the hypergeometric variance, as `survdiff` of R's survival. With delayed entry it is
the score test of `coxph(ties = "exact")`. For a group that is reached (Mantel and Byar, JASA 1974;69:81) a participant
has two observations: one that is censored on the day of reaching it, and one in the group that enters on that day.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from services.analytics.statistics.elementary import Doubles
from services.analytics.statistics.group_test import GroupTest, score_test, undefined_test
from services.analytics.statistics.risk_sets import CENSORED, Counts, Days, Observations


@dataclass(frozen=True, slots=True)
class LogRankTest:
    """The test, with the observed and the expected number of events of each group."""

    test: GroupTest
    observed: tuple[int, ...]
    expected: tuple[float, ...]


def log_rank(observations: Observations, groups: ArrayLike, group_count: int) -> LogRankTest:
    """Compares the survival of groups 0 … group_count - 1; `groups` has the group of each observation.

    A group without expected events takes no part. The test is undefined without events, with fewer than two groups
    that take part, and where the variance is singular, as when everybody has the event on one day.
    """
    _, at_risk, events = counts_by_group(observations, np.asarray(groups, np.int64), group_count)
    total, total_events = at_risk.sum(axis=1), events.sum(axis=1)
    expected = (total_events[:, None] * at_risk / total[:, None]).sum(axis=0)
    observed = events.sum(axis=0)
    chosen = np.flatnonzero(expected > 0)
    test = _test(observed[chosen] - expected[chosen], at_risk[:, chosen], total, total_events)
    return LogRankTest(test, tuple(observed.tolist()), tuple(expected.tolist()))


def _test(score: Doubles, at_risk: Counts, total: Counts, events: Counts) -> GroupTest:
    if not events.sum():
        return undefined_test("no_events")
    if len(score) < 2:
        return undefined_test("one_group")
    return score_test(score[1:].tolist(), _variance(at_risk[:, 1:], total, events))


def _variance(at_risk: Counts, total: Counts, events: Counts) -> list[list[float]]:
    """Sums the hypergeometric covariances of the events of groups over the days."""
    several = total > 1
    at_risk, total, events = at_risk[several], total[several], events[several]
    weights = events * ((total - events) / (total - 1)) / total
    shares = at_risk / total[:, None]
    size = at_risk.shape[1]
    return [
        [float((weights * at_risk[:, i] * ((i == j) - shares[:, j])).sum()) for j in range(size)] for i in range(size)
    ]


def counts_by_group(
    observations: Observations, groups: NDArray[np.int64], group_count: int
) -> tuple[Days, Counts, Counts]:
    """Returns (days, at risk, events), numbers by day and group, for the days with an event of any cause."""
    if len(groups) != len(observations) or np.any((groups < 0) | (groups >= group_count)):
        raise ValueError("each observation needs a group from 0 to group_count - 1")
    is_event = observations.causes != CENSORED
    days = int(observations.exits.max(initial=0)) + 1
    leaving = count_by_day(observations.exits, groups, days, group_count)
    events = count_by_day(observations.exits[is_event], groups[is_event], days, group_count)
    at_risk = np.bincount(groups, minlength=group_count) - (np.cumsum(leaving, axis=0) - leaving)
    if observations.entries is not None:
        entering = count_by_day(np.minimum(observations.entries + 1, days - 1), groups, days, group_count)
        at_risk -= np.bincount(groups, minlength=group_count) - np.cumsum(entering, axis=0)
    chosen = np.flatnonzero(events.any(axis=1))
    return chosen, at_risk[chosen], events[chosen]


def count_by_day(days: Days, groups: NDArray[np.int64], day_count: int, group_count: int) -> Counts:
    """Counts pairs of a day and a group: a row for each of the days 0 … day_count - 1."""
    return np.bincount(days * group_count + groups, minlength=day_count * group_count).reshape(day_count, group_count)
