"""Accrual as readers see it: no count of a published day tells of a few newcomers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.disclosure.accrual_months import published_days

CUT = date(2024, 6, 20)
DAYS = st.dates(date(2023, 1, 1), CUT)


def in_months(*counts: int) -> list[date]:
    """Returns days of enrollment: as many in each month of 2024 as given."""
    return [date(2024, month, 1 + index) for month, count in enumerate(counts, 1) for index in range(count)]


def newcomers(days: Sequence[date], published: Sequence[date]) -> list[int]:
    starts = [date.min, *published]
    return [sum(start < day <= end for day in days) for start, end in zip(starts, published, strict=False)]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((5, 6, 7, 8, 9, 5), ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30", "2024-05-31", "2024-06-20"]),
        ((4, 6, 7, 4, 9, 5), ["2024-02-29", "2024-03-31", "2024-05-31", "2024-06-20"]),
        ((5, 0, 1, 0, 4, 0), ["2024-01-31", "2024-02-29", "2024-05-31", "2024-06-20"]),
        ((5, 6, 0, 0, 0, 2), ["2024-01-31", "2024-06-20"]),
        ((5, 6, 7, 0, 0, 0), ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30", "2024-05-31", "2024-06-20"]),
        ((1, 1, 1, 0, 0, 0), ["2024-06-20"]),
        ((), ["2024-06-20"]),
    ],
)
def test_month_with_few_newcomers_is_shown_with_the_next(counts: tuple[int, ...], expected: list[str]) -> None:
    assert [day.isoformat() for day in published_days([in_months(*counts)], CUT, 5)] == expected


def test_groups_share_their_days_so_that_none_can_be_subtracted_from_the_total() -> None:
    assert published_days([in_months(5, 5), in_months(0, 5)], CUT, 5)[0] == date(2024, 1, 31)
    assert published_days([in_months(5, 5), in_months(1, 4)], CUT, 5)[0] == date(2024, 2, 29)


@given(st.lists(st.lists(DAYS, max_size=30), min_size=1, max_size=4), st.integers(2, 8))
def test_every_group_has_no_newcomer_between_published_days_or_enough(
    enrollment_days: list[list[date]], minimum: int
) -> None:
    published = published_days(enrollment_days, CUT, minimum)
    assert list(published) == sorted(set(published))
    assert published[-1] == CUT
    assert all(day == CUT or (day + timedelta(days=1)).day == 1 for day in published)
    for days in enrollment_days:
        assert sum(newcomers(days, published)) == len(days)
        if len(days) == 0 or len(days) >= minimum:
            assert all(count == 0 or count >= minimum for count in newcomers(days, published)) or published == (CUT,)


@given(st.lists(DAYS, min_size=1, max_size=40), st.integers(2, 8), st.data())
def test_day_of_an_enrollment_within_a_published_span_does_not_show(
    days: list[date], minimum: int, data: st.DataObject
) -> None:
    """Moving one participant within the months that are shown together, except the last of them, changes nothing."""
    published = published_days([days], CUT, minimum)
    moved = data.draw(st.sampled_from(days))
    end = next(day for day in published if moved <= day)
    month = (moved.replace(day=1), min(end, (moved.replace(day=1) + timedelta(days=31)).replace(day=1) - timedelta(1)))
    days_after = [*days]
    days_after[days.index(moved)] = data.draw(st.dates(*month))
    assert published_days([days_after], CUT, minimum) == published
    assert newcomers(days_after, published) == newcomers(days, published)
