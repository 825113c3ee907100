"""Limits of 95 % intervals from standard errors, by elementary functions that are correctly rounded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.analytics.statistics.elementary import Doubles, exp, log

NORMAL_QUANTILE = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval; None for what is not defined or not reached."""

    value: float | None
    lower: float | None
    upper: float | None


UNDEFINED = Estimate(None, None, None)


def log_log_limits(estimate: Doubles, relative_error: Doubles) -> tuple[Doubles, Doubles]:
    """Returns (lower, upper) of the 95 % intervals of probabilities, on the log(-log) scale.

    estimate^exp(±z relative_error / log(estimate)) (Kalbfleisch and Prentice, The Statistical Analysis of Failure Time
    Data, 2nd ed., 1.4), with `relative_error` the standard error of the estimate divided by the estimate. NaN where R
    has NA: for estimates of 0 and 1.
    """
    defined = (estimate > 0) & (estimate < 1) & np.isfinite(relative_error)
    logarithm = log(estimate[defined])
    margin = NORMAL_QUANTILE * relative_error[defined] / logarithm
    exponents = logarithm * exp(np.stack((-margin, margin)))
    limits = np.full((2, len(estimate)), np.nan)
    limits[:, defined] = exp(exponents)
    return limits[0], limits[1]


def limits_after_steps(
    estimate: Doubles, relative_error: Doubles, is_step: NDArray[np.bool_]
) -> tuple[Doubles, Doubles]:
    """Returns `log_log_limits` of the rows of a curve, which are computed where it has a step, and stay until the next.

    NaN before the first step.
    """
    steps = np.flatnonzero(is_step)
    last_step = np.cumsum(is_step)  # 0 before the first
    lower, upper = log_log_limits(estimate[steps], relative_error[steps])
    return np.append(np.nan, lower)[last_step], np.append(np.nan, upper)[last_step]


def optional(value: float) -> float | None:
    """Converts a number of an array to one that may be undefined: NaN and infinity are None."""
    return float(value) if np.isfinite(value) else None
