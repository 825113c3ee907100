"""Converts a cell of a table to a value, by the schema of the fact. Pure.

A number that can be read in two ways is refused in every column: spreadsheet programs of different languages write
decimals with a comma or a point, and thousands with the other one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from infra.exchange.import_line import InvalidLine, invalid_line

EMPTY_CONTAINERS: dict[str, Any] = {"[]": [], "{}": {}}
_JSON_TYPES = {bool: "boolean", int: "integer", float: "number", type(None): "null", str: "string"}
_DATE_PATTERN_START = "^(19[0-9]{2}|20"
"""The start of every date pattern in the schemas."""
_PARTIAL_DATE_HINT = ", or 2024-03 or 2024 where only that is known"
_INTEGER = re.compile(r"-?[0-9]{1,15}")
_DECIMAL = re.compile(r"-?[0-9]{1,15}\.[0-9]{1,20}")
_COMMA_NUMBER = re.compile(r"[+-]?[0-9][0-9.]*(,[0-9.]*)+")
_POINT_BEFORE_THREE = re.compile(r"-?[1-9][0-9]{0,2}(\.[0-9]{3})+")
_SEVERAL_POINTS = re.compile(r"-?[0-9]+(\.[0-9]+){2,}")
_GAPPED_NUMBER = re.compile(r"[+-]?[0-9]{1,3}([ '\u2019\u00a0\u2009\u202f][0-9]{3})+([.,][0-9]+)?")
_ERROR_VALUE = re.compile(r"#(N/A|NV|[A-ZÄÖÜÉ0-9/]+[!?])|#{2,}")
_SHORTENED_NUMBER = re.compile(r"-?[0-9][.,][0-9]+E\+[0-9]{2,}")
_EXPONENT = re.compile(r"[+-]?[0-9]+([.,][0-9]+)?[eE][+-]?[0-9]+")


def cell_of(value: Any) -> str:
    """Returns the cell for a value."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case dict() | list():
            return "{}" if isinstance(value, dict) else "[]"
        case float():
            return f"{Decimal(repr(value)):f}"
    return str(value)


def value_of(cell: str, schemas: Sequence[Mapping[str, Any]], pointer: str, *, point_is_plain: bool = True) -> Any:
    """Returns the cell as the first of list, boolean, number, null that the schema allows and it looks like, or text.

    With `point_is_plain`, a point is a decimal point, because commas separate the cells. Raises InvalidLine.
    """
    types = _all_types(schemas)
    if cell in EMPTY_CONTAINERS and types & {"array", "object"}:
        return type(EMPTY_CONTAINERS[cell])()
    if "boolean" in types and cell.lower() in ("true", "false"):
        return cell.lower() == "true"
    if types & {"integer", "number"} and _INTEGER.fullmatch(cell):
        return int(cell)
    if types & {"integer", "number"} and "string" not in types and cell != "null":
        return _parse_number(cell, pointer, whole="number" not in types, point_is_plain=point_is_plain)
    if {"number", "string"} <= types and _DECIMAL.fullmatch(cell):
        return _parse_number(cell, pointer, whole=False, point_is_plain=point_is_plain)
    if cell == "null" and _may_be_null(schemas, types):
        return None
    if "boolean" in types and "string" not in types:
        raise invalid_line("schema-bool-type", "Write true or false.", pointer)
    _check_date(cell, schemas, pointer)
    check_text(cell, pointer)
    return cell


def _may_be_null(schemas: Sequence[Mapping[str, Any]], types: set[str]) -> bool:
    return "null" in types or any("x-sealed" in schema for schema in schemas)


def _check_date(cell: str, schemas: Sequence[Mapping[str, Any]], pointer: str) -> None:
    """Raises InvalidLine for a date in another form, with advice against date conversion by spreadsheet programs."""
    patterns = [schema.get("pattern", "") for schema in schemas if "string" in types_of(schema)]
    if not patterns or not all(pattern.startswith(_DATE_PATTERN_START) for pattern in patterns):
        return
    if any(re.fullmatch(pattern, cell) for pattern in patterns):
        return
    coarser = "" if all(pattern.count("?") == 0 for pattern in patterns) else _PARTIAL_DATE_HINT
    unknown = ", or null where it is not known" if _may_be_null(schemas, {"null"} & _all_types(schemas)) else ""
    advice = f"Give the date as 2024-03-07{coarser}{unknown}. In a spreadsheet, make the column one of text first."
    raise invalid_line("schema-value-error", advice, pointer)


def check_text(cell: str, pointer: str) -> None:
    """Raises InvalidLine for a text that a spreadsheet program has damaged."""
    if _ERROR_VALUE.fullmatch(cell):
        message = "The cell has an error value of the spreadsheet program: correct the formula, or empty the cell."
        raise invalid_line("spreadsheet-value", message, pointer)
    if _SHORTENED_NUMBER.fullmatch(cell):
        message = "The spreadsheet program has shortened a long number: make the column text, and type it again."
        raise invalid_line("spreadsheet-value", message, pointer)
    if not cell.isascii() and _is_garbled(cell):
        message = (
            "Letters were garbled when the file was saved: open it as UTF-8, correct the letters, and save it as UTF-8."
        )
        raise invalid_line("garbled-text", message, pointer)


def _is_garbled(cell: str) -> bool:
    """Returns whether UTF-8 was once read as Windows-1252, which makes two characters of a letter."""
    try:
        return cell.encode("cp1252").decode("utf-8") != cell
    except UnicodeError:
        return False


def _all_types(schemas: Sequence[Mapping[str, Any]]) -> set[str]:
    return {name for schema in schemas for name in types_of(schema)}


def _parse_number(cell: str, pointer: str, *, whole: bool, point_is_plain: bool) -> float:
    if fault := _find_ambiguity(cell, pointer, point_is_plain=point_is_plain):
        raise fault
    if whole:
        hint = "without a decimal point" if _DECIMAL.fullmatch(cell) else "such as 6"
        raise invalid_line("schema-int-type", f"Give a whole number, {hint}.", pointer)
    if not _DECIMAL.fullmatch(cell):
        raise invalid_line("schema-float-type", "Give a number, such as 12.5.", pointer)
    return float(cell)


def _find_ambiguity(cell: str, pointer: str, *, point_is_plain: bool) -> InvalidLine | None:
    if _COMMA_NUMBER.fullmatch(cell):
        advice = "A comma in a number can be read in two ways: write 12.5 with a point, and 1500 without a separator."
        return invalid_line("decimal-comma", advice, pointer)
    if _SEVERAL_POINTS.fullmatch(cell) or (not point_is_plain and _POINT_BEFORE_THREE.fullmatch(cell)):
        advice = "A point before three digits can be read in two ways: write 1500 without it, and 1.5 as 1.5 or 1.5000."
        return invalid_line("ambiguous-number", advice, pointer)
    if _GAPPED_NUMBER.fullmatch(cell):
        return invalid_line(
            "ambiguous-number", "Write the number without gaps or apostrophes between its digits.", pointer
        )
    if _EXPONENT.fullmatch(cell):
        return invalid_line("ambiguous-number", "Write the number in full, such as 1500, without an exponent.", pointer)
    return None


def types_of(schema: Mapping[str, Any]) -> set[str]:
    if "type" in schema:
        return {schema["type"]}
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    return {_JSON_TYPES[type(value)] for value in values}
