"""The columns of a data set, which the annotated members of its records declare. Pure.

CSV header, Dataset-JSON, Define-XML and the data dictionary are all made of these columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any, Literal, get_args, get_type_hints

DataType = Literal["string", "integer", "float", "date"]
Value = str | int | float | date | None
"""A value of a record; None, like an empty text, is a missing value."""
Codes = Mapping[str, str] | Mapping[int, str]
"""The values of a column that has no others, with their meaning in words."""
Source = Literal["Collected", "Derived", "Assigned"]
_DATA_TYPES: Mapping[type, DataType] = {str: "string", int: "integer", float: "float", date: "date"}
_LENGTHS: Mapping[DataType, int] = {"string": 64, "integer": 8, "float": 22, "date": 10}


@dataclass(frozen=True, slots=True)
class Column:
    """The declaration of a column, beside the type of its member.

    `label`: at most 40 characters. `derivation`: how the value comes about, in words. `codes`: the only values that it
    has. `length`: the most characters of a text.
    """

    label: str
    derivation: str
    codes: Codes | None = None
    source: Source = "Derived"
    length: int | None = None


@dataclass(frozen=True, slots=True)
class NamedColumn:
    """A column with its name, its type, and the most characters of a value. `is_required`: no record lacks it."""

    name: str
    data_type: DataType
    length: int
    is_required: bool
    declaration: Column


@cache
def columns_of(record: type[tuple[Value, ...]]) -> tuple[NamedColumn, ...]:
    """Returns the columns of a class of records in their order. Raises TypeError for a member without a declaration."""
    hints = get_type_hints(record, include_extras=True)
    return tuple(_column(record, name, hint) for name, hint in hints.items())


def _column(record: type, name: str, hint: Any) -> NamedColumn:
    declaration = next((part for part in getattr(hint, "__metadata__", ()) if isinstance(part, Column)), None)
    if declaration is None:
        raise TypeError(f"{record.__name__}.{name} does not declare its column")
    kind = hint.__origin__
    parts = [part for part in get_args(kind) or (kind,) if part is not type(None)]
    data_type = _DATA_TYPES[parts[0]]
    codes = max((len(str(code)) for code in declaration.codes or ()), default=0)
    return NamedColumn(
        name=name.upper(),
        data_type=data_type,
        length=declaration.length or codes or _LENGTHS[data_type],
        is_required=len(parts) == len(get_args(kind) or (kind,)),
        declaration=declaration,
    )
