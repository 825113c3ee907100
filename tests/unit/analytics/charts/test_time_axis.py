"""Labels of a calendar axis."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from services.analytics.charts.time_axis import axis_labels


@given(st.dates(date(2020, 1, 1), date(2030, 1, 1)), st.integers(1, 4000))
def test_time_axis_has_up_to_15_labels_within_its_range(start: date, days: int) -> None:
    end = date.fromordinal(start.toordinal() + days)
    labeled_days = [day for day, _ in axis_labels(start, end, 11)]
    assert labeled_days == sorted(set(labeled_days))
    assert all(start <= day <= end for day in labeled_days)
    assert (1 if days >= 400 else 0) <= len(labeled_days) <= 15
