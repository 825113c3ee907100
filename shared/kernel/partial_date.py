"""Clinical dates, known to the day, the month or the year.

They are compared as intervals of days, so that rules refuse only what is impossible.
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_DATE_PATTERN = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?")
_FIRST_YEAR, _LAST_YEAR = 1900, 2100
_FORMAT_SENTENCE = "Give a date as YYYY-MM-DD, or as YYYY-MM or YYYY where the day or the month is not known."
NULL_SENTENCE = " Where nothing is known, give null, if the member may be null."
"""The sentence that only a request needs: a form has a box for null, where the member may be null."""


@dataclass(frozen=True, slots=True)
class PartialDate:
    """A date as stated (`2024`, `2024-03` or `2024-03-07`), and the interval of days that it can mean.

    Both ends of the interval, `earliest` and `latest`, are inclusive.
    """

    text: str
    earliest: date
    latest: date

    @classmethod
    def parse(cls, value: object) -> PartialDate:
        """Reads a date in one of the three forms. Raises ValueError for any other value, such as 07.03.2024."""
        if isinstance(value, PartialDate):
            return value
        if not (isinstance(value, str) and (match := _DATE_PATTERN.fullmatch(value))):
            raise ValueError(_FORMAT_SENTENCE + NULL_SENTENCE)
        year, month, day = (int(part) if part else None for part in match.groups())
        if year is None or not _FIRST_YEAR <= year <= _LAST_YEAR:
            raise ValueError(f"Give a year from {_FIRST_YEAR} to {_LAST_YEAR}.")
        return cls(value, *_day_range(year, month, day))

    @classmethod
    def from_day(cls, day: date) -> PartialDate:
        return cls(day.isoformat(), day, day)

    @property
    def is_exact(self) -> bool:
        return self.earliest == self.latest

    def definitely_before(self, other: PartialDate) -> bool:
        return self.latest < other.earliest

    def __str__(self) -> str:
        return self.text


def _day_range(year: int, month: int | None, day: int | None) -> tuple[date, date]:
    try:
        last_month = 12 if month is None else month
        first = date(year, 1 if month is None else month, 1 if day is None else day)
        return first, date(year, last_month, monthrange(year, last_month)[1] if day is None else day)
    except ValueError:
        raise ValueError("The calendar has no such day. Check the month and the day.") from None


def _parse_day(value: object) -> date:
    if isinstance(value, date):
        return value
    match = _DATE_PATTERN.fullmatch(value) if isinstance(value, str) else None
    if match is None or match[3] is None:
        raise ValueError("Give the whole day, as YYYY-MM-DD.")
    return PartialDate.parse(value).earliest


_MONTH_PATTERN, _DAY_PATTERN = "(0[1-9]|1[0-2])", "(0[1-9]|[12][0-9]|3[01])"


def _json_schema(pattern: str, *examples: str) -> Any:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": list(examples)})


ClinicalDate = Annotated[
    PartialDate,
    BeforeValidator(PartialDate.parse),
    PlainSerializer(str, return_type=str),
    _json_schema(f"^(19[0-9]{{2}}|20[0-9]{{2}}|2100)(-{_MONTH_PATTERN}(-{_DAY_PATTERN})?)?$", "2024-03-07", "2024-03"),
]
"""A date as the site knows it: `YYYY-MM-DD`, `YYYY-MM` or `YYYY`."""

Day = Annotated[
    date,
    BeforeValidator(_parse_day),
    _json_schema(f"^(19[0-9]{{2}}|20[0-9]{{2}}|2100)-{_MONTH_PATTERN}-{_DAY_PATTERN}$", "2024-03-07"),
]
"""A calendar day, `YYYY-MM-DD`, for plans and deadlines, which need an exact date."""
