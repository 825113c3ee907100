"""The median, the quartiles and the range of whole numbers, exact but for one rounding."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Spread:
    """The median, the quartiles and the range of numbers; None of no number."""

    minimum: float | None
    lower_quartile: float | None
    median: float | None
    upper_quartile: float | None
    maximum: float | None


UNDEFINED_SPREAD = Spread(None, None, None, None, None)


def spread(numbers: NDArray[np.integer], parts: int = 1) -> Spread:
    """Returns the median, the quartiles and the range of whole numbers of `parts` to the unit, in the unit.

    Quantiles are of type 7 (Hyndman and Fan, American Statistician 1996;50:361), the default of R: between the two
    numbers beside the place 1 + (n - 1) p, in proportion to the distance from them.
    """
    if not len(numbers):
        return UNDEFINED_SPREAD
    ordered = np.sort(numbers)
    quantiles = (float(_quantile(ordered, Fraction(quarter, 4)) / parts) for quarter in range(5))
    return Spread(*quantiles)


def _quantile(ordered: NDArray[np.integer], p: Fraction) -> Fraction:
    position = (len(ordered) - 1) * p
    before = int(position)
    low, high = int(ordered[before]), int(ordered[min(before + 1, len(ordered) - 1)])
    return low + (position - before) * (high - low)
