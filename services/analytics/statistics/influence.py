"""The infinitesimal jackknife of cumulative incidences: how each participant moves the estimate."""

from __future__ import annotations

import numpy as np

from services.analytics.statistics.elementary import Doubles
from services.analytics.statistics.risk_sets import CENSORED, Counts, Days, Observations, RiskSets


def influence_variance(observations: Observations, sets: RiskSets, event_free: Doubles, clusters: Counts) -> Doubles:
    """Returns the variance of the incidences by day and cause: squared influences, summed within clusters before.

    With S the event-free share before a day, n at risk, d events and d_k of cause k, the influence U_0 of a cluster on
    S and U_k on the incidence of k go on as

        U_k + U_0 d_k / n + S (its events of k - its number at risk d_k / n) / n
        U_0 (1 - d / n)   - S (its events      - its number at risk d / n) / n

    (Therneau, survival vignette "Methods"; Aalen, Borgan, Gjessing, Survival and Event History Analysis, 3.4.)
    """
    size = int(clusters.max(initial=-1)) + 1
    on_survival, on_incidence = np.zeros(size), np.zeros((sets.ends.shape[1] - 1, size))
    variance = np.zeros((len(sets.days), sets.ends.shape[1] - 1))
    members = _Members(observations, clusters, size)
    before = np.concatenate(([1.0], event_free[:-1]))
    for row in np.flatnonzero(sets.events):
        at_risk, day, survival = int(sets.at_risk[row]), int(sets.days[row]), float(before[row])
        hazards = sets.ends[row, 1:] / at_risk
        share = survival / at_risk * members.at_risk_on(day)
        on_incidence += hazards[:, None] * (on_survival - share)
        on_survival -= sets.events[row] / at_risk * (on_survival - share)
        causes, of_clusters = members.events_on(day).T
        np.add.at(on_incidence, (causes - 1, of_clusters), survival / at_risk)
        np.subtract.at(on_survival, of_clusters, survival / at_risk)
        variance[row] = (on_incidence * on_incidence).sum(axis=1)
    filled = np.maximum.accumulate(np.where(sets.events > 0, np.arange(len(sets.days)), 0))
    return variance[filled]


class _Members:
    """Numbers at risk and events of clusters, for days that are asked for in order."""

    def __init__(self, observations: Observations, clusters: Counts, size: int) -> None:
        entries = observations.entries if observations.entries is not None else np.full(len(observations), -1)
        self._entering = _Ordered(entries, clusters)
        self._leaving = _Ordered(observations.exits, clusters)
        is_event = observations.causes != CENSORED
        self._events = _Ordered(
            observations.exits[is_event], np.stack((observations.causes[is_event], clusters[is_event]), axis=1)
        )
        self._at_risk = np.zeros(size)

    def at_risk_on(self, day: int) -> Doubles:
        np.add.at(self._at_risk, self._entering.take_before(day), 1)
        np.subtract.at(self._at_risk, self._leaving.take_before(day), 1)
        return self._at_risk

    def events_on(self, day: int) -> Counts:
        """Returns (cause, cluster) of each event on the day."""
        self._events.take_before(day)
        return self._events.take_before(day + 1)


class _Ordered:
    """Values that are taken in the order of their days."""

    def __init__(self, days: Days, values: Counts) -> None:
        order = np.argsort(days, kind="stable")
        self._days, self._values, self._taken = days[order], values[order], 0

    def take_before(self, day: int) -> Counts:
        """Returns the values of days before `day` that were not taken yet."""
        start, self._taken = self._taken, int(np.searchsorted(self._days, day, side="left"))
        return self._values[start : self._taken]
