"""Ticks of an axis of counts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.analytics.charts.axes import tick_values


@given(st.integers(0, 2_000_000), st.integers(3, 8))
def test_ticks_begin_at_zero_and_reach_the_highest_value(highest: int, count: int) -> None:
    ticks = tick_values(highest, count)
    assert ticks[0] == 0
    assert ticks[-2] < max(highest, 1) <= ticks[-1]
    assert len(ticks) <= count + 2
