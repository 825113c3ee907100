"""Builds the OpenAPI document of a service from its routes, with shared components."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from shared.web.problems import ProblemModel
from shared.web.response_models import CHALLENGE_HEADERS, RETRY_HEADERS

BEARER = {
    "type": "http",
    "scheme": "bearer",
    "description": "An access token. The study grants what its subject may do.",
}
_SCHEMAS = "#/components/schemas/"
_REFUSAL_HEADERS = {"401": CHALLENGE_HEADERS, "409": RETRY_HEADERS, "429": RETRY_HEADERS, "503": RETRY_HEADERS}
"""Headers that a refusal of that status may have."""


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """Returns the document of the app's routes. Components without a reference are left out."""
    document = get_openapi(title=app.title, version=app.version, routes=app.routes)
    for operation in (operation for path in document["paths"].values() for operation in path.values()):
        operation["security"] = [{"bearer": []}]
        for status, headers in _REFUSAL_HEADERS.items():
            operation["responses"].get(status, {})["headers"] = dict(headers)
    schemas = document.setdefault("components", {}).get("schemas", {})
    problem = ProblemModel.model_json_schema(ref_template=_SCHEMAS + "{model}")
    schemas |= {**problem.pop("$defs"), "Problem": problem}
    referenced = _referenced_components(document["paths"], schemas)
    document["components"]["schemas"] = {name: schemas[name] for name in sorted(referenced)}
    document["components"]["securitySchemes"] = {"bearer": BEARER}
    return document


def _referenced_components(value: Any, schemas: dict[str, Any]) -> set[str]:
    """Returns the names of the components that the value refers to, directly or indirectly."""
    referenced: set[str] = set()
    pending = list(_references(value))
    while pending:
        name = pending.pop()
        if name not in referenced:
            referenced.add(name)
            pending += _references(schemas[name])
    return referenced


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, member in value.items():
            if name == "$ref" and isinstance(member, str):
                yield member.removeprefix(_SCHEMAS)
            else:
                yield from _references(member)
    elif isinstance(value, list):
        for member in value:
            yield from _references(member)
