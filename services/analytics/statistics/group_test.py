"""The result of a test that compares groups, from its score and the variance of the score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from scipy.special import chdtrc

from services.analytics.statistics.elementary import twelve_digits

Reason = Literal["no_events", "one_group", "no_variance"]
_RELATIVE_PIVOT = 1e-11
"""A pivot below this share of its diagonal element counts as 0: the variance is singular."""


@dataclass(frozen=True, slots=True)
class GroupTest:
    """A chi-square test. Statistic and p are None where they are not defined, and `reason` says why."""

    statistic: float | None
    df: int
    p: float | None
    reason: Reason | None = None


def undefined_test(reason: Reason, df: int = 0) -> GroupTest:
    return GroupTest(None, df, None, reason)


def score_test(score: Sequence[float], variance: Sequence[Sequence[float]]) -> GroupTest:
    """Tests score' variance^-1 score against chi-square; `variance` is symmetric.

    The elimination is written out, because linear algebra libraries differ by processor in the last bit.
    """
    statistic = _quadratic_form(list(score), [list(row) for row in variance])
    if statistic is None or statistic < 0:
        return undefined_test("no_variance", len(score))
    return GroupTest(statistic, len(score), p_value(statistic, len(score)))


def p_value(statistic: float, df: int) -> float:
    """Returns the upper tail of the chi-square distribution, to twelve digits."""
    return twelve_digits(float(chdtrc(df, statistic)))


def _quadratic_form(score: list[float], variance: list[list[float]]) -> float | None:
    """Eliminates column by column; the sum of score_i² / pivot_i is the form. None if the variance is singular."""
    size, diagonal, form = len(score), [variance[i][i] for i in range(len(score))], 0.0
    for column in range(size):
        pivot = variance[column][column]
        if not abs(pivot) > _RELATIVE_PIVOT * abs(diagonal[column]):
            return None
        form += score[column] * score[column] / pivot
        for row in range(column + 1, size):
            factor = variance[row][column] / pivot
            score[row] -= factor * score[column]
            for other in range(column, size):
                variance[row][other] -= factor * variance[column][other]
    return form
