"""Working days of a country, by its public holidays and its weekend. Pure.

A site has a country and no region, so holidays of a region are working days. In a country that the library of holidays
does not know, Monday to Friday are.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache, lru_cache

from holidays import HolidayBase, country_holidays

_FRIDAY = 4


@lru_cache(maxsize=20_000)
def is_working_day(country: str, day: date) -> bool:
    """Returns whether a day is a working day in a country, which is its alpha-2 code of ISO 3166-1."""
    calendar = _calendar(country)
    return day.weekday() <= _FRIDAY if calendar is None else calendar.is_working_day(day)


def first_working_day(country: str, day: date) -> date:
    """Returns the first working day from a day on, that day included."""
    while not is_working_day(country, day):
        day += timedelta(days=1)
    return day


@cache
def _calendar(country: str) -> HolidayBase | None:
    try:
        return country_holidays(country)
    except NotImplementedError:
        return None
