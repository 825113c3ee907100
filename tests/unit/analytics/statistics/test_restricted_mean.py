from __future__ import annotations

import pytest
from hypothesis import given

from services.analytics.statistics.intervals import UNDEFINED
from services.analytics.statistics.kaplan_meier import kaplan_meier
from services.analytics.statistics.restricted_mean import restricted_mean
from services.analytics.statistics.risk_sets import observe
from tests.unit.analytics.statistics.cohorts import Person, observations, people
from tests.unit.analytics.statistics.reference_tables import assert_equal, cohorts, names, table


@pytest.mark.parametrize("name", [name for name in names("restricted_means") if name != "risk_set_emptied"])
def test_mean_and_standard_error_are_those_of_survfit(name: str) -> None:
    curve = kaplan_meier(cohorts()[name].observations)
    for row in table("restricted_means")[name]:
        mean, standard_error = restricted_mean(curve, row["until"])
        assert_equal([mean.value or 0, standard_error or 0], [row["mean"], row["standard_error"]], 2e-12)


def test_mean_of_a_year_in_lung_cancer() -> None:
    mean, standard_error = restricted_mean(kaplan_meier(cohorts()["lung"].observations), 365)
    assert mean.value == pytest.approx(263.221866, abs=5e-7)
    assert standard_error == pytest.approx(7.798859, abs=5e-7)


def test_mean_beyond_the_last_exit_is_undefined_unless_nobody_is_left() -> None:
    assert restricted_mean(kaplan_meier(observe([5, 9], [1, 0])), 10) == (UNDEFINED, None)
    assert restricted_mean(kaplan_meier(observe([], [])), 0) == (UNDEFINED, None)
    assert restricted_mean(kaplan_meier(observe([5, 20], [1, 1], [0, 10])), 8) == (UNDEFINED, None)
    assert restricted_mean(kaplan_meier(observe([4, 8], [1, 1])), 100)[0].value == 6


@given(people(causes=1, entries=False))
def test_mean_of_uncensored_times_is_the_mean_of_the_capped_times(persons: list[Person]) -> None:
    died = [person._replace(cause=1) for person in persons]
    mean, _ = restricted_mean(kaplan_meier(observations(died)), 6)
    assert mean.value == pytest.approx(sum(min(person.exit, 6) for person in died) / len(died), abs=1e-12)
