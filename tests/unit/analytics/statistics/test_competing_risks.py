from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from numpy.typing import NDArray

from services.analytics.statistics.competing_risks import IncidenceCurves, cumulative_incidence, incidence_at
from services.analytics.statistics.intervals import Estimate
from services.analytics.statistics.kaplan_meier import kaplan_meier
from services.analytics.statistics.risk_sets import Observations, observe
from tests.unit.analytics.statistics.cohorts import Person, observations, people
from tests.unit.analytics.statistics.reference_tables import Row, assert_equal, cohorts, column, names, table

LESIONS = ([100, 200, 25, 120, 120, 300, 200, 60, 60], [1, 2, 2, 1, 1, 0, 3, 2, 2], [0, 0, 1, 2, 2, 3, 3, 4, 4])
"""Days, causes (failure, death, re-treatment) and participants of nine lesions."""


def by_cause(rows: list[Row]) -> dict[int, list[Row]]:
    return {int(cause): [row for row in rows if row["cause"] == cause] for cause in {row["cause"] for row in rows}}


def rows_of(curves: IncidenceCurves, rows: list[Row]) -> NDArray[np.intp]:
    return np.searchsorted(curves.days, column(rows, "day"))


@pytest.mark.parametrize("name", names("incidence"))
def test_incidence_and_variance_of_participants_are_those_of_cuminc(name: str) -> None:
    curves = cumulative_incidence(cohorts()[name].observations, 3)
    for cause, rows in by_cause(list(table("incidence")[name])).items():
        chosen = rows_of(curves, rows)
        assert_equal(curves.incidence[chosen, cause - 1], column(rows, "estimate"))
        assert_equal(curves.standard_error[chosen, cause - 1] ** 2, column(rows, "variance"))


@pytest.mark.parametrize("name", names("incidence_by_cluster"))
def test_variance_of_lesions_is_the_influence_summed_within_participants(name: str) -> None:
    cohort = cohorts()[name]
    alone = cumulative_incidence(cohort.observations, 3, np.arange(len(cohort.observations)))
    clustered = cumulative_incidence(cohort.observations, 3, cohort.clusters)
    for cause, rows in by_cause(list(table("incidence_by_cluster")[name])).items():
        chosen = rows_of(alone, rows)
        assert_equal(alone.incidence[chosen, cause - 1], column(rows, "estimate"))
        assert_equal(alone.standard_error[chosen, cause - 1], column(rows, "alone"))
        assert_equal(clustered.standard_error[chosen, cause - 1], column(rows, "clustered"))


def test_nine_lesions_of_five_participants() -> None:
    exits, causes, participants = LESIONS
    curves = cumulative_incidence(observe(exits, causes), 3, participants)
    assert_equal([value_of(curves, 1, day) for day in (99, 100, 120)], [0, 1 / 9, 1 / 3])
    assert_equal([value_of(curves, 2, day) for day in (25, 60, 200)], [1 / 9, 1 / 3, 4 / 9])
    assert_equal(value_of(curves, 3, 200), 1 / 9)
    row = curves.days.tolist().index(120)
    assert curves.standard_error[row, 0] == pytest.approx(0.188852574577511, abs=1e-14)
    limits = incidence_at(curves, 1, 120)
    assert_equal([limits.lower or 0, limits.upper or 0], [0.0488675060863, 0.6704328796933], 1e-12)


def value_of(curves: IncidenceCurves, cause: int, day: int) -> float:
    value = incidence_at(curves, cause, day).value
    assert value is not None
    return value


def test_death_competes_in_local_control_however_long_ago_the_last_imaging_was() -> None:
    stereotactic = cumulative_incidence(observe([246, 246, 25, 0, 51], [2, 2, 2, 0, 0]), 2)
    assert_equal([value_of(stereotactic, 2, day) for day in (25, 246)], [0.25, 1])
    assert stereotactic.incidence[:, 0].tolist() == [0, 0, 0, 0]
    exits, causes = [246, 246, 25, 0, 51, 106, 145, 145, 0, 0, 0], [2, 2, 2, 0, 0, 1, 2, 2, 0, 0, 0]
    irradiated = cumulative_incidence(observe(exits, causes), 2)
    assert_equal(value_of(irradiated, 1, 106), 0.171428571428571, 1e-14)
    deaths = [value_of(irradiated, 2, day) for day in (25, 145, 246)]
    assert_equal(deaths, [0.142857142857143, 0.485714285714286, 0.828571428571429], 1e-14)


def test_severe_toxicity_of_the_published_cases() -> None:
    curves = cumulative_incidence(observe([246, 141, 291], [2, 1, 0]), 2)
    assert_equal([value_of(curves, 1, 141), value_of(curves, 2, 246)], [1 / 3, 1 / 3])
    assert_equal(curves.standard_error[[1, 2], [0, 1]] ** 2, [0.111111111111111, 0.138888888888889], 1e-14)


def test_locoregional_failure_of_the_published_cases() -> None:
    curves = cumulative_incidence(observe([162, 145, 568, 338], [1, 2, 0, 0]), 2)
    assert (value_of(curves, 1, 162), value_of(curves, 2, 145)) == (0.25, 0.25)


@pytest.mark.parametrize("nobody", [observe([], []), observe([0, 4], [0, 0])])
def test_incidence_without_events_is_0_without_limits_and_undefined_for_nobody(nobody: Observations) -> None:
    curves = cumulative_incidence(nobody, 2)
    assert np.isnan(curves.lower).all()
    assert np.isnan(curves.upper).all()
    expected = Estimate(0 if len(nobody) else None, None, None)
    assert incidence_at(curves, 1, 0) == expected
    assert incidence_at(curves, 1, 5) == Estimate(None, None, None)


def test_cause_without_a_column_is_refused() -> None:
    with pytest.raises(ValueError, match="cause_count"):
        cumulative_incidence(observe([1], [3]), 2)


@given(people(causes=3))
def test_incidences_and_event_free_share_add_up_to_1_and_are_sums_of_shares(persons: list[Person]) -> None:
    times = observations(persons)
    curves, free = cumulative_incidence(times, 3), Fraction(1)
    incidence = [Fraction(0)] * 4
    for row, day in enumerate(curves.days.tolist()):
        at_risk = [person for person in persons if person.is_at_risk(day)]
        events = [person.cause for person in at_risk if person.exit == day and person.cause]
        for cause in events:
            incidence[cause] += free / len(at_risk)
        free *= 1 - Fraction(len(events), len(at_risk)) if events else 1
        assert curves.incidence[row].tolist() == pytest.approx([float(share) for share in incidence[1:]], abs=1e-13)
        assert curves.event_free[row] + curves.incidence[row].sum() == pytest.approx(1, abs=1e-13)
    assert np.array_equal(curves.event_free, kaplan_meier(times).estimate)


@given(people(causes=1, entries=False))
def test_standard_error_of_a_single_cause_without_ties_or_competition_is_greenwoods(persons: list[Person]) -> None:
    apart = observe([10 * number + 1 for number, _ in enumerate(persons)], [person.cause for person in persons])
    jackknife = cumulative_incidence(apart, 1, np.arange(len(persons))).standard_error[:-1, 0]
    survival = kaplan_meier(apart)
    assert jackknife == pytest.approx(survival.standard_error[:-1], abs=1e-12)
