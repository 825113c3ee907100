"""Quartiles of whole numbers: those of R, and exact."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.statistics.quartiles import UNDEFINED_SPREAD, Spread, spread
from tests.unit.analytics.statistics.reference_tables import assert_equal, column, names, table

NUMBERS = st.lists(st.integers(0, 10_000), min_size=1, max_size=40)


def spread_of(*numbers: int, parts: int = 1) -> Spread:
    return spread(np.array(numbers, dtype=np.int64), parts)


def values_of(numbers: Spread) -> list[float | None]:
    return [
        numbers.minimum,
        numbers.lower_quartile,
        numbers.median,
        numbers.upper_quartile,
        numbers.maximum,
    ]


@pytest.mark.parametrize("name", names("quartiles"))
def test_quartiles_are_those_of_quantile_in_r(name: str) -> None:
    numbers = column(table("quartile_numbers")[name], "number").astype(np.int64)
    ours = np.array(values_of(spread(numbers)), dtype=np.float64)
    assert_equal(ours, column(table("quartiles")[name], "value"))


def test_ages_of_the_published_cases_have_the_published_median() -> None:
    assert values_of(spread_of(59, 77, 62, 56)) == [56, 58.25, 60.5, 65.75, 77]


def test_nobody_has_no_quartiles() -> None:
    assert spread_of() == UNDEFINED_SPREAD
    assert values_of(UNDEFINED_SPREAD) == [None] * 5


def test_doses_in_centigray_are_given_in_gray_without_an_error_of_their_own() -> None:
    assert values_of(spread_of(6996, 6996, 2000, 6600, parts=100)) == [20, 54.5, 67.98, 69.96, 69.96]


@given(NUMBERS)
def test_quartiles_are_the_exact_value_rounded_once(numbers: list[int]) -> None:
    ordered = sorted(numbers)
    for quarter, ours in enumerate(values_of(spread_of(*numbers))):
        position = Fraction(len(ordered) - 1) * quarter / 4
        low = ordered[int(position)]
        high = ordered[-(-position.numerator // position.denominator)]
        assert ours == float(low + (position - int(position)) * (high - low))


@given(NUMBERS)
def test_quartiles_rise_and_do_not_depend_on_the_order_of_the_numbers(numbers: list[int]) -> None:
    values = values_of(spread_of(*numbers))
    assert values == sorted(values, key=lambda value: value or 0.0)
    assert values_of(spread_of(*reversed(numbers))) == values
