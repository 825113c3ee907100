"""Points in time as RFC 3339 texts with an offset, for facts that need more than a day."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

_TIMESTAMP_PATTERN = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?([Zz]|[+-][0-9]{2}:[0-5][0-9])"
)
_FIRST_YEAR, _LAST_YEAR = 1900, 2100


def parse_timestamp(value: object) -> datetime:
    """Reads a time, with its offset. Raises ValueError for numbers, dates alone and times without an offset."""
    if isinstance(value, datetime) and value.tzinfo:
        return value
    if not (isinstance(value, str) and _TIMESTAMP_PATTERN.fullmatch(value)):
        raise ValueError("Give a time with its offset from UTC, such as 2025-01-31T12:00:00+01:00.")
    try:
        timestamp = datetime.fromisoformat(value.upper())
    except ValueError:
        raise ValueError("This time does not exist. Check the date, the time of day and the offset.") from None
    if not _FIRST_YEAR <= timestamp.year <= _LAST_YEAR:
        raise ValueError(f"Give a year from {_FIRST_YEAR} to {_LAST_YEAR}.")
    return timestamp


Timestamp = Annotated[
    datetime,
    BeforeValidator(parse_timestamp),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2024-03-07T09:30:00+01:00"]}),
]
