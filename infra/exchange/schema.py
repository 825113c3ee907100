"""Finds the members that columns of a table name in the JSON Schemas of facts. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from infra.exchange.layout import fold_name
from shared.contracts import catalogue

Schema = Mapping[str, Any]


@cache
def schema_of(type_name: str, service: str | None = None) -> dict[str, Any]:
    """Returns the schema of the fact of that type; {} if there is none."""
    for stream, fact in catalogue.all_facts():
        if fact.type_name == type_name and service in (None, stream.service):
            return fact.model_json_schema()
    return {}


def path_steps(column: str) -> list[str]:
    """Returns the steps of a path such as `/targets/0/fractions` or, without any slash, `targets.0.fractions`."""
    plain = re.sub(r"^/?data[/.]", "", column, flags=re.IGNORECASE).strip("/")
    return [step.strip() for step in (plain.split("/") if "/" in plain else plain.split("."))]


@cache
def declared_path(type_name: str, service: str | None, column: str) -> tuple[str, ...] | None:
    """Returns the path of the column, spelled as in the schema; None if the fact has no such member."""
    root = schema_of(type_name, service)
    schemas, path = alternatives(root, root), []
    for step in path_steps(column):
        name = _schema_spelling(schemas, step)
        schemas = [] if name is None else inner_schemas(schemas, name, root)
        if name is None or not schemas:
            return None
        path.append(name)
    return tuple(path)


def declared_names(type_name: str, service: str | None = None) -> set[str]:
    """Returns the names of all members that the schema of the fact declares."""
    root = schema_of(type_name, service)
    return {name for definition in (root, *root.get("$defs", {}).values()) for name in definition.get("properties", ())}


def _schema_spelling(schemas: Sequence[Schema], step: str) -> str | None:
    """Returns the step as the schema spells it; names of criteria and other ids of the study stay as they are."""
    names = [name for schema in schemas for name in schema.get("properties", ())]
    if step in names:
        return step
    for schema in schemas:
        if any(re.match(pattern, step) for pattern in schema.get("patternProperties", ())):
            return step
        if schema.get("type") == "array" and re.fullmatch("[0-9]{1,9}", step):
            return str(int(step))
    return next((name for name in names if fold_name(name) == fold_name(step)), None)


def schemas_at(root: Schema, steps: Sequence[str]) -> list[Schema]:
    """Returns every schema that the value at the end of the path may have."""
    schemas = alternatives(root, root)
    for step in steps:
        schemas = inner_schemas(schemas, step, root)
    return schemas


def inner_schemas(schemas: Sequence[Schema], step: str, root: Schema) -> list[Schema]:
    """Returns the schemas of a member or an element."""
    members = (_member_schema(schema, step) for schema in schemas)
    return [alternative for schema in members if schema is not None for alternative in alternatives(schema, root)]


def _member_schema(schema: Schema, step: str) -> Any:
    if step in schema.get("properties", {}):
        return schema["properties"][step]
    for pattern, member in schema.get("patternProperties", {}).items():
        if re.match(pattern, step):
            return member
    return schema.get("items") if schema.get("type") == "array" and step.isdecimal() else None


def alternatives(schema: Schema, root: Schema) -> list[Schema]:
    """Returns the alternatives of a schema, with references resolved."""
    return list(_alternatives(schema, root.get("$defs", {})))


def _alternatives(schema: Schema, defs: Mapping[str, Any]) -> Iterator[Schema]:
    if "$ref" in schema:
        yield from _alternatives(defs[schema["$ref"].rpartition("/")[2]], defs)
    elif options := schema.get("anyOf") or schema.get("oneOf"):
        for alternative in options:
            yield from _alternatives(alternative, defs)
    else:
        yield schema
