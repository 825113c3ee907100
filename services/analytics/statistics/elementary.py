"""Correctly rounded exponentials and logarithms, and decimal rounding of library values, for reproducible results.

NumPy and the C library choose among variants of `exp` and `log` by processor, and the variants differ in the last bit.
Published limits must be the same bytes everywhere, so they go through the two functions of this module. Both return the
double that is nearest to the exact value. Sums and products of doubles evaluate a table-driven series with a relative
error below 2^-64; where that error leaves open which double is the nearest, decimal arithmetic decides. (J. M. Muller
et al., Handbook of Floating-Point Arithmetic, chapters 4 and 11; A. Ziv, ACM TOMS 1991;17:410.)
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Context, Decimal

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

_DECIMAL = Context(prec=60)
"""Enough digits to round every double: exp and log of a double agree with a midpoint in at most 35 digits."""
_SPLITTER = 134217729.0
_RELATIVE_ERROR = 2.0**-64
_LN2 = Decimal(2).ln(_DECIMAL)
_EXP_BITS = 7
_EXP_STEPS, _LOG_STEPS = 2**_EXP_BITS, 256
_EXPONENT_BIAS, _SIGNIFICAND_BITS = 1023, 52
_EXP_RANGE = 700.0
"""Larger arguments, whose exponential may be infinite or subnormal, go to decimal arithmetic."""


def exp(x: Doubles) -> Doubles:
    """Returns e to the power of each element, correctly rounded; NaN for NaN."""
    x = np.asarray(x, np.float64)
    inside = np.abs(x) < _EXP_RANGE
    high, low = _exp_in_two_doubles(np.where(inside, x, 0.0))
    return _round_correctly(x, high, low, inside, _exp_of_decimal)


def log(x: Doubles) -> Doubles:
    """Returns the natural logarithm of each element, correctly rounded: -inf for 0; NaN for NaN and below 0."""
    x = np.asarray(x, np.float64)
    inside = (x >= np.finfo(np.float64).tiny) & np.isfinite(x)
    high, low = _log_in_two_doubles(np.where(inside, x, 1.0))
    return _round_correctly(x, high, low, inside, _log_of_decimal)


def twelve_digits(value: float) -> float:
    """Rounds a value of a library's distribution to the 12 significant digits in which all processors agree."""
    return float(f"{value:.11e}")


def _round_correctly(
    x: Doubles, high: Doubles, low: Doubles, inside: NDArray[np.bool_], exact: Callable[[float], float]
) -> Doubles:
    error = np.abs(high) * _RELATIVE_ERROR
    result = high + low
    undecided = ~inside | (high + (low - error) != high + (low + error))
    for position in np.flatnonzero(undecided):
        result.flat[position] = exact(float(x.flat[position]))
    return result


def _exp_of_decimal(x: float) -> float:
    if np.isnan(x) or x > 800:
        return x if np.isnan(x) else float("inf")
    return float(Decimal(x).exp(_DECIMAL)) if x > -800 else 0.0


def _log_of_decimal(x: float) -> float:
    if x == 0:
        return float("-inf")
    if x < 0 or np.isnan(x):
        return float("nan")
    return float(Decimal(x).ln(_DECIMAL)) if np.isfinite(x) else x


def _in_two_doubles(value: Decimal) -> tuple[float, float]:
    high = float(value)
    return high, float(_DECIMAL.subtract(value, Decimal(high)))


def _leading_bits(value: Decimal, bits: int) -> float:
    """Returns the value with a significand so short that multiples of it by small whole numbers are exact."""
    scale = 2.0**bits
    return round(float(value) * scale) / scale


_EXP_STEP = _DECIMAL.divide(_LN2, Decimal(_EXP_STEPS))
_EXP_STEP_HIGH = _leading_bits(_EXP_STEP, 39)
_EXP_STEP_LOW, _EXP_STEP_LOWEST = _in_two_doubles(_DECIMAL.subtract(_EXP_STEP, Decimal(_EXP_STEP_HIGH)))
_EXP_TABLE = np.array(
    [_in_two_doubles(_DECIMAL.multiply(_EXP_STEP, Decimal(step)).exp(_DECIMAL)) for step in range(_EXP_STEPS)]
).T


def _exp_in_two_doubles(x: Doubles) -> tuple[Doubles, Doubles]:
    """Evaluates exp(x) = 2^(n / 128) exp(r) with |r| < ln 2 / 256 for |x| < 700, as an unevaluated sum."""
    steps = np.rint(x * (1 / float(_EXP_STEP)))
    reduced = x - steps * _EXP_STEP_HIGH
    product, product_rest = _multiply(steps, _EXP_STEP_LOW)
    r, r_rest = _add(reduced, -product)
    r_rest = r_rest - product_rest - steps * _EXP_STEP_LOWEST
    square = r * r
    series = square * (0.5 + r * (1 / 6 + r * (1 / 24 + r * (1 / 120 + r * (1 / 720 + r * (1 / 5040))))))
    growth, growth_rest = _add(r, series + (r_rest + r * r_rest))
    whole = steps.astype(np.int64)
    high, low = _EXP_TABLE[:, whole & (_EXP_STEPS - 1)]
    product, product_rest = _multiply(high, growth)
    total, total_rest = _add(high, product)
    total_rest = total_rest + (product_rest + (high * growth_rest + (low + low * growth)))
    power = (((whole >> _EXP_BITS) + _EXPONENT_BIAS) << _SIGNIFICAND_BITS).view(np.float64)
    return total * power, total_rest * power


_LN2_HIGH = _leading_bits(_LN2, 40)
_LN2_LOW = float(_DECIMAL.subtract(_LN2, Decimal(_LN2_HIGH)))
_INVERSES = (
    np.array([1024 if index == 0 else round(1024 * _LOG_STEPS / index) for index in range(2 * _LOG_STEPS)]) / 1024
)
"""Reciprocals of index / 256 in so few bits that their product with a double is exact in two doubles."""
_LOG_TABLE = np.array([_in_two_doubles(-Decimal(inverse).ln(_DECIMAL)) for inverse in _INVERSES]).T


def _log_in_two_doubles(x: Doubles) -> tuple[Doubles, Doubles]:
    """Evaluates log(x) = n log 2 - log(c) + log(1 + r), with c near 1 / x and |r| < 0.004, as an unevaluated sum."""
    fraction, power = np.frexp(x)
    is_small = fraction < 0.7071067811865476
    fraction = np.where(is_small, 2 * fraction, fraction)
    power = power - is_small
    index = np.rint(fraction * _LOG_STEPS).astype(np.int64)
    product, product_rest = _multiply(fraction, _INVERSES[index])
    r, r_rest = _add(product - 1, product_rest)
    square, square_rest = _multiply(r, r)
    series = r * square * (1 / 3 - r * (1 / 4 - r * (1 / 5 - r * (1 / 6 - r * (1 / 7 - r * (1 / 8 - r * (1 / 9)))))))
    high, low = _LOG_TABLE[:, index]
    total, rest = _add(power * _LN2_HIGH, high)
    total, second_rest = _add(total, r)
    total, third_rest = _add(total, -0.5 * square)
    rest = rest + second_rest + third_rest + (series - (0.5 * square_rest + r * r_rest) + r_rest)
    return total, rest + (power * _LN2_LOW + low)


def _add(a: Doubles, b: Doubles) -> tuple[Doubles, Doubles]:
    """Returns the rounded sum and its rounding error (Knuth)."""
    total = a + b
    of_b = total - a
    return total, (a - (total - of_b)) + (b - of_b)


def _multiply(a: Doubles, b: Doubles | float) -> tuple[Doubles, Doubles]:
    """Returns the rounded product and its rounding error (Dekker)."""
    product = a * b
    a_high, a_low = _halve(a)
    b_high, b_low = _halve(b)
    return product, a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)


def _halve(a: Doubles | float) -> tuple[Doubles, Doubles]:
    scaled = _SPLITTER * np.asarray(a)
    high = scaled - (scaled - a)
    return high, a - high
