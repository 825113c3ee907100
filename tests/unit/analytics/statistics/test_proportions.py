from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import comb, exp, fsum, lgamma, log, log1p

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.statistics.proportions import clopper_pearson, percent
from tests.unit.analytics.statistics.reference_tables import assert_equal, table

LEVELS = st.sampled_from([0.8, 0.9, 0.95, 0.99])


@st.composite
def counts(draw: st.DrawFn, max_n: int) -> tuple[int, int]:
    n = draw(st.integers(1, max_n))
    return draw(st.integers(0, n)), n


def tail_probability(successes: int, n: int, p: float) -> float:
    """P(X >= successes), added up term by term in exact arithmetic."""
    chance = Fraction(p)
    terms = (comb(n, k) * chance**k * (1 - chance) ** (n - k) for k in range(successes, n + 1))
    return float(sum(terms, Fraction(0)))


def tail_probability_of_large_n(successes: int, n: int, p: float) -> float:
    """Returns the same from logarithms, for so many trials that the binomial coefficients are too long to add."""

    def term(k: int) -> float:
        return exp(lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) + k * log(p) + (n - k) * log1p(-p))

    return fsum(term(k) for k in range(successes, min(n, successes + 20_000) + 1))


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (4, 31, 3.6, 29.8),
        (0, 4, 0.0, 60.2),
        (4, 4, 39.8, 100.0),
        (0, 1, 0.0, 97.5),
        (1, 1, 2.5, 100.0),
        (0, 3, 0.0, 70.8),
        (3, 5, 14.7, 94.7),
        (3, 4, 19.4, 99.4),
    ],
)
def test_published_intervals_are_reproduced_to_the_printed_decimal(
    successes: int, n: int, low: float, high: float
) -> None:
    assert [percent(limit) for limit in clopper_pearson(successes, n)] == [low, high]


def test_intervals_are_those_of_binom_test() -> None:
    for row in table("binomial")[""]:
        assert_equal(clopper_pearson(int(row["x"]), int(row["n"])), [row["lower"], row["upper"]])


@given(counts(60), LEVELS)
def test_clopper_pearson_limits_have_tail_probability_of_half_alpha(
    successes_and_n: tuple[int, int], level: float
) -> None:
    (successes, n), tail = successes_and_n, (1 - level) / 2
    low, high = clopper_pearson(successes, n, level)
    if successes > 0:
        assert tail_probability(successes, n, low) == pytest.approx(tail, rel=1e-7)
    if successes < n:
        assert 1 - tail_probability(successes + 1, n, high) == pytest.approx(tail, rel=1e-7)


@pytest.mark.parametrize("successes", [1, 17, 1_000, 123_456, 500_000])
def test_limits_are_exact_for_a_million_trials(successes: int) -> None:
    low, high = clopper_pearson(successes, 1_000_000)
    assert tail_probability_of_large_n(successes, 1_000_000, low) == pytest.approx(0.025, rel=1e-6)
    assert tail_probability_of_large_n(1_000_000 - successes, 1_000_000, 1 - high) == pytest.approx(0.025, rel=1e-6)


@given(counts(1_000_000))
def test_interval_contains_the_proportion_and_reaches_0_and_1_only_at_them(successes_and_n: tuple[int, int]) -> None:
    successes, n = successes_and_n
    low, high = clopper_pearson(successes, n)
    assert 0 <= low <= successes / n <= high <= 1
    assert (low == 0, high == 1) == (successes == 0, successes == n)


@given(counts(100_000))
def test_interval_of_failures_mirrors_the_interval_of_successes(successes_and_n: tuple[int, int]) -> None:
    successes, n = successes_and_n
    low, high = clopper_pearson(successes, n)
    assert clopper_pearson(n - successes, n) == pytest.approx((1 - high, 1 - low), abs=2e-12)


@given(counts(10_000))
def test_higher_confidence_level_gives_a_wider_interval(successes_and_n: tuple[int, int]) -> None:
    low, high = clopper_pearson(*successes_and_n, level=0.9)
    wider_low, wider_high = clopper_pearson(*successes_and_n, level=0.99)
    assert wider_low <= low <= high <= wider_high


@pytest.mark.parametrize(("successes", "n", "level"), [(1, 0, 0.95), (-1, 3, 0.95), (4, 3, 0.95), (1, 3, 1), (1, 3, 0)])
def test_invalid_proportions_and_levels_are_refused(successes: int, n: int, level: float) -> None:
    with pytest.raises(ValueError, match="an interval needs"):
        clopper_pearson(successes, n, level)


@given(counts(10_000))
def test_percents_are_rounded_half_up_from_the_exact_fraction(successes_and_n: tuple[int, int]) -> None:
    successes, n = successes_and_n
    half_up = (2000 * successes + n) // (2 * n)
    assert percent(successes / n) == float(Decimal(half_up) / 10)


@pytest.mark.parametrize(
    ("proportion", "printed"), [(4 / 31, 12.9), (1 / 80, 1.3), (0.0005, 0.1), (1.0, 100.0), (0, 0.0)]
)
def test_halves_are_rounded_up_and_not_to_even(proportion: float, printed: float) -> None:
    assert percent(proportion) == printed
