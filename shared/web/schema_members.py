"""Which members an object in a request's body may have, read off the OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fastapi import Request

Schema = dict[str, Any]


def body_schema(request: Request) -> tuple[Schema, Schema]:
    """Return the document, and the schema of the body that this address takes; an empty one where it is not in it."""
    document: Schema = request.app.openapi()
    path = getattr(request.scope.get("route"), "path_format", "")
    operation = document["paths"].get(path, {}).get(request.method.lower(), {})
    media: Schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return document, media.get("schema", {})


def members_at(
    document: Schema, schema: Schema, path: Sequence[str | int], body: Any, *, unknown: str | None = None
) -> list[str]:
    """Return the members of the object at pydantic's path, in which tags of unions are no members, sorted."""
    schemas, here = [schema], body
    for step in path:
        if isinstance(here, list) and isinstance(step, int) and 0 <= step < len(here):
            schemas, here = [each["items"] for each in _plain(document, schemas) if "items" in each], here[step]
        elif isinstance(here, dict) and step in here:
            schemas, here = list(_of_member(_plain(document, schemas), str(step))), here[step]
        else:
            schemas = list(_tagged(document, schemas, str(step)))
    shapes = [each["properties"] for each in _plain(document, schemas) if "properties" in each]
    meant = [properties for properties in shapes if unknown not in properties]  # the others have the member
    return sorted(_nearest(meant or shapes, here))


def _nearest(alternatives: list[Schema], here: Any) -> Schema:
    """Of several shapes that an object may have, the one that shares most members with it."""
    names = here.keys() if isinstance(here, dict) else ()
    return max(alternatives, key=lambda properties: len(properties.keys() & names), default={})


def _of_member(schemas: Iterator[Schema], name: str) -> Iterator[Schema]:
    for schema in schemas:
        if name in schema.get("properties", {}):
            yield schema["properties"][name]
        elif isinstance(schema.get("additionalProperties"), dict):
            yield schema["additionalProperties"]


def _plain(document: Schema, schemas: list[Schema]) -> Iterator[Schema]:
    """Schemas without references and unions: every alternative by itself."""
    for schema in schemas:
        whole = _resolved(document, schema)
        alternatives = [each for kind in ("anyOf", "oneOf", "allOf") for each in whole.get(kind, ())]
        yield from _plain(document, alternatives) if alternatives else (whole,)


def _tagged(document: Schema, schemas: list[Schema], tag: str) -> Iterator[Schema]:
    """The alternatives that a discriminator maps the tag to; everything, where none does."""
    for schema in schemas:
        whole = _resolved(document, schema)
        mapping = whole.get("discriminator", {}).get("mapping", {})
        inner = [each for kind in ("anyOf", "oneOf") for each in whole.get(kind, ())]
        if tag in mapping:
            yield {"$ref": mapping[tag]}
        elif inner and "discriminator" not in whole:
            yield from _tagged(document, inner, tag)
        else:
            yield whole


def _resolved(document: Schema, schema: Schema) -> Schema:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema
