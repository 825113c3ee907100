"""The influence of participants on cumulative incidences, against its recursion from day to day, one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.analytics.statistics.competing_risks import cumulative_incidence
from services.analytics.statistics.influence import influence_variance
from services.analytics.statistics.risk_sets import Observations, observe, risk_sets
from tests.unit.analytics.statistics.cohorts import Person, observations, people

CAUSES = 3
Doubles = NDArray[np.float64]


def variance_by_recursion(times: Observations, clusters: list[int]) -> Doubles:
    """Returns the variance by day and cause: each day changes the influence of everybody."""
    sets = risk_sets(times, CAUSES)
    entries = np.full(len(times), -1) if times.entries is None else times.entries
    on_survival, on_incidence, survival = np.zeros(len(times)), np.zeros((CAUSES, len(times))), 1.0
    rows = []
    for day, at_risk, ends in zip(sets.days, sets.at_risk, sets.ends, strict=True):
        is_at_risk, ends_today = (entries < day) & (day <= times.exits), times.exits == day
        events = int(ends[1:].sum())
        if events:
            on_day = np.array([ends_today & (times.causes == cause) for cause in range(1, CAUSES + 1)])
            hazards = ends[1:, None] / at_risk
            on_incidence += on_survival * hazards + survival / at_risk * (on_day - is_at_risk * hazards)
            change = on_day.any(axis=0) - is_at_risk * events / at_risk
            on_survival = on_survival * (1 - events / at_risk) - survival / at_risk * change
            survival *= (at_risk - events) / at_risk
        influences = np.array([np.bincount(clusters, weights=influence) for influence in on_incidence])
        rows.append((influences**2).sum(axis=1))
    return np.array(rows)


@given(people(CAUSES), st.data())
def test_variance_is_that_of_the_recursion_for_every_grouping_and_with_delayed_entries(
    persons: list[Person], data: st.DataObject
) -> None:
    times = observations(persons)
    clusters = data.draw(st.lists(st.integers(0, 4), min_size=len(times), max_size=len(times)))
    error = cumulative_incidence(times, CAUSES, np.array(clusters, dtype=np.int64)).standard_error
    np.testing.assert_allclose(error, np.sqrt(variance_by_recursion(times, clusters)), rtol=0, atol=1e-12)


def test_one_participant_with_all_lesions_has_no_variance() -> None:
    times = observe([5, 9, 9, 30], [1, 2, 0, 1])
    sets = risk_sets(times, CAUSES)
    event_free = np.multiply.accumulate((sets.at_risk - sets.events) / sets.at_risk)
    assert (
        influence_variance(times, sets, event_free, np.zeros(4, dtype=np.int64), CAUSES).tolist()
        == [[0.0] * CAUSES] * 4
    )


def test_many_lesions_have_the_variance_of_the_recursion() -> None:
    generator = np.random.default_rng(1)
    exits, causes = generator.integers(0, 400, 3000), generator.integers(0, CAUSES + 1, 3000)
    times, clusters = observe(exits, causes), generator.integers(0, 1800, 3000)
    error = cumulative_incidence(times, CAUSES, clusters).standard_error
    assert error == pytest.approx(np.sqrt(variance_by_recursion(times, clusters.tolist())), rel=1e-12)
    first_alone = cumulative_incidence(times, CAUSES, clusters, limits=1)
    assert first_alone.standard_error[:, 0].tolist() == error[:, 0].tolist()
    assert np.isnan(first_alone.standard_error[:, 1:]).all()
