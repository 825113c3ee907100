"""A subscription ends 12 calendar months after it was renewed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from services.analytics.reminders.subscriptions.subscription import subscription_end


@pytest.mark.parametrize(
    ("renewed_on", "ends_on"),
    [
        ("2026-06-01", "2027-06-01"),
        ("2027-06-01", "2028-06-01"),
        ("2028-02-28", "2029-02-28"),
        ("2028-02-29", "2029-02-28"),
        ("2028-03-01", "2029-03-01"),
        ("2026-12-31", "2027-12-31"),
    ],
)
def test_a_subscription_ends_on_the_same_day_of_the_next_year(renewed_on: str, ends_on: str) -> None:
    renewed_at, end = (datetime.fromisoformat(f"{day}T09:30:15+00:00") for day in (renewed_on, ends_on))
    assert subscription_end(renewed_at) == end


def test_the_day_is_that_of_utc() -> None:
    renewed_at = datetime(2027, 6, 1, 0, 30, tzinfo=timezone(timedelta(hours=2)))
    assert subscription_end(renewed_at) == datetime(2028, 5, 31, 22, 30, tzinfo=UTC)
