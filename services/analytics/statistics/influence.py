"""The infinitesimal jackknife of cumulative incidences: how each participant moves the estimate.

With S the event-free share before a day, n at risk, d events and d_k of cause k, the influence U_0 of an observation on
S and U_k on the incidence F_k of k go on, from one day with events to the next, as

    U_k + U_0 d_k / n + S (its events of k - its number at risk d_k / n) / n
    U_0 (1 - d / n)   - S (its events      - its number at risk d / n) / n

(Therneau, survival vignette "Methods"; Aalen, Borgan, Gjessing, Survival and Event History Analysis, 3.4.)

While it is at risk, and afterwards, U_k is a + b F_k + m P_k with numbers a, b and m that stay the same, and a sum P_k
that is the same for all. So the squares of clusters are summed again only where one begins or ends to be at risk: the
work grows with the observations, and not with the observations times the days.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from services.analytics.statistics.elementary import Doubles
from services.analytics.statistics.risk_sets import CENSORED, Counts, Observations, RiskSets

_RELATIVE_ERROR = 2.0**-47
"""The error of a sum, relative to the sum of the sizes of all that was added and taken away."""


def influence_variance(
    observations: Observations, sets: RiskSets, event_free: Doubles, clusters: Counts, causes: int
) -> Doubles:
    """Returns the variance of the incidences by day and cause: squared influences, summed within clusters before.

    Of the causes 1 … `causes` alone: the work grows with them.
    """
    steps = _EventDays.of(sets, event_free, causes)
    changes = _ClusterChanges.of(observations, steps, clusters)
    squares = _sum_squares(changes, steps)
    # Before the first step nobody has moved an estimate. Where everybody at risk has had an event, all stays as it is.
    last_step = np.minimum(np.cumsum(sets.events > 0), len(squares))
    return np.concatenate((np.zeros((1, squares.shape[1])), squares))[last_step]


class _EventDays(NamedTuple):
    """The days with events, up to the one on which everybody at risk has an event. Columns are causes.

    `at_risk`: n. `before`: S. `incidence`: F_k after the day, with a row 0 before the first. `drift`: P_k, likewise.
    `gain`: 1 / (n - d), by which an event lowers U_0 / S. `gained`: U_0 / S before each day, and at the end, of an
    observation that is at risk from the first.
    """

    days: Counts
    at_risk: Doubles
    before: Doubles
    incidence: Doubles
    drift: Doubles
    gain: Doubles
    gained: Doubles

    @classmethod
    def of(cls, sets: RiskSets, event_free: Doubles, causes: int) -> Self:
        rows = np.flatnonzero(sets.events)
        emptied = np.flatnonzero(sets.events[rows] == sets.at_risk[rows])
        rows = rows[: emptied[0] + 1] if len(emptied) else rows
        at_risk, events = sets.at_risk[rows].astype(np.float64), sets.events[rows]
        before = np.concatenate(([1.0], event_free[:-1]))[rows]
        is_left = at_risk > events
        gain = np.divide(1.0, at_risk - events, where=is_left, out=np.zeros(len(rows)))
        gained = np.append(0.0, np.cumsum(gain * events / at_risk))
        growth = before[:, None] * sets.ends[rows, 1 : causes + 1] / at_risk[:, None]
        drift = growth * (gained[:-1] - 1 / at_risk)[:, None]
        nothing = np.zeros((1, growth.shape[1]))
        return cls(
            days=sets.days[rows],
            at_risk=at_risk,
            before=before,
            incidence=np.concatenate((nothing, np.cumsum(growth, axis=0))),
            drift=np.concatenate((nothing, np.cumsum(drift, axis=0))),
            gain=gain,
            gained=gained,
        )


class _ClusterChanges(NamedTuple):
    """Changes of the numbers of clusters, in the order of clusters and their days. `a`: a column for each cause.

    Of each, `step` is the day with events from which it holds, and `rank` counts the changes of its cluster from 0.
    """

    step: NDArray[np.intp]
    cluster: Counts
    rank: NDArray[np.intp]
    a: Doubles
    b: Doubles
    m: Doubles

    @classmethod
    def of(cls, observations: Observations, steps: _EventDays, clusters: Counts) -> Self:
        """Returns two changes of each observation: from `start` it is at risk, and after `last` it is not."""
        entries = observations.entries
        start = np.zeros(len(observations), dtype=np.intp)
        if entries is not None:
            start = np.searchsorted(steps.days, entries, side="right")
        end = np.maximum(np.searchsorted(steps.days, observations.exits, side="right"), start)
        is_event = (observations.causes != CENSORED) & (end > start)
        last = np.maximum(end - 1, 0)
        b_at_risk = -steps.gained[start]
        a_at_risk = -steps.drift[start] - b_at_risk[:, None] * steps.incidence[start]
        gain, share = (np.append(values, 0.0) for values in (steps.gain, steps.before / steps.at_risk))
        b = steps.gained[end] + b_at_risk - np.where(is_event, gain[last], 0.0)
        a = steps.drift[end] + a_at_risk + (b_at_risk - b)[:, None] * steps.incidence[end]
        of_events = np.flatnonzero(is_event & (observations.causes <= a.shape[1]))
        a[of_events, observations.causes[of_events] - 1] += share[last[of_events]]
        ones = np.ones(len(start))
        return cls._in_order(
            step=np.concatenate((start, np.where(is_event, last, end))),
            cluster=np.concatenate((clusters, clusters)),
            a=np.concatenate((a_at_risk, a - a_at_risk)),
            b=np.concatenate((b_at_risk, b - b_at_risk)),
            m=np.concatenate((ones, -ones)),
        )

    @classmethod
    def _in_order(cls, step: NDArray[np.intp], cluster: Counts, a: Doubles, b: Doubles, m: Doubles) -> Self:
        order = np.argsort(cluster * (1 + int(step.max(initial=0))) + step, kind="stable")
        of_clusters, numbers = cluster[order], np.arange(len(order))
        is_first = np.append(True, of_clusters[1:] != of_clusters[:-1])[: len(order)]
        rank = numbers - np.maximum.accumulate(np.where(is_first, numbers, 0))
        return cls(step[order], of_clusters, rank, a[order], b[order], m[order])


def _sum_squares(changes: _ClusterChanges, steps: _EventDays) -> Doubles:
    """Returns the sum of the squared influences of clusters after each day with events; a column for each cause.

    A sum that is not above the error of its terms is 0: nobody moves the estimate.
    """
    count, causes = len(steps.days), changes.a.shape[1]
    parts = np.concatenate((changes.a.T, [changes.b], [changes.m]))
    b, m = causes, causes + 1
    factors = {(b, b): 1, (b, m): 2, (m, m): 1}
    for a in range(causes):
        factors |= {(a, a): 1, (a, b): 2, (a, m): 2}
    totals = _total_products(changes, parts, list(factors), count)
    squares, sizes = np.zeros((2, count, causes))
    for cause in range(causes):
        values = {cause: np.ones(count), b: steps.incidence[1:, cause], m: steps.drift[1:, cause]}
        for (first, second), (total, size) in totals.items():
            if first in values and second in values:
                factor = factors[first, second] * values[first] * values[second]
                squares[:, cause] += total * factor
                sizes[:, cause] += size * np.abs(factor)
    return np.where(squares > _RELATIVE_ERROR * sizes, squares, 0.0)


def _total_products(
    changes: _ClusterChanges, parts: Doubles, pairs: Sequence[tuple[int, int]], count: int
) -> dict[tuple[int, int], tuple[Doubles, float]]:
    """Returns the sum over clusters of each product of two numbers, after each of `count` days with events.

    `parts`: the changes of the numbers, a row for each. Beside each sum stands the size of all that was added to it.
    """
    numbers = np.zeros((len(parts), int(changes.cluster.max(initial=-1)) + 1))
    sums, sizes = {pair: np.zeros(count + 1) for pair in pairs}, dict.fromkeys(pairs, 0.0)
    for rank in range(int(changes.rank.max(initial=-1)) + 1):
        chosen = np.flatnonzero(changes.rank == rank)
        of_clusters, steps = changes.cluster[chosen], changes.step[chosen]
        earlier = numbers[:, of_clusters]
        numbers[:, of_clusters] = later = earlier + parts[:, chosen]
        for pair in pairs:
            new = later[pair[0]] * later[pair[1]]
            old = earlier[pair[0]] * earlier[pair[1]] if rank else 0.0
            sums[pair] += np.bincount(steps, weights=new - old, minlength=count + 1)
            sizes[pair] += float(np.abs(new).sum() + np.abs(old).sum())
    return {pair: (np.cumsum(sums[pair][:-1]), sizes[pair]) for pair in pairs}
