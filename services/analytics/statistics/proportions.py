"""Proportions with their exact interval, and percents as they are printed."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from scipy.special import betaincinv

from services.analytics.statistics.elementary import twelve_digits


def clopper_pearson(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Returns the exact interval of a binomial proportion: (lower, upper), both within 0 … 1, to twelve digits.

    The lower limit is the proportion under which `successes` or more have probability (1 - level) / 2, the upper
    that under which `successes` or fewer have it (Clopper and Pearson, Biometrika 1934;26:404): quantiles of beta
    distributions. Raises ValueError unless 0 <= successes <= n, n >= 1 and 0 < level < 1.
    """
    if not (0 <= successes <= n and n >= 1 and 0 < level < 1):
        raise ValueError("an interval needs 0 <= successes <= n, n >= 1 and 0 < level < 1")
    tail = (1 - level) / 2
    failures = n - successes
    lower = float(betaincinv(successes, failures + 1, tail)) if successes else 0.0
    upper = 1 - float(betaincinv(failures, successes + 1, tail)) if failures else 1.0
    return twelve_digits(lower), twelve_digits(upper)


def percent(proportion: float) -> float:
    """Converts a proportion of 0 … 1 to percent, to one decimal, half up: 4 / 31 is 12.9, 1 / 80 is 1.3 and not 1.2."""
    exact = Decimal(repr(float(proportion))) * 100
    return float(exact.quantize(Decimal("0.1"), ROUND_HALF_UP))
