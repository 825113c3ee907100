"""Data sets as comma-separated values: UTF-8, a line feed after each record, dates as YYYY-MM-DD, empty for missing."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from datetime import date
from io import StringIO

from services.analytics.datasets.data_set import DataSet, Record


def to_csv(data_set: DataSet, records: Iterable[Record]) -> bytes:
    """Returns the file of a data set; numbers are written with the fewest digits that give the same double."""
    return write_csv([column.name for column in data_set.columns], records)


def write_csv(header: list[str], rows: Iterable[Iterable[object]]) -> bytes:
    """Returns a table by RFC 4180, but for the ends of lines."""
    buffer = StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_text(value) for value in row] for row in rows)
    return buffer.getvalue().encode()


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, date):
        return value.isoformat()
    return repr(value) if isinstance(value, float) else str(value)
