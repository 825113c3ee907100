"""Tables as comma-separated values that spreadsheet programs may open."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from io import StringIO

_FORMULA = re.compile("\\s*[=+\\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")


def to_csv(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Writes a table as RFC 4180 defines it: CRLF, and quotes where they are needed.

    No cell runs as a formula, and the file does not begin with ID, which Excel reads as another format (SYLK).
    """
    buffer = StringIO(newline="")
    writer = csv.writer(buffer)
    for row in (header, *rows):
        writer.writerow([neutralize_formula(cell) for cell in row])
    output = buffer.getvalue()
    first, comma, rest = output.partition(",")
    return f'"{first}"{comma}{rest}' if output.startswith("ID") and "\r\n" not in first else output


def neutralize_formula(cell: str) -> str:
    """Puts an apostrophe before a cell that a spreadsheet would run as a formula; a number stays a number."""
    return f"'{cell}" if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell
