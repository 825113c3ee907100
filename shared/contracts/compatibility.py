"""Whether every version of a fact can be read by whoever reads another one. For tests: needs the development packages.

Forward: what is written today, closed, is of the open reader schema of every version before. Backward: what was
written in any version is, brought up, of the reader schema of today. jsoncompat decides whether one schema is within
another; what an upcast makes of old content is tried with the version's example and every alternative in its schema.
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
from shared.contracts.schemas import (
    HERE,
    Language,
    each_schema,
    golden_path,
    plain,
    reader_schema,
    schema_name,
    writer_schema,
)
from shared.kernel.fact import Corrected, Fact, upcast

Schema = Mapping[str, Any]
_ABOUT_TEXT = ("pattern", "format", "minLength", "maxLength")


def breaks(folder: Path = HERE, language: Language = catalogue.facts) -> list[str]:
    """Who can no longer read what, a line each; nothing where everybody can. `folder` is what was published."""
    return [
        line
        for stream, fact in language()
        for line in (*_forward(folder, stream.service, fact), *_backward(folder, stream.service, fact))
    ]


def _forward(folder: Path, service: str, fact: type[Fact]) -> Iterator[str]:
    written = writer_schema(service, fact)
    for version in range(1, fact.schema_version + 1):
        reader = _kept(folder, service, fact, version, "reader")
        if not readable(written, reader, of_correction=issubclass(fact, Corrected)):
            yield f"what is written today is not for readers of {schema_name(service, fact.type_name, version)}"


def _backward(folder: Path, service: str, fact: type[Fact]) -> Iterator[str]:
    reader = reader_schema(service, fact)
    if not readable(_kept(folder, service, fact, fact.schema_version, "writer"), reader):
        yield f"what was written as {schema_name(service, fact.type_name, fact.schema_version)} is not read today"
    for version in range(1, fact.schema_version):
        written = _kept(folder, service, fact, version, "writer")
        kept = json.loads((folder / golden_path(service, fact.type_name, version)).read_text("utf-8"))
        tried = [kept, *alternatives(written, written.get("$defs", {}))]
        if why := next(_unreadable(fact, version, tried, written, reader), ""):
            yield f"what was written as {schema_name(service, fact.type_name, version)} is not read today: {why}"


def _unreadable(fact: type[Fact], version: int, tried: Iterable[Any], written: Schema, reader: Schema) -> Iterator[str]:
    """Why content of an earlier version, brought up, is not of the reader schema of today."""
    left_alone = set(written["properties"])
    for said in tried:
        try:
            brought_up = upcast(fact, version, said)
        except Exception as failure:  # whatever an upcast raises is what is looked for here
            yield f"its upcast raises {type(failure).__name__}"
            continue
        yield from (
            f"{error.json_path} fails {error.validator}"
            for error in Draft202012Validator(reader).iter_errors(brought_up)
        )
        left_alone = {name for name in left_alone if brought_up.get(name, said) == said.get(name, said)}
    for name in sorted(left_alone):  # no upcast makes up for a member that is narrower now
        if not readable(_only(written, name), _only(reader, name)):
            yield f"$.{name} is narrower"


def _only(schema: Schema, name: str) -> Schema:
    return {**schema, "properties": {name: schema["properties"].get(name, {})}, "required": []}


def _kept(folder: Path, service: str, fact: type[Fact], version: int, side: str) -> Schema:
    path = folder / "schemas" / f"{schema_name(service, fact.type_name, version)}.{side}.json"
    return dict(json.loads(path.read_text("utf-8")))


def readable(written: Schema, read: Schema, *, of_correction: bool = False) -> bool:
    """Is everything of the one schema of the other too? A correction of a kind of fact that the reader never heard of
    is left out: it does not read that kind either."""
    kinds = frozenset(_kinds(read)) if of_correction else None
    as_text = json.dumps(_comparable(written, written.get("$defs", {}), kinds))
    return jsoncompat.check_compat(as_text, json.dumps(_comparable(read, read.get("$defs", {}), None)), "deserializer")


def _kinds(schema: Schema) -> Iterator[str]:
    for definition in schema.get("$defs", {}).values():
        match definition:
            case {"properties": {"type": {"const": str(kind)}, "data": _}}:
                yield kind


def _comparable(schema: Any, defs: Schema, kinds: frozenset[str] | None) -> Any:
    """The schema in words that jsoncompat compares rightly.

    It passes over `pattern` and `format`, so texts of one shape become the only value of a member of an object, which
    is within texts of any shape and within those of exactly that shape. Of a `oneOf` it cannot tell that the types
    exclude each other.
    """
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "string" and not {"const", "enum"} & schema.keys():
        return _text({name: schema[name] for name in _ABOUT_TEXT if name in schema})
    made = {
        keyword: each_schema(keyword, value, partial(_comparable, defs=defs, kinds=kinds))
        for keyword, value in schema.items()
        if keyword not in ("$id", "$schema")
    }
    tags = [_tag(each, defs) for each in schema.get("oneOf", ())]
    if tags and None not in tags and len(set(tags)) == len(tags):
        branches = zip(tags, made.pop("oneOf"), strict=True)
        made["anyOf"] = [branch for tag, branch in branches if kinds is None or tag in kinds]
    return made


def _text(shape: Schema) -> dict[str, Any]:
    member = {"const": json.dumps(shape, sort_keys=True)} if shape else {}
    shaped = {"type": "object", "properties": {"text": member}, "required": ["text"], "additionalProperties": False}
    return shaped if shape else {"anyOf": [{"type": "string"}, shaped]}


def _tag(branch: Schema, defs: Schema) -> str | None:
    match defs.get(branch.get("$ref", "").rpartition("/")[2], branch):
        case {"properties": {"type": {"const": str(tag)}}, "required": [*required]} if "type" in required:
            return tag
    return None


def alternatives(schema: Schema, defs: Schema) -> Iterator[Any]:
    """Contents of a schema: the required members alone, then every alternative of every member, one at a time."""
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
            yield from _objects(schema, defs)
        case {"type": "array", "items": items}:
            fewest = schema.get("minItems", 0)
            yield from ([[]] if not fewest else [])
            yield from ([each] * max(1, fewest) for each in alternatives(items, defs))
        case _:
            yield plain(schema)


def _objects(schema: Schema, defs: Schema) -> Iterator[dict[str, Any]]:
    members = schema.get("properties", {})
    least = {name: next(alternatives(members[name], defs)) for name in schema.get("required", ())}
    yield least
    for name, member in members.items():
        yield from ({**least, name: each} for each in alternatives(member, defs))
