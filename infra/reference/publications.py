"""Publications beside the reference study: the facts of `literature.csv`, and the table that its paper compares."""

from __future__ import annotations

import csv
import re
from functools import cache
from importlib.resources import files
from typing import Any

from services.analytics.literature.comparison import ComparisonTable, Contradiction

_NUMBER_COLUMNS = frozenset({"year", "n", "n_atc", "median_os", "os_1y_pct"})
_WHOLE_NUMBER, _DECIMAL_NUMBER = re.compile(r"[0-9]+"), re.compile(r"[0-9]+\.[0-9]+")


@cache
def literature_facts() -> list[dict[str, Any]]:
    """Returns the content of `literature.study_recorded` for each row; empty cells are left out."""
    return [
        {name: _value(name, cell) for name, cell in row.items() if cell != ""} for row in _read_table("literature.csv")
    ]


@cache
def comparison_table() -> ComparisonTable:
    """Returns Table I of the paper, with the contradictions of the paper about it."""
    return ComparisonTable(
        name="Table I of Rennollet et al., Anticancer Research, 2026",
        ref_ids=("LEE2022", "BLOM2022-I", "BLOM2022-N"),
        contradictions=tuple(
            Contradiction(
                id=row["id"],
                ref_ids=tuple(row["ref_ids"].split()),
                statement=row["statement"],
                where=row["where"],
                against=row["against"],
                where_against=row["where_against"],
            )
            for row in _read_table("contradictions.csv")
        ),
    )


def _read_table(name: str) -> list[dict[str, str]]:
    text = files("infra.reference").joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def _value(column: str, cell: str) -> str | int | float:
    """Returns a cell as a number where its column has numbers and it is one: `3-5` stays a text."""
    if column in _NUMBER_COLUMNS and _WHOLE_NUMBER.fullmatch(cell):
        return int(cell)
    return float(cell) if column in _NUMBER_COLUMNS and _DECIMAL_NUMBER.fullmatch(cell) else cell
