"""Renders the API reference: one HTML page from the OpenAPI document, without scripts.

The facts with their members come first, then the reads, then the objects in them.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from shared.web.schema_html import members_table, schema_link

Operation = dict[str, Any]
STYLE = """:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
body { margin: 0 auto; padding: 1rem; max-width: 72rem }
section { margin-block: 2.5rem }
h2 { border-block-end: 1px solid; padding-block-end: .25rem }
h3 { margin-block: 2rem .5rem; overflow-wrap: anywhere }
table { border-collapse: collapse; width: 100% }
th, td { text-align: start; vertical-align: top; padding: .375rem .75rem .375rem 0; border-block-end: 1px solid #8888 }
td { overflow-wrap: anywhere }
nav ul { columns: 18rem; padding-inline-start: 1.25rem; overflow-wrap: anywhere }
.scroll { overflow-x: auto }
"""


SETTINGS_TAG = "subscriptions"
"""The tag of routes that change settings of a member, and record no fact."""


def render_page(openapi: dict[str, Any], style: str) -> str:
    """Returns the page; `style` is the address of its style sheet."""
    operations = list(_operations(openapi))
    settings = [operation for operation in operations if SETTINGS_TAG in operation[2].get("tags", ())]
    facts = [operation for operation in operations if operation[0] == "POST" and operation not in settings]
    reads = [operation for operation in operations if operation[0] == "GET"]
    title, schemas = escape(openapi["info"]["title"]), openapi["components"]["schemas"]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="stylesheet" href="{style}"></head>'
        f'<body><header><h1>{title}</h1><p>For programs: <a href="openapi.json">OpenAPI document</a>. '
        'Meanings of refusals: <a href="/problems">problem types</a>. Topics on Kafka: '
        f'<a href="/asyncapi.json">AsyncAPI '
        f"document</a>.</p></header>{_table_of_contents(facts, reads, settings)}<main>"
        f"{_fact_section(facts, schemas)}{_read_section(reads)}{_settings_section(settings, schemas)}"
        f"{_object_section(schemas)}"
        f"</main></body></html>"
    )


def _operations(openapi: dict[str, Any]) -> Iterator[tuple[str, str, Operation]]:
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def _section_name(method: str, path: str) -> str:
    """Returns the title of a section: the type of a fact, or the end of the address of a read."""
    path_in_api = path.partition("/v1/")[2]
    tail = path_in_api.partition("/facts/")[2] if method == "POST" and "/facts/" in path_in_api else path_in_api
    return escape(tail)


def _anchor(method: str, path: str) -> str:
    return escape(f"{method}-{path}".replace("/", "-").replace("{", "").replace("}", ""), quote=True)


def _table_of_contents(
    facts: list[tuple[str, str, Operation]],
    reads: list[tuple[str, str, Operation]],
    settings: list[tuple[str, str, Operation]],
) -> str:
    groups = (("Facts to record", facts), ("Data to read", reads), ("Settings to change", settings))
    lists = "".join(
        f"<h2>{title}</h2><ul>"
        + "".join(
            f'<li><a href="#{_anchor(method, path)}">{_section_name(method, path)}</a></li>'
            for method, path, _ in operations
        )
        + "</ul>"
        for title, operations in groups
        if operations
    )
    return f'<nav aria-label="Contents">{lists}</nav>'


def _fact_section(operations: list[tuple[str, str, Operation]], schemas: dict[str, Any]) -> str:
    if not operations:
        return ""
    common_parameters = _parameter_table(
        [parameter for parameter in operations[0][2].get("parameters", ()) if parameter["in"] != "path"]
    )
    sections = "".join(_fact_entry(*operation, schemas) for operation in operations)
    return (
        f"<section><h2>Recording facts</h2><p>Every request that records a fact accepts:</p>"
        f"{common_parameters}{sections}</section>"
    )


def _settings_section(operations: list[tuple[str, str, Operation]], schemas: dict[str, Any]) -> str:
    sections = "".join(
        _fact_entry(*operation, schemas) if "requestBody" in operation[2] else _entry_header(*operation)
        for operation in operations
    )
    return f"<section><h2>Changing settings</h2>{sections}</section>" if sections else ""


def _fact_entry(method: str, path: str, operation: Operation, schemas: dict[str, Any]) -> str:
    body = operation["requestBody"]["content"]["application/json"]["schema"]
    name = body.get("$ref", "").rpartition("/")[2]
    body_table = members_table(name, schemas[name]) if name else f"<p>Body: {schema_link(body)}.</p>"
    return f"{_entry_header(method, path, operation)}{body_table}"


def _read_section(operations: list[tuple[str, str, Operation]]) -> str:
    sections = "".join(
        (
            f"{_entry_header(*operation)}{_parameter_table(operation[2].get('parameters', []))}"
            f"{_response_types(operation[2])}"
        )
        for operation in operations
    )
    return f"<section><h2>Reading data</h2>{sections}</section>" if sections else ""


def _entry_header(method: str, path: str, operation: Operation) -> str:
    paragraphs = escape(operation.get("description", "")).replace("\n\n", "</p><p>")
    statuses = ", ".join(
        escape(f"{status} {response['description']}") for status, response in operation["responses"].items()
    )
    return (
        f'<h3 id="{_anchor(method, path)}">{_section_name(method, path)}</h3><p><code>{method} '
        f"{escape(path)}</code></p>"
        f"<p>{paragraphs}</p><details><summary>Responses</summary><p>{statuses}</p></details>"
    )


def _response_types(operation: Operation) -> str:
    media = operation["responses"]["200"].get("content", {})
    media_types = [
        f"<code>{escape(name)}</code> {schema_link(content.get('schema', {}))}" for name, content in media.items()
    ]
    return f"<p>Returns: {', '.join(media_types)}</p>"


def _parameter_table(parameters: list[dict[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(parameter['name'])}</code></td><td>{escape(parameter['in'])}</td>"
        f"<td>{schema_link(parameter.get('schema', {}))}</td><td>{'yes' if parameter.get('required') else 'no'}</td>"
        f"<td>{escape(parameter.get('description', ''))}</td></tr>"
        for parameter in parameters
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("Parameter", "In", "Type", "Required", "Meaning"))
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>' if rows else ""
    )


def _object_section(schemas: dict[str, Any]) -> str:
    sections = "".join(
        f'<h3 id="{escape(name, quote=True)}">{escape(name)}</h3><p>{escape(schema.get("description", ""))}</p>'
        + members_table(name, schema)
        for name, schema in schemas.items()
    )
    return f"<section><h2>Objects</h2>{sections}</section>"
