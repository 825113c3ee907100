"""Renders JSON Schemas as HTML tables and phrases."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from shared.web.schema_members import Schema

_TYPES = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "null": "null",
    "object": "object",
    "array": "list",
}
_DATE_TYPES = {
    ("2024-03-07", "2024-03"): "date: YYYY-MM-DD, or YYYY-MM or YYYY where only that is known",
    ("2024-03-07",): "day: YYYY-MM-DD",
}
_FORMATS = {"uuid": "UUID", "date-time": "time, RFC 3339", "date": "day: YYYY-MM-DD"}
_COLUMNS = ("Member", "Type", "Required", "Values", "Meaning")


def members_table(name: str, schema: Schema) -> str:
    """Returns a table with a row for every member of an object; a sentence if there are none."""
    properties: dict[str, Schema] = schema.get("properties", {})
    if not properties:
        empty_message = "It has no members: send <code>{}</code>."
        return f"<p>{empty_message if schema.get('type') == 'object' else schema_link(schema)}</p>"
    required = schema.get("required", ())
    rows = "".join(
        _member_row(name, member, member_schema, member in required) for member, member_schema in properties.items()
    )
    head = "".join(f'<th scope="col">{column}</th>' for column in _COLUMNS)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _member_row(name: str, member: str, schema: Schema, required: bool) -> str:
    meaning_text = schema.get("description", "")
    cells = (
        f'<th scope="row"><code>{escape(member)}</code></th>',
        f"<td>{schema_link(schema)}</td>",
        f"<td>{'yes' if required else 'no'}</td>",
        f"<td>{'; '.join(_constraints(schema))}</td>",
        f"<td>{escape(meaning_text)}</td>",
    )
    return f"<tr>{''.join(cells)}</tr>"


def schema_link(schema: Schema) -> str:
    """Returns the type in words, with links to the objects on the page."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2], quote=True)
        return f'<a href="#{name}">{name}</a>'
    if alternatives := _alternatives(schema):
        return " or ".join(dict.fromkeys(map(schema_link, alternatives)))
    if "const" in schema or "enum" in schema:
        return "one of these values"
    if schema.get("type") == "array":
        return f"list of {schema_link(schema.get('items', {}))}"
    if value_schemas := _map_value_schemas(schema):
        return f"object of {' or '.join(dict.fromkeys(map(schema_link, value_schemas)))}, by name"
    date = _DATE_TYPES.get(tuple(schema.get("examples", ())))
    return date or _FORMATS.get(schema.get("format", "")) or _TYPES.get(schema.get("type", ""), "any")


def _alternatives(schema: Schema) -> list[Schema]:
    return [subschema for kind in ("anyOf", "oneOf", "allOf") for subschema in schema.get(kind, ())]


def _map_value_schemas(schema: Schema) -> list[Schema]:
    patterns = list(schema.get("patternProperties", {}).values())
    additional = schema.get("additionalProperties")
    return patterns + ([additional] if isinstance(additional, dict) and additional else [])


def _constraints(schema: Schema) -> Iterator[str]:
    """Returns the constraints on a value, as HTML."""
    item_schemas = [schema["items"]] if "items" in schema else []
    for subschema in (*_alternatives(schema), *_map_value_schemas(schema), *item_schemas):
        yield from _constraints(subschema)
    if values := [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else ())]:
        yield ", ".join(f"<code>{escape(str(value))}</code>" for value in values)
    if tuple(schema.get("examples", ())) not in _DATE_TYPES and "pattern" in schema and schema["pattern"] != r"\S":
        yield f"pattern <code>{escape(schema['pattern'])}</code>"
    for keyword, words in _BOUNDS.items():
        if keyword in schema:
            yield f"{words} {schema[keyword]:g}"
    if "default" in schema and schema["default"] is not None:
        yield f"default <code>{escape(str(schema['default']))}</code>"
    if schema.get("x-sealed"):
        yield "sealed: shown to the own site only"


_BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "more than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
    "minItems": "entries: at least",
    "maxItems": "entries: at most",
    "maxProperties": "entries: at most",
    "maxLength": "characters: at most",
}
