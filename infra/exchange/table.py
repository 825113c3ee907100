"""CSV: a row is a fact, a column a member of it, named by its path (`targets/0/fractions`). Pure.

An empty cell is an absent member. What type a cell has, the fact's own schema says. Columns beside the fact's are named
as in a JSON line (`type`, `participant`, `ref`, …); a member of the fact with such a name is `data/<name>`.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from infra.exchange.line import Line, NotAFile, Read, Wrong, line_of, wrong
from shared.contracts import catalogue
from shared.kernel.text import is_showable

HEAD = (
    "type",
    "participant",
    "ref",
    "study",
    "service",
    "site",
    "event_id",
    "version",
    "schema_version",
    "recorded_at",
)
_COUNTS = {"version", "schema_version"}
_SEPARATORS = ",;\t"
_EMPTY: dict[str, Any] = {"[]": [], "{}": {}}
_MOST_ELEMENTS = 1000
csv.field_size_limit(1024 * 1024)


def flat(data: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """(column, cell) of every value in a fact's content; nulls are written out."""
    if isinstance(data, dict | list) and data:
        members = data.items() if isinstance(data, dict) else enumerate(data)
        for name, member in members:
            yield from flat(member, f"{path}/{name}" if path else str(name))
    else:
        yield f"data/{path}" if path in HEAD else path, _cell(data)


def _cell(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case dict() | list():
            return "{}" if isinstance(value, dict) else "[]"
    return str(value)


def rows(text: str, type_name: str | None = None) -> Iterator[Read]:
    """Every row below the header, by the number of the line where it begins. `type_name`: where no column says it."""
    header = text.partition("\n")[0]
    separator = max(_SEPARATORS, key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        columns = [name.strip() for name in next(reader, [])]
        _check(columns, type_name)
        begins = reader.line_num + 1
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield begins, _row(begins, columns, cells, type_name)
            begins = reader.line_num + 1
    except csv.Error:
        raise NotAFile(f"From line {reader.line_num} on this is not CSV: look for a quotation mark.") from None


def _check(columns: Sequence[str], type_name: str | None) -> None:
    if len(set(columns)) < len(columns) or not all(columns):
        raise NotAFile("Every column of the header has a name of its own.")
    if "type" not in columns and not type_name:
        raise NotAFile("Which fact is this? Add a column named type, or say --type.")


def _row(number: int, columns: Sequence[str], cells: Sequence[str], type_name: str | None) -> Line | Wrong:
    if len(cells) > len(columns):
        return wrong("schema-columns", "The row has more cells than the header has columns.")
    filled = {column: cell.strip() for column, cell in zip(columns, cells, strict=False) if cell.strip()}
    if not all(is_showable(cell) for cell in filled.values()):
        return wrong("malformed", "A cell has control characters.")
    head: dict[str, Any] = {name: filled.pop(name) for name in HEAD if name in filled}
    kind = head.setdefault("type", type_name)
    try:
        head |= {name: int(head[name]) for name in _COUNTS & head.keys() if head[name].isdecimal()}
        return line_of(number, {**head, "data": built(filled, schema_of(str(kind), head.get("service")))})
    except Wrong as found:
        return found


@cache
def schema_of(type_name: str, service: str | None = None) -> dict[str, Any]:
    """The JSON Schema of what is stated under that name; {} for a name that is no fact's."""
    for stream, fact in catalogue.facts():
        if fact.type_name == type_name and service in (None, stream.service):
            return fact.model_json_schema()
    return {}


def built(filled: Mapping[str, str], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The content that columns and cells say; raises Wrong where columns contradict each other."""
    whole: dict[str, Any] = {}
    for column, cell in filled.items():
        steps = steps_of(column)
        pointer, schemas = f"/{'/'.join(steps)}", _within(schema, steps, schema.get("$defs", {}))
        _put(whole, steps, _value(cell, schemas, pointer), pointer)
    return {name: _lists(member, _within(schema, [name], schema.get("$defs", {})), schema, f"/{name}")
            for name, member in whole.items()}  # fmt: skip


def steps_of(column: str) -> list[str]:
    """`/targets/0/fractions`, `targets/0/fractions`, `targets.0.fractions`: with a slash in it, a dot is a dot."""
    plain = column.removeprefix("data/").strip("/")
    return plain.split("/") if "/" in plain else plain.split(".")


def _put(whole: dict[str, Any], steps: Sequence[str], value: Any, pointer: str) -> None:
    here = whole
    for step in steps[:-1]:
        here = here.setdefault(step, {})
        if not isinstance(here, dict):
            raise wrong("schema-columns", "Two columns contradict each other.", pointer)
    if steps[-1] in here:
        raise wrong("schema-columns", "Two columns contradict each other.", pointer)
    here[steps[-1]] = value


def _lists(value: Any, schemas: Sequence[Any], root: Mapping[str, Any], pointer: str) -> Any:
    """`value` with objects made lists where the schema has a list: elements in the order of their indices."""
    if not isinstance(value, dict) or not value:
        return value
    defs = root.get("$defs", {})
    made = {name: _lists(member, _step(schemas, name, defs), root, f"{pointer}/{name}")
            for name, member in value.items()}  # fmt: skip
    if not any(schema.get("type") == "array" for schema in schemas) or not all(name.isdecimal() for name in made):
        return made
    places = sorted(made, key=int)
    if int(places[-1]) > _MOST_ELEMENTS:
        raise wrong("schema-too-long", "Too many of these.", pointer)
    return [made[place] for place in places]


def _within(schema: Mapping[str, Any], steps: Sequence[str], defs: Mapping[str, Any]) -> list[Any]:
    """Every schema that the value at the end of the path may be of."""
    schemas = list(_plain(schema, defs))
    for step in steps:
        schemas = _step(schemas, step, defs)
    return schemas


def _step(schemas: Sequence[Any], step: str, defs: Mapping[str, Any]) -> list[Any]:
    found: list[Any] = []
    for schema in schemas:
        inner = schema.get("properties", {}).get(step)
        if inner is None:
            inner = next(
                (each for name, each in schema.get("patternProperties", {}).items() if re.match(name, step)), None
            )
        if inner is None and schema.get("type") == "array" and step.isdecimal():
            inner = schema.get("items")
        found += _plain(inner, defs) if inner is not None else ()
    return found


def _plain(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> Iterator[Any]:
    """The alternatives of a schema, references followed."""
    if "$ref" in schema:
        yield from _plain(defs[schema["$ref"].rpartition("/")[2]], defs)
    elif alternatives := schema.get("anyOf") or schema.get("oneOf"):
        for each in alternatives:
            yield from _plain(each, defs)
    else:
        yield schema


def _value(cell: str, schemas: Sequence[Any], pointer: str) -> Any:
    """The cell as the first of boolean, number and null that its schema has and that it looks like; else a text."""
    types = {each for schema in schemas for each in _types(schema)}
    if "number" in types and "string" not in types and re.fullmatch(r"-?[0-9]+,[0-9]+", cell):
        raise wrong("decimal-comma", "Write a decimal point: a comma can be read in two ways.", pointer)
    if cell in _EMPTY and types & {"array", "object"}:
        return type(_EMPTY[cell])()
    if "boolean" in types and cell.lower() in ("true", "false"):
        return cell.lower() == "true"
    if types & {"integer", "number"} and re.fullmatch(r"-?[0-9]{1,15}", cell):
        return int(cell)
    if "number" in types and re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,20})?(e[+-]?[0-9]{1,2})?", cell):
        return float(cell)
    return None if cell == "null" and ("null" in types or any("x-sealed" in each for each in schemas)) else cell


_NAMES = {bool: "boolean", int: "integer", float: "number", type(None): "null", str: "string"}


def _types(schema: Mapping[str, Any]) -> set[str]:
    if "type" in schema:
        return {schema["type"]}
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    return {_NAMES[type(value)] for value in values}
