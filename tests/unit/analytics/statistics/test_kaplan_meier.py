from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.statistics.intervals import Estimate
from services.analytics.statistics.kaplan_meier import kaplan_meier, landmark, quantile, reverse_kaplan_meier
from services.analytics.statistics.risk_sets import observe, risk_table
from tests.unit.analytics.statistics.cohorts import Person, observations, people
from tests.unit.analytics.statistics.reference_tables import assert_equal, cohorts, column, names, table


@pytest.mark.parametrize("name", names("kaplan_meier"))
def test_curve_and_band_are_those_of_survfit(name: str) -> None:
    curve, rows = kaplan_meier(cohorts()[name].observations), table("kaplan_meier")[name]
    days = column(rows, "day")
    start = 0 if days[0] == 0 else 1
    assert_equal(curve.days[start:], days)
    assert_equal(curve.at_risk[start:], column(rows, "at_risk"))
    assert_equal(curve.events[start:], column(rows, "events"))
    assert_equal(curve.estimate[start:], column(rows, "estimate"))
    assert_equal(curve.standard_error[start:], column(rows, "standard_error"))
    band = slice(1, None) if not start and not curve.events[0] else slice(None)
    assert_equal(curve.lower[start:][band], column(rows, "lower")[band])
    assert_equal(curve.upper[start:][band], column(rows, "upper")[band])


@pytest.mark.parametrize("name", names("reverse"))
def test_reverse_curve_is_survfit_of_the_flipped_status(name: str) -> None:
    curve, rows = reverse_kaplan_meier(cohorts()[name].observations), table("reverse")[name]
    assert_equal(curve.estimate[-len(rows) :], column(rows, "estimate"))


@pytest.mark.parametrize("name", [name for name in names("quantiles") if name != "risk_set_emptied"])
def test_quantiles_and_their_limits_follow_the_rule_of_print_survfit(name: str) -> None:
    curve = kaplan_meier(cohorts()[name].observations)
    for row in table("quantiles")[name]:
        ours = quantile(curve, row["p"])
        assert_equal([_nan(ours.value), _nan(ours.lower), _nan(ours.upper)], [row["surv"], row["lower"], row["upper"]])


def _nan(value: float | None) -> float:
    return float("nan") if value is None else value


def test_an_emptied_risk_set_is_told_and_leaves_quantiles_undefined() -> None:
    curve = kaplan_meier(observe([5, 20, 30, 40], [1, 1, 1, 0], [0, 10, 10, 10]))
    assert curve.is_risk_set_emptied
    assert curve.entered_later == 3
    assert curve.estimate.tolist() == [1, 0, 0, 0, 0]
    assert quantile(curve) == Estimate(None, None, None)


def test_overall_survival_of_the_four_published_cases() -> None:
    curve = kaplan_meier(observe([246, 145, 599, 345], [1, 1, 0, 0]))
    assert_equal(curve.estimate, [1, 0.75, 0.5, 0.5, 0.5])
    assert_equal([curve.lower[1], curve.upper[1]], [0.127946917595146, 0.960548642285078], 1e-14)
    assert_equal([curve.lower[2], curve.upper[2]], [0.0578470829951446, 0.844861281190374], 1e-14)
    assert quantile(curve) == Estimate(246, 145, None)
    assert landmark(curve, 24 * 30.4375) == Estimate(None, None, None)
    assert quantile(kaplan_meier(observe([246, 145, 600, 345], [1, 1, 1, 0]))).value == 423


def test_median_of_a_plateau_with_a_later_step_is_its_middle() -> None:
    curve = kaplan_meier(observe([42, 101, 147, 248], [1, 1, 1, 1]))
    assert_equal(curve.estimate, [1, 0.75, 0.5, 0.25, 0])
    assert quantile(curve) == Estimate(124, 42, None)


def test_members_of_a_reached_group_are_at_risk_from_the_day_of_reaching_it() -> None:
    from_index = kaplan_meier(observe([246, 145, 345, 599], [1, 1, 0, 0], [0, 120, 287, 56]))
    assert_equal(from_index.estimate[1:3], [2 / 3, 1 / 3])
    assert from_index.at_risk[1:3].tolist() == [3, 2]
    from_course = kaplan_meier(observe([246, 25, 543, 58], [1, 1, 0, 0]))
    assert_equal([from_course.lower[3], from_course.upper[3]], [0.0109711215748446, 0.808001072481343], 1e-14)
    assert quantile(from_course) == Estimate(246, 25, None)


def test_deaths_on_day_0_count_and_the_censored_of_day_0_are_at_risk() -> None:
    assert_equal(kaplan_meier(observe([0, 100, 200], [1, 1, 0])).estimate, [2 / 3, 1 / 3, 1 / 3])
    curve = kaplan_meier(observe([0, 10, 0, 20], [1, 1, 0, 0]))
    assert (curve.at_risk[0], curve.events[0], curve.censored[0], curve.estimate[0]) == (4, 1, 1, 0.75)
    assert (curve.at_risk[1], curve.estimate[1]) == (2, 0.375)


def test_delayed_entries_of_two_groups_together() -> None:
    exits = [25, 40, 18, 60, 33, 33, 50, 12, 70, 45]
    curve = kaplan_meier(observe(exits, [1, 1, 1, 0, 1, 1, 1, 1, 1, 0], [0, 10, 5, 20, 0, 15, 8, 0, 30, 12]))
    estimates = dict(zip(curve.days.tolist(), curve.estimate.tolist(), strict=True))
    expected = {12: 0.833333333333, 18: 0.714285714286, 25: 0.612244897959, 33: 0.437317784257, 40: 0.349854227405}
    assert {day: round(estimates[day], 12) for day in expected} == expected
    assert estimates[70] == 0


def test_time_before_reaching_a_group_counts_in_the_other() -> None:
    died, reached_on = [30, 45, 60, 80, 100, 150, 260], [90, 100, 120, 150, 200]
    other = kaplan_meier(observe(died + reached_on, [1] * 7 + [0] * 5))
    assert other.at_risk[[1, 6, 8]].tolist() == [12, 7, 4]
    assert_equal(other.estimate[[1, 6, 8]], [11 / 12, 4 / 7, 3 / 7])
    stereotactic = kaplan_meier(observe([120, 180, 220, 300, 365], [1, 1, 1, 1, 0], reached_on))
    assert stereotactic.at_risk[1:5].tolist() == [2, 3, 3, 2]
    assert_equal(stereotactic.estimate[1:5], [1 / 2, 1 / 3, 2 / 9, 1 / 9])


def test_withdrawals_censor_the_living_and_the_dead_alike() -> None:
    assert landmark(kaplan_meier(observe([100] * 10, [0] * 10)), 200) == Estimate(None, None, None)
    after_leaving = kaplan_meier(observe([120, 140, 160, 180, 200] + [100] * 5, [1] * 5 + [0] * 5))
    assert_equal(after_leaving.estimate[2:], [0.8, 0.6, 0.4, 0.2, 0])


def test_group_that_is_censored_on_day_0_is_drawn_flat() -> None:
    curve = kaplan_meier(observe([0, 0], [0, 0]))
    assert (curve.days.tolist(), curve.estimate.tolist(), curve.censored.tolist()) == ([0], [1], [2])


def test_curve_of_nobody_is_undefined_and_begins_on_day_0() -> None:
    curve = kaplan_meier(observe([], []))
    assert (curve.days.tolist(), curve.at_risk.tolist()) == ([0], [0])
    assert np.isnan(curve.estimate).all()
    assert quantile(curve) == landmark(curve, 0) == landmark(curve, 5) == Estimate(None, None, None)


def test_curve_that_has_come_down_to_0_stays_there_and_another_ends_with_its_last_exit() -> None:
    assert landmark(kaplan_meier(observe([3], [1])), 100) == Estimate(0, None, None)
    assert landmark(kaplan_meier(observe([3], [0])), 3) == Estimate(1, None, None)
    assert landmark(kaplan_meier(observe([3], [0])), 3.5) == Estimate(None, None, None)


@given(people())
def test_curve_is_the_product_over_days_of_the_share_without_event(persons: list[Person]) -> None:
    curve, survival = kaplan_meier(observations(persons)), Fraction(1)
    for row, day in enumerate(curve.days.tolist()):
        at_risk = [person for person in persons if person.is_at_risk(day)]
        events = sum(person.exit == day and person.cause > 0 for person in at_risk)
        survival *= 1 - Fraction(events, len(at_risk)) if events else 1
        assert (curve.at_risk[row], curve.events[row]) == (len(at_risk), events)
        assert curve.estimate[row] == pytest.approx(float(survival), rel=1e-13)
        assert not curve.lower[row] > curve.estimate[row] + 1e-15
        assert not curve.upper[row] < curve.estimate[row] - 1e-15


@given(people(), st.floats(0, 20))
def test_numbers_below_the_curve_add_up_to_all(persons: list[Person], day: float) -> None:
    (tick,) = risk_table(observations(persons), [day])
    assert tick.at_risk == sum(person.exit >= day and person.entry < max(day, 0.5) for person in persons)
    entered = sum(person.exit < day or person.entry < max(day, 0.5) for person in persons)
    assert tick.at_risk + tick.events + tick.censored == entered


@pytest.mark.parametrize(
    ("exits", "causes", "entries"),
    [
        ([-1], [1], None),
        ([1.5], [1], None),
        ([1, 2], [1], None),
        ([5], [1], [5]),
        ([200_000], [0], None),
        ([1], [-1], None),
    ],
)
def test_times_that_nobody_can_be_at_risk_are_refused(
    exits: list[float], causes: list[int], entries: list[int] | None
) -> None:
    with pytest.raises(ValueError, match=r"must be"):
        observe(exits, causes, entries)
