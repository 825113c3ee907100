"""The API described for people: one page from the OpenAPI document, without a line of script."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any


def page(openapi: dict[str, Any]) -> str:
    title = escape(openapi["info"]["title"])
    parts = "\n".join(_operation(*operation) for operation in _operations(openapi))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"></head>'
        f'<body><main><h1>{title}</h1><p><a href="openapi.json">OpenAPI document</a></p>{parts}</main></body></html>'
    )


def _operations(openapi: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    said = escape(operation.get("description", "")).replace("\n\n", "</p><p>")
    rows = "".join(
        f"<li><code>{escape(each['name'])}</code> ({escape(each['in'])}) {escape(each.get('description', ''))}</li>"
        for each in operation.get("parameters", ())
    )
    answers = ", ".join(
        escape(f"{status} {answer['description']}") for status, answer in operation["responses"].items()
    )
    return (
        f"<section><h2><code>{method} {escape(path)}</code></h2><p>{said}</p><ul>{rows}</ul><p>Answers: {answers}</p>"
        "</section>"
    )
