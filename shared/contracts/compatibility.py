"""Checks that readers of one version of a fact can read every other version. For tests: needs development packages.

Forward: content written today fits the reader schema of every earlier version. Backward: content of every earlier
version, after its upcasts, fits the reader schema of today. jsoncompat decides whether one schema contains another.
Upcasts are tried with the example of the version and with every alternative of its schema.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jsoncompat
from jsonschema import Draft202012Validator

from shared.contracts import catalogue
from shared.contracts.json_schemas import (
    CONTRACTS_FOLDER,
    FactSource,
    golden_path,
    map_subschemas,
    reader_schema,
    sample_value,
    schema_name,
    writer_schema,
)
from shared.kernel.fact import Correction, Fact, upcast

Schema = Mapping[str, Any]
_TEXT_KEYWORDS = ("pattern", "format", "minLength", "maxLength")


def find_incompatibilities(
    folder: Path = CONTRACTS_FOLDER, fact_source: FactSource = catalogue.published_facts
) -> list[str]:
    """Returns a line for each reader that can no longer read a version. `folder` has the published schemas."""
    return [
        finding
        for stream, fact in fact_source()
        for finding in (
            *_find_unreadable_forward(folder, stream.service, fact),
            *_find_unreadable_backward(folder, stream.service, fact),
        )
    ]


def _find_unreadable_forward(folder: Path, service: str, fact: type[Fact]) -> Iterator[str]:
    writer = writer_schema(service, fact)
    for version in range(1, fact.schema_version + 1):
        reader = _load_published(folder, service, fact, version, "reader")
        if not is_readable_by(writer, reader, of_correction=issubclass(fact, Correction)):
            yield f"content of today cannot be read by readers of {schema_name(service, fact.type_name, version)}"


def _find_unreadable_backward(folder: Path, service: str, fact: type[Fact]) -> Iterator[str]:
    reader = reader_schema(service, fact)
    if not is_readable_by(_load_published(folder, service, fact, fact.schema_version, "writer"), reader):
        yield f"what was written as {schema_name(service, fact.type_name, fact.schema_version)} is not read today"
    for version in range(1, fact.schema_version):
        writer = _load_published(folder, service, fact, version, "writer")
        golden = json.loads((folder / golden_path(service, fact.type_name, version)).read_text("utf-8"))
        contents = [golden, *alternatives(writer, writer.get("$defs", {}))]
        if why := next(_explain_unreadable(fact, version, contents, writer, reader), ""):
            yield f"what was written as {schema_name(service, fact.type_name, version)} is not read today: {why}"


def _explain_unreadable(
    fact: type[Fact], version: int, contents: Iterable[Any], writer: Schema, reader: Schema
) -> Iterator[str]:
    """Yields the reasons why upcast content of an earlier version does not fit the reader schema of today."""
    unchanged_members = set(writer["properties"])
    for content in contents:
        try:
            current_content = upcast(fact, version, content)
        except Exception as failure:  # any failure of an upcast is a finding
            yield f"its upcast raises {type(failure).__name__}"
            continue
        yield from (
            f"{error.json_path} fails {error.validator}"
            for error in Draft202012Validator(reader).iter_errors(current_content)
        )
        unchanged_members = {
            name for name in unchanged_members if current_content.get(name, content) == content.get(name, content)
        }
    for name in sorted(unchanged_members):  # no upcast changes these members, so their schemas must be compatible
        if not is_readable_by(_with_single_member(writer, name), _with_single_member(reader, name)):
            yield f"$.{name} is narrower"


def _with_single_member(schema: Schema, name: str) -> Schema:
    return {**schema, "properties": {name: schema["properties"].get(name, {})}, "required": []}


def _load_published(folder: Path, service: str, fact: type[Fact], version: int, side: str) -> Schema:
    path = folder / "schemas" / f"{schema_name(service, fact.type_name, version)}.{side}.json"
    return dict(json.loads(path.read_text("utf-8")))


def is_readable_by(writer: Schema, reader: Schema, *, of_correction: bool = False) -> bool:
    """Returns whether all content of the schema `writer` fits the schema `reader`.

    `of_correction`: corrections of types that the reader does not have are ignored; it does not read such facts either.
    """
    kinds = frozenset(_fact_types(reader)) if of_correction else None
    as_text = json.dumps(_to_comparable(writer, writer.get("$defs", {}), kinds))
    return jsoncompat.check_compat(
        as_text, json.dumps(_to_comparable(reader, reader.get("$defs", {}), None)), "deserializer"
    )


def _fact_types(schema: Schema) -> Iterator[str]:
    for definition in schema.get("$defs", {}).values():
        match definition:
            case {"properties": {"type": {"const": str(kind)}, "data": _}}:
                yield kind


def _to_comparable(schema: Any, defs: Schema, kinds: frozenset[str] | None) -> Any:
    """Rewrites a schema so that jsoncompat compares it correctly.

    jsoncompat ignores `pattern` and `format`. So a text with such keywords becomes an object whose member has them as a
    constant: it fits plain texts and texts with exactly the same keywords. jsoncompat does not see either that `type`
    distinguishes the branches of a `oneOf`, which becomes an `anyOf`.
    """
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "string" and not {"const", "enum"} & schema.keys():
        return _text_as_object({name: schema[name] for name in _TEXT_KEYWORDS if name in schema})
    comparable = {
        keyword: map_subschemas(keyword, value, partial(_to_comparable, defs=defs, kinds=kinds))
        for keyword, value in schema.items()
        if keyword not in ("$id", "$schema")
    }
    tags = [_type_tag(alternative, defs) for alternative in schema.get("oneOf", ())]
    if tags and None not in tags and len(set(tags)) == len(tags):
        branches = zip(tags, comparable.pop("oneOf"), strict=True)
        comparable["anyOf"] = [branch for tag, branch in branches if kinds is None or tag in kinds]
    return comparable


def _text_as_object(shape: Schema) -> dict[str, Any]:
    member = {"const": json.dumps(shape, sort_keys=True)} if shape else {}
    text_object = {
        "type": "object",
        "properties": {"text": member},
        "required": ["text"],
        "additionalProperties": False,
    }
    return text_object if shape else {"anyOf": [{"type": "string"}, text_object]}


def _type_tag(branch: Schema, defs: Schema) -> str | None:
    match defs.get(branch.get("$ref", "").rpartition("/")[2], branch):
        case {"properties": {"type": {"const": str(tag)}}, "required": [*required]} if "type" in required:
            return tag
    return None


def alternatives(schema: Schema, defs: Schema) -> Iterator[Any]:
    """Yields contents of a schema: the required members only, then every alternative of each member in turn."""
    match schema:
        case {"const": value}:
            yield value
        case {"enum": values}:
            yield from values
        case {"$ref": str(reference)}:
            yield from alternatives(defs[reference.rpartition("/")[2]], defs)
        case {"anyOf": branches} | {"oneOf": branches}:
            for branch in branches:
                yield from alternatives(branch, defs)
        case {"type": "object"}:
            yield from _object_alternatives(schema, defs)
        case {"type": "array", "items": items}:
            min_items = schema.get("minItems", 0)
            yield from ([[]] if not min_items else [])
            yield from ([item] * max(1, min_items) for item in alternatives(items, defs))
        case _:
            yield sample_value(schema)


def _object_alternatives(schema: Schema, defs: Schema) -> Iterator[dict[str, Any]]:
    members = schema.get("properties", {})
    required_members = {name: next(alternatives(members[name], defs)) for name in schema.get("required", ())}
    yield required_members
    for name, member in members.items():
        yield from ({**required_members, name: alternative} for alternative in alternatives(member, defs))
