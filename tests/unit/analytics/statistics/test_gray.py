from __future__ import annotations

import pytest
from hypothesis import given

from services.analytics.statistics.gray import gray_test
from services.analytics.statistics.group_test import GroupTest
from services.analytics.statistics.log_rank import log_rank
from services.analytics.statistics.risk_sets import observe
from tests.unit.analytics.statistics.cohorts import Person, observations, people
from tests.unit.analytics.statistics.reference_tables import assert_equal, cohorts, names, table


@pytest.mark.parametrize("name", names("gray"))
def test_statistic_is_that_of_cuminc_and_undefined_where_r_returns_minus_1(name: str) -> None:
    cohort = cohorts()[name]
    group_count = int(cohort.groups.max()) + 1
    for row in table("gray")[name]:
        test = gray_test(cohort.observations, int(row["cause"]), cohort.groups, group_count)
        assert test.df == row["df"]
        if row["statistic"] == -1:
            assert (test.statistic, test.p, test.reason) == (None, None, "no_variance")
        else:
            assert_equal([test.statistic or 0, test.p or 0], [row["statistic"], row["p"]])


def test_cause_that_nobody_has_and_a_single_group_have_no_test() -> None:
    assert gray_test(observe([1, 2], [1, 0]), 2, [0, 1], 2) == GroupTest(None, 0, None, "no_events")
    assert gray_test(observe([], []), 1, [], 2) == GroupTest(None, 0, None, "no_events")
    assert gray_test(observe([1, 2], [1, 1]), 1, [0, 0], 1) == GroupTest(None, 0, None, "one_group")


@given(people(entries=False))
def test_group_that_nobody_is_in_takes_no_part(persons: list[Person]) -> None:
    groups = [min(person.group, 1) for person in persons]
    among_empty = [{0: 1, 1: 3}[group] for group in groups]
    assert gray_test(observations(persons), 1, among_empty, 5) == gray_test(observations(persons), 1, groups, 2)


def test_delayed_entries_are_refused() -> None:
    with pytest.raises(ValueError, match="delayed entry"):
        gray_test(observe([5, 6], [1, 1], [2, 0]), 1, [0, 1], 2)


@given(people(entries=False))
def test_order_of_observations_and_of_groups_does_not_matter(persons: list[Person]) -> None:
    forward = gray_test(observations(persons), 1, [person.group for person in persons], 3)
    backward = gray_test(observations(persons[::-1]), 1, [2 - person.group for person in persons[::-1]], 3)
    assert forward.reason == backward.reason
    if forward.statistic is not None:
        assert backward.statistic == pytest.approx(forward.statistic, rel=1e-6, abs=1e-8)


@given(people(causes=1, entries=False))
def test_score_of_a_cause_without_competitors_is_that_of_the_log_rank_test(persons: list[Person]) -> None:
    groups = [min(person.group, 1) for person in persons]
    gray = gray_test(observations(persons), 1, groups, 2)
    other = log_rank(observations(persons), groups, 2).test
    if gray.statistic is not None and other.statistic is not None:
        assert (gray.statistic < 1e-9) == (other.statistic < 1e-9)
