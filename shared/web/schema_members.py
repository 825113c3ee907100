"""Finds the members that an object in a request's body may have, in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fastapi import Request

Schema = dict[str, Any]


def body_schema(request: Request) -> tuple[Schema, Schema]:
    """Returns the document, and the schema of the body at this address; an empty schema if it is not documented."""
    document: Schema = request.app.openapi()
    path = getattr(request.scope.get("route"), "path_format", "")
    operation = document["paths"].get(path, {}).get(request.method.lower(), {})
    media: Schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return document, media.get("schema", {})


def members_at(
    document: Schema, schema: Schema, path: Sequence[str | int], body: Any, *, unknown: str | None = None
) -> list[str]:
    """Returns the sorted members of the object at pydantic's path, which contains tags of unions besides members.

    Shapes that have the member `unknown` are left out if there are others.
    """
    schemas, value = [schema], body
    for step in path:
        if isinstance(value, list) and isinstance(step, int) and 0 <= step < len(value):
            schemas, value = (
                [shape["items"] for shape in _alternatives(document, schemas) if "items" in shape],
                value[step],
            )
        elif isinstance(value, dict) and step in value:
            schemas, value = list(_member_schemas(_alternatives(document, schemas), str(step))), value[step]
        else:
            schemas = list(_alternatives_for_tag(document, schemas, str(step)))
    property_sets = [shape["properties"] for shape in _alternatives(document, schemas) if "properties" in shape]
    candidates = [properties for properties in property_sets if unknown not in properties]  # the others have the member
    return sorted(_most_similar(candidates or property_sets, value))


def _most_similar(alternatives: list[Schema], value: Any) -> Schema:
    """Returns the shape that shares the most members with the object."""
    names = value.keys() if isinstance(value, dict) else ()
    return max(alternatives, key=lambda properties: len(properties.keys() & names), default={})


def _member_schemas(schemas: Iterator[Schema], name: str) -> Iterator[Schema]:
    for schema in schemas:
        if name in schema.get("properties", {}):
            yield schema["properties"][name]
        elif isinstance(schema.get("additionalProperties"), dict):
            yield schema["additionalProperties"]


def _alternatives(document: Schema, schemas: list[Schema]) -> Iterator[Schema]:
    """Returns schemas without references and unions, every alternative by itself."""
    for schema in schemas:
        resolved = _resolve(document, schema)
        alternatives = [shape for kind in ("anyOf", "oneOf", "allOf") for shape in resolved.get(kind, ())]
        yield from _alternatives(document, alternatives) if alternatives else (resolved,)


def _alternatives_for_tag(document: Schema, schemas: list[Schema], tag: str) -> Iterator[Schema]:
    """Returns the alternatives that a discriminator maps the tag to; all schemas if there is no such discriminator."""
    for schema in schemas:
        resolved = _resolve(document, schema)
        mapping = resolved.get("discriminator", {}).get("mapping", {})
        alternatives = [shape for kind in ("anyOf", "oneOf") for shape in resolved.get(kind, ())]
        if tag in mapping:
            yield {"$ref": mapping[tag]}
        elif alternatives and "discriminator" not in resolved:
            yield from _alternatives_for_tag(document, alternatives, tag)
        else:
            yield resolved


def _resolve(document: Schema, schema: Schema) -> Schema:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema
