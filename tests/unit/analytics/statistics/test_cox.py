from __future__ import annotations

from math import exp, log

import pytest
from hypothesis import given

from services.analytics.statistics.cox import fit_cox
from services.analytics.statistics.intervals import UNDEFINED
from services.analytics.statistics.risk_sets import observe
from tests.unit.analytics.statistics.cohorts import Person, observations, people
from tests.unit.analytics.statistics.reference_tables import assert_equal, cohorts, names, table

MONOTONE = {"separated", "events_on_day_0"}
"""Cohorts of which R prints a coefficient beyond 30, with a warning."""
DIED, REACHED_ON = [30, 45, 60, 80, 100, 150, 260], [90, 100, 120, 150, 200]


@pytest.mark.parametrize("name", [name for name in names("cox") if name not in MONOTONE])
def test_coefficient_error_and_statistics_are_those_of_coxph(name: str) -> None:
    model, (row,) = fit_cox(cohorts()[name].observations, cohorts()[name].covariate), table("cox")[name]
    ours = (model.coefficient, model.standard_error, model.score, model.likelihood_ratio)
    expected = [row[key] for key in ("coefficient", "standard_error", "score", "likelihood_ratio")]
    assert_equal([float("nan") if value is None else value for value in ours], expected, 1e-8)


@pytest.mark.parametrize("name", sorted(MONOTONE))
def test_likelihood_without_a_maximum_has_a_score_and_no_coefficient(name: str) -> None:
    model, (row,) = fit_cox(cohorts()[name].observations, cohorts()[name].covariate), table("cox")[name]
    assert (model.coefficient, model.hazard_ratio, model.reason) == (None, UNDEFINED, "monotone_likelihood")
    assert model.score == pytest.approx(row["score"], abs=1e-12)


def test_hazard_ratio_of_a_group_that_is_reached_is_not_that_of_the_naive_comparison() -> None:
    exits = [*DIED, *REACHED_ON, 120, 180, 220, 300, 365]
    entries = [0] * 12 + REACHED_ON
    reached = fit_cox(observe(exits, [1] * 7 + [0] * 5 + [1, 1, 1, 1, 0], entries), [0] * 12 + [1] * 5).hazard_ratio
    assert [round(value or 0, 2) for value in (reached.value, reached.lower, reached.upper)] == [1.22, 0.2, 7.4]
    naive = fit_cox(observe([*DIED, 120, 180, 220, 300, 365], [1] * 11 + [0]), [0] * 7 + [1] * 5).hazard_ratio
    assert [round(value or 0, 3) for value in (naive.value, naive.lower, naive.upper)] == [0.246, 0.061, 0.987]


def test_cohort_without_events_or_without_a_difference_has_no_hazard_ratio() -> None:
    assert fit_cox(observe([], []), []).reason == "no_events"
    assert fit_cox(observe([3, 5], [0, 0]), [0, 1]).reason == "no_events"
    assert fit_cox(observe([3, 5], [1, 1]), [2.5, 2.5]).reason == "no_variance"
    assert fit_cox(observe([3], [1]), [1]).reason == "no_variance"


@pytest.mark.parametrize("covariate", [[1.0], [1.0, float("nan")]])
def test_covariate_must_be_a_number_for_each_observation(covariate: list[float]) -> None:
    with pytest.raises(ValueError, match="finite number"):
        fit_cox(observe([3, 5], [1, 1]), covariate)


@given(people(causes=1))
def test_coefficient_is_where_the_likelihood_of_efron_is_greatest(persons: list[Person]) -> None:
    model = fit_cox(observations(persons), [person.group for person in persons])
    if model.coefficient is None:
        assert model.reason is not None
    else:
        best = likelihood(persons, model.coefficient)
        for other in (model.coefficient - 1e-3, model.coefficient + 1e-3, 0.0):
            assert likelihood(persons, other) <= best + 1e-11
        assert model.likelihood_ratio == pytest.approx(2 * (best - likelihood(persons, 0.0)), abs=1e-10)


def likelihood(persons: list[Person], coefficient: float) -> float:
    total = 0.0
    for day in {person.exit for person in persons if person.cause}:
        at_risk = [person for person in persons if person.is_at_risk(day)]
        dying = [person for person in at_risk if person.exit == day and person.cause]
        all_risks = sum(exp(coefficient * person.group) for person in at_risk)
        dying_risks = sum(exp(coefficient * person.group) for person in dying)
        total += sum(coefficient * person.group for person in dying)
        total -= sum(log(all_risks - number / len(dying) * dying_risks) for number in range(len(dying)))
    return total
