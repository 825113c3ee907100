"""Working days by the weekend and the holidays of a country."""

from __future__ import annotations

import pytest

from services.analytics.reminders.working_days import first_working_day, is_working_day
from tests.unit.analytics.reminders.sending import day


@pytest.mark.parametrize(
    ("country", "closed", "open_"),
    [
        ("DE", "2025-04-26", "2025-04-28"),  # Saturday
        ("EG", "2025-06-13", "2025-06-15"),  # Friday; Sunday is a working day
        ("IL", "2025-06-13", "2025-06-15"),
        ("SA", "2025-06-20", "2025-06-22"),
        ("IR", "2025-07-18", "2025-07-19"),
        ("AE", "2025-06-14", "2025-06-13"),  # Saturday; Friday is a working day
        ("DE", "2025-04-18", "2025-04-17"),  # Good Friday
    ],
)
def test_weekend_and_holidays_are_those_of_the_country(country: str, closed: str, open_: str) -> None:
    assert not is_working_day(country, day(closed))
    assert is_working_day(country, day(open_))


@pytest.mark.parametrize("country", ["XX", "UK", "AQ"])
def test_monday_to_friday_are_working_days_in_an_unknown_country(country: str) -> None:
    assert [is_working_day(country, day(f"2025-01-{number:02}")) for number in range(6, 13)] == [True] * 5 + [False] * 2


def test_a_holiday_of_a_region_is_a_working_day() -> None:
    assert is_working_day("DE", day("2025-06-19"))  # Corpus Christi


def test_a_step_on_a_holiday_waits_for_the_next_working_day() -> None:
    """Sinai Liberation Day 2025 is a Friday, and Saturday is Egypt's weekend too."""
    assert first_working_day("EG", day("2025-04-25")) == day("2025-04-27")
    assert first_working_day("DE", day("2025-04-18")) == day("2025-04-22")  # Easter
    assert first_working_day("DE", day("2025-04-22")) == day("2025-04-22")
