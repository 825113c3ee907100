"""Proportions with their exact interval, and percents as they are printed."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from math import exp, inf, lgamma, log, log1p

_SMALLEST = 1e-300
_CLOSE_ENOUGH = 1e-15


def clopper_pearson(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """The exact interval of a binomial proportion: (lower, upper), both within 0 … 1.

    The lower limit is the proportion under which `successes` or more have probability (1 - level) / 2, the upper
    that under which `successes` or fewer have it (Clopper and Pearson, Biometrika 1934;26:404). Raises ValueError
    unless 0 <= successes <= n, n >= 1 and 0 < level < 1.
    """
    if not (0 <= successes <= n and n >= 1 and 0 < level < 1):
        raise ValueError("an interval needs 0 <= successes <= n, n >= 1 and 0 < level < 1")
    tail = (1 - level) / 2
    failures = n - successes
    lower = _root(lambda p: _at_least(p, successes, n) - tail, 0, successes / n) if successes else 0.0
    upper = 1 - _root(lambda q: _at_least(q, failures, n) - tail, 0, failures / n) if failures else 1.0
    return lower, upper


def percent(proportion: float) -> float:
    """A proportion of 0 … 1 in percent, to one decimal, half up: 4 / 31 is 12.9, 1 / 80 is 1.3 and not 1.2."""
    exact = Decimal(repr(float(proportion))) * 100
    return float(exact.quantize(Decimal("0.1"), ROUND_HALF_UP))


def _at_least(p: float, successes: int, n: int) -> float:
    """P(X >= successes) of a binomial with n trials of probability p: the regularised incomplete beta function."""
    return _incomplete_beta(p, successes, n - successes + 1)


def _root(rising: Callable[[float], float], low: float, high: float) -> float:
    """Where `rising` crosses zero between `low` and `high`, by bisection to the last bits of a double."""
    while high - low > 4e-16 * high:
        middle = (low + high) / 2
        if rising(middle) < 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _incomplete_beta(x: float, a: int, b: int) -> float:
    """I_x(a, b). The fraction converges fast below the mean, so above it the mirror image is taken."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    scale = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x))
    if x < (a + 1) / (a + b + 2):
        return scale * _fraction(x, a, b) / a
    return 1 - scale * _fraction(1 - x, b, a) / b


def _fraction(x: float, a: int, b: int) -> float:
    """The continued fraction DLMF 8.17.22 by Lentz's method; about sqrt(a + b) steps are enough."""
    c, d = 1.0, 1 / _not_zero(1 - (a + b) * x / (a + 1))
    value, change, m = d, inf, 0
    while abs(change - 1) > _CLOSE_ENOUGH:
        m += 1
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        change = 1.0
        for term in (even, odd):
            d, c = 1 / _not_zero(1 + term * d), _not_zero(1 + term / c)
            change *= c * d
        value *= change
    return value


def _not_zero(number: float) -> float:
    return number if abs(number) > _SMALLEST else _SMALLEST
