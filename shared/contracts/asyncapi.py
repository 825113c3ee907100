"""The messages on Kafka as an AsyncAPI 3.0 document: a channel for each topic, a message for each version of each fact.

Its sources are the published writer schemas, the examples in `golden/`, and the header patterns of `cloudevents.py`.
Payloads are plain Schema Objects, which follow JSON Schema draft 7; a test requires that the published schemas mean
the same in that draft. Topics without messages are not listed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from shared.contracts import catalogue
from shared.contracts.cloudevents import (
    OPTIONAL_HEADERS,
    PARTITIONS_PER_TOPIC,
    REQUIRED_HEADERS,
    key_pattern,
    subject_pattern,
    topic,
)
from shared.contracts.json_schemas import CONTRACTS_FOLDER, golden_path, schema_name, schema_reference
from shared.kernel.fact import Correction, Fact, Stream

_KAFKA_BINDING_VERSION = "0.5.0"
_EXAMPLE_HEADERS = {
    "ce_id": "018e18a2-5c00-7a01-8b3c-0123456789ab",
    "ce_time": "2024-03-07T09:30:00.000000Z",
    "ce_streamversion": "7",
    "ce_siteid": "site-01",
    "ce_recordedon": "2024-03-07",
    "ce_correctstype": "lesion.registered",
    "ce_correctsversion": "4",
}
_CHANNEL_TITLES = {"reminders": "Reminders of visits, as the analytics service plans, sends and suppresses them"}
_HEADER_DESCRIPTIONS = {
    "ce_id": "the event's id",
    "ce_source": "the service's part of the study",
    "ce_subject": "the subject of the fact: the participant's number, or the study's id",
    "ce_time": "when it was recorded",
    "ce_dataschema": "the writer schema, relative to where Quartal is served",
    "ce_streamversion": "the version in the stream (source, subject): counts from 1, without a gap",
    "ce_siteid": "the site that stated it",
    "ce_recordedon": "the study's day at that site when it was recorded, by the study's clock, which may be frozen or "
    "shifted; for a fact of the study, the latest day at any site; absent from events of releases that did not keep it",
    "ce_traceparent": "the trace of the request, if it had one",
    "ce_correctstype": "the type of the event that is corrected",
    "ce_correctsversion": "the version of the event that is corrected",
}


def asyncapi_document(version: str, bootstrap: str = "") -> dict[str, Any]:
    """Builds the document of this release. Raises OSError if a schema or an example was not published.

    `bootstrap` has the addresses of brokers, separated by commas. Without it the document's server has a variable.
    """
    messages = {name: message for stream in catalogue.PUBLISHED_STREAMS for name, message in _messages(stream)}
    schemas = {name: _payload_schema(name) for name in messages}
    services = sorted({stream.service for stream in catalogue.PUBLISHED_STREAMS})
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Quartal events",
            "version": version,
            "description": "Every fact that a site stated, and every reminder of a visit, as a CloudEvent in Kafka's "
            "binary content mode. Delivery is at least once; order holds within a key. Sealed texts are null.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": _servers(bootstrap),
        "channels": {service: _channel(service) for service in services},
        "operations": {f"publish-{service}": _operation(service) for service in services},
        "components": {"messages": messages, "schemas": schemas},
    }


def _servers(bootstrap: str) -> dict[str, Any]:
    """Builds one server for each bootstrap address. All of them belong to one cluster."""
    common = {"protocol": "kafka", "description": "A broker to connect to first. It names the others."}
    hosts = [host.strip() for host in bootstrap.split(",") if host.strip()]
    if not hosts:
        variable = {"description": "the setting KAFKA_BOOTSTRAP of the installation", "default": "localhost:9092"}
        return {"kafka": {"host": "{bootstrap}", **common, "variables": {"bootstrap": variable}}}
    return {
        f"kafka-{number}" if len(hosts) > 1 else "kafka": {"host": host, **common}
        for number, host in enumerate(hosts, 1)
    }


def _message_names(service: str) -> Iterator[str]:
    for stream in catalogue.PUBLISHED_STREAMS:
        if stream.service == service:
            yield from (name for name, _, _ in _fact_versions(stream))


def _fact_versions(stream: Stream) -> Iterator[tuple[str, type[Fact], int]]:
    for fact in stream.facts.values():
        for version in range(1, fact.schema_version + 1):
            yield schema_name(stream.service, fact.type_name, version), fact, version


def _channel(service: str) -> dict[str, Any]:
    address = topic(service)
    topic_configuration = {"cleanup.policy": ["delete"], "retention.ms": -1}
    return {
        "address": address,
        "title": _CHANNEL_TITLES.get(service, f"Facts that the {service} service recorded"),
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _message_names(service)},
        "bindings": {
            "kafka": {
                "topic": address,
                "partitions": PARTITIONS_PER_TOPIC,
                "topicConfiguration": topic_configuration,
                "bindingVersion": _KAFKA_BINDING_VERSION,
            }
        },
    }


def _operation(service: str) -> dict[str, Any]:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{service}"},
        "summary": "A fact is published after it was recorded, in the order of its stream.",
    }


def _messages(stream: Stream) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, fact, version in _fact_versions(stream):
        headers = _headers(stream, fact, version)
        example = json.loads(
            (CONTRACTS_FOLDER / golden_path(stream.service, fact.type_name, version)).read_text("utf-8")
        )
        yield (
            name,
            {
                "name": f"quartal.{fact.type_name}",
                "title": name,
                "summary": (fact.__doc__ or fact.type_name).partition("\n\n")[0].replace("\n    ", " "),
                "contentType": "application/json",
                "headers": headers,
                "payload": {"$ref": f"#/components/schemas/{name}"},
                "bindings": {
                    "kafka": {"key": _pattern_schema(key_pattern(stream)), "bindingVersion": _KAFKA_BINDING_VERSION}
                },
                "examples": [{"name": name, "headers": _example_headers(stream, headers), "payload": example}],
            },
        )


def _headers(stream: Stream, fact: type[Fact], version: int) -> dict[str, Any]:
    fixed_schemas = {
        "ce_source": _pattern_schema(f"/studies/{subject_pattern(catalogue.STUDY)}/{stream.service}"),
        "ce_type": {"const": f"quartal.{fact.type_name}"},
        "ce_subject": _pattern_schema(subject_pattern(stream)),
        "ce_dataschema": {"const": schema_reference(stream.service, fact.type_name, version)},
        "ce_specversion": {"const": "1.0"},
        "content-type": {"const": "application/json"},
    }
    correction_headers = (
        {name for name in OPTIONAL_HEADERS if name.startswith("ce_corrects")} if _is_correction(fact) else set()
    )
    site_headers = {"ce_siteid"} if stream.subject == "participant" else set()
    names = [*REQUIRED_HEADERS, *(site_headers | correction_headers), "ce_recordedon", "ce_traceparent"]
    schemas_by_name = {
        name: fixed_schemas.get(name) or _pattern_schema({**REQUIRED_HEADERS, **OPTIONAL_HEADERS}[name])
        for name in sorted(names)
    }
    return {
        "type": "object",
        "properties": {
            name: {
                "type": "string",
                **shape,
                **({"description": _HEADER_DESCRIPTIONS[name]} if name in _HEADER_DESCRIPTIONS else {}),
            }
            for name, shape in schemas_by_name.items()
        },
        "required": sorted({*REQUIRED_HEADERS, *correction_headers}),
    }


def _is_correction(fact: type[Fact]) -> bool:
    return issubclass(fact, Correction)


def _pattern_schema(pattern: str) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^(?:{pattern})$"}


def _example_headers(stream: Stream, headers: dict[str, Any]) -> dict[str, str]:
    subject = "atc-rt" if stream.subject == "study" else "K7F2-9QXA-3"
    values = {**_EXAMPLE_HEADERS, "ce_source": f"/studies/atc-rt/{stream.service}", "ce_subject": subject}
    members = headers["properties"]
    return {
        name: members[name].get("const") or values[name]
        for name in members
        if name in values or "const" in members[name]
    }


def _payload_schema(name: str) -> dict[str, Any]:
    """Returns the writer schema as a part of this document, with references that begin at the document's root."""
    text = (CONTRACTS_FOLDER / "schemas" / f"{name}.writer.json").read_text("utf-8")
    schema = json.loads(text.replace('"#/$defs/', f'"#/components/schemas/{name}/$defs/'))
    return {keyword: value for keyword, value in schema.items() if keyword not in ("$id", "$schema")}
