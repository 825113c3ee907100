"""Curves of steps: what is left out of a picture cannot be seen."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate, pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.figures.curve_frame import NO_MARKS, band_path, keep_visible_steps
from services.analytics.figures.survival_chart import draw_survival
from services.analytics.figures.survival_numbers import survival_group
from services.analytics.statistics.risk_sets import Observations

LEAST_STEP = 0.75
lengths = st.lists(st.tuples(st.floats(0, 3), st.floats(0, 3)), min_size=1, max_size=80)


def corners(steps: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(x, y) for x, y in accumulate(steps, lambda corner, step: (corner[0] + step[0], corner[1] + step[1]))]


def height(points: list[tuple[float, float]], x: float) -> float:
    """Returns the y of a curve of steps at an x."""
    return points[bisect_right([at for at, _ in points], x) - 1][1]


@given(lengths)
def test_curve_that_is_drawn_is_nowhere_further_away_than_nobody_sees(steps: list[tuple[float, float]]) -> None:
    points = corners(steps)
    visible = keep_visible_steps(points)
    for x, _ in points:
        nearby = [height(visible, max(points[0][0], x + shift)) for shift in (-LEAST_STEP, 0, LEAST_STEP)]
        assert min(nearby) - LEAST_STEP <= height(points, x) <= max(nearby) + LEAST_STEP


@given(lengths)
def test_first_and_last_corner_are_drawn_and_others_lie_apart(steps: list[tuple[float, float]]) -> None:
    points = corners(steps)
    visible = keep_visible_steps(points)
    assert (visible[0], visible[-1]) == (points[0], points[-1])
    inner = visible[:-1]
    assert all(
        max(abs(x - before_x), abs(y - before_y)) >= LEAST_STEP for (before_x, before_y), (x, y) in pairwise(inner)
    )


def test_band_without_width_is_not_drawn() -> None:
    assert band_path([(84, 30, 30), (90, 40, 40)], 100) == ""


def test_picture_of_ten_thousand_participants_is_small() -> None:
    days = [1 + (number * 7919) % 3600 for number in range(10_000)]
    causes = [number % 3 and 1 for number in range(10_000)]
    group = survival_group("All", Observations(np.array(days), np.array(causes), None), [12, 24], [0, 365])
    assert len(group.curve) > 3_000
    assert len(draw_survival("os", "Overall survival", "", [group], "Months", NO_MARKS)) < 35_000
