from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given

from services.analytics.statistics.group_test import GroupTest
from services.analytics.statistics.log_rank import LogRankTest, log_rank
from services.analytics.statistics.risk_sets import observe
from tests.unit.analytics.statistics.cohorts import Person, observations, people
from tests.unit.analytics.statistics.reference_tables import assert_equal, cohorts, column, names, table


def compare_groups(name: str) -> LogRankTest:
    cohort = cohorts()[name]
    return log_rank(cohort.observations, cohort.groups, int(cohort.groups.max()) + 1)


@pytest.mark.parametrize("name", [name for name in names("log_rank") if table("log_rank")[name][0]["df"] > 0])
def test_statistic_is_that_of_survdiff_or_of_the_exact_score_test(name: str) -> None:
    (row,), test = table("log_rank")[name], compare_groups(name).test
    assert test.df == row["df"]
    assert_equal([test.statistic or 0, test.p or 0], [row["statistic"], row["p"]])


@pytest.mark.parametrize("name", names("log_rank_groups"))
def test_observed_and_expected_events_are_those_of_survdiff(name: str) -> None:
    rows, test = table("log_rank_groups")[name], compare_groups(name)
    assert_equal(test.observed, column(rows, "observed"))
    assert_equal(test.expected, column(rows, "expected"))


@pytest.mark.parametrize(
    ("name", "test"),
    [
        ("all_censored", GroupTest(None, 0, None, "no_events")),
        ("group_without_expectation", GroupTest(None, 0, None, "one_group")),
        ("all_on_one_day", GroupTest(None, 1, None, "no_variance")),
        ("one_censored", GroupTest(None, 0, None, "no_events")),
        ("one_event", GroupTest(None, 0, None, "one_group")),
    ],
)
def test_test_that_r_refuses_or_prints_without_meaning_is_undefined(name: str, test: GroupTest) -> None:
    assert compare_groups(name).test == test


def test_delayed_entries_are_respected() -> None:
    groups, exits = [0] * 5 + [1] * 5, [25, 40, 18, 60, 33, 33, 50, 12, 70, 45]
    events, entries = [1, 1, 1, 0, 1, 1, 1, 1, 1, 0], [0, 10, 5, 20, 0, 15, 8, 0, 30, 12]
    test = log_rank(observe(exits, events, entries), groups, 2).test
    assert_equal([test.statistic or 0, test.p or 0], [0.227502006190530, 0.633382271143315])
    without_entries = log_rank(observe(exits, events), groups, 2).test
    assert without_entries.statistic == pytest.approx(0.450913373609, abs=1e-12)


def test_group_that_is_reached_does_not_gain_the_time_before() -> None:
    died, reached_on = [30, 45, 60, 80, 100, 150, 260], [90, 100, 120, 150, 200]
    exits = [*died, *reached_on, 120, 180, 220, 300, 365]
    causes = [1] * 7 + [0] * 5 + [1, 1, 1, 1, 0]
    entries = [0] * 12 + reached_on
    by_day_of_reaching = log_rank(observe(exits, causes, entries), [0] * 12 + [1] * 5, 2).test
    assert by_day_of_reaching.statistic == pytest.approx(0.048302346073, abs=1e-12)
    assert by_day_of_reaching.p == pytest.approx(0.826044095321, abs=1e-12)
    naive = log_rank(observe([*died, 120, 180, 220, 300, 365], [1] * 11 + [0]), [0] * 7 + [1] * 5, 2).test
    assert naive.p == pytest.approx(0.0345, abs=5e-5)


@given(people())
def test_test_is_the_sum_of_hypergeometric_differences(persons: list[Person]) -> None:
    ours = log_rank(observations(persons), [min(person.group, 1) for person in persons], 2)
    difference, variance = Fraction(0), Fraction(0)
    for day in {person.exit for person in persons if person.cause}:
        at_risk = [person for person in persons if person.is_at_risk(day)]
        events = [person for person in at_risk if person.exit == day and person.cause]
        n, n1, d = len(at_risk), sum(person.group > 0 for person in at_risk), len(events)
        difference += sum(person.group > 0 for person in events) - Fraction(d * n1, n)
        variance += Fraction(d * (n - d) * n1 * (n - n1), n * n * (n - 1)) if n > 1 else 0
    if variance:
        assert ours.test.statistic == pytest.approx(float(difference**2 / variance), abs=1e-11)
    else:
        assert ours.test.statistic is None
