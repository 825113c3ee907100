"""The AsyncAPI document is complete and valid, and messages correspond to it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from infra.local.single_port_app import SinglePortApp
from services.analytics.__main__ import SERVICE_PROCESS as ANALYTICS
from services.enrollment.__main__ import SERVICE_PROCESS as ENROLLMENT
from services.followup.__main__ import SERVICE_PROCESS as FOLLOWUP
from services.toxicity.__main__ import SERVICE_PROCESS as TOXICITY
from shared.contracts import catalogue
from shared.contracts.asyncapi import asyncapi_document
from shared.contracts.cloudevents import PARTITIONS_PER_TOPIC, encode
from shared.contracts.event import Event
from shared.contracts.json_schemas import CONTRACTS_FOLDER, golden_path, load_published_schemas, schema_name
from shared.kernel.fact import Fact, Stream
from shared.settings import Settings
from shared.testing.builders.events import FIRST_RECORDED_AT as AT
from shared.version import VERSION

DOCUMENT = asyncapi_document("1.2.3")
ASYNCAPI_VALIDATOR = Draft202012Validator(
    json.loads(Path(__file__).with_name("asyncapi-3.0.schema.json").read_text("utf-8"))
)
"""Validator of the parts of AsyncAPI that are used; narrower than the schema of the AsyncAPI initiative."""
SAME_IN_DRAFT_7 = {
    "$ref",
    "additionalProperties",
    "anyOf",
    "const",
    "default",
    "description",
    "enum",
    "examples",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "oneOf",
    "pattern",
    "patternProperties",
    "properties",
    "propertyNames",
    "required",
    "title",
    "type",
}
FACTS = [
    pytest.param(stream, fact, version, id=schema_name(stream.service, fact.type_name, version))
    for stream, fact in catalogue.published_facts()
    for version in range(1, fact.schema_version + 1)
]
every_message = pytest.mark.parametrize(("stream", "fact", "version"), FACTS)
SERVERS = {process.name: process.create_app for process in (ENROLLMENT, TOXICITY, FOLLOWUP, ANALYTICS)} | {
    "web": SinglePortApp
}


def message_definition(stream: Stream, fact: type[Fact], version: int) -> Any:
    return DOCUMENT["components"]["messages"][schema_name(stream.service, fact.type_name, version)]


def document_validator(schema: Any) -> Draft7Validator:
    return Draft7Validator({**schema, "components": DOCUMENT["components"]})


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict) and isinstance(value.get("$ref"), str):
        yield value["$ref"]
    for member in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from references(member)


def keys_beside_references(value: Any) -> Iterator[str]:
    if isinstance(value, dict) and "$ref" in value:
        yield from value.keys() - {"$ref"}
    for member in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from keys_beside_references(member)


def keywords(schema: Any) -> Iterator[str]:
    """Yields every keyword of a schema and of the schemas within it."""
    for keyword, value in schema.items() if isinstance(schema, dict) else ():
        yield keyword
        children = value.values() if keyword in ("$defs", "properties", "patternProperties") else [value]
        for child in children if keyword not in ("const", "default", "enum", "examples", "required") else ():
            for member in child if isinstance(child, list) else [child]:
                yield from keywords(member)


def test_document_is_valid_asyncapi_3() -> None:
    assert [error.json_path for error in ASYNCAPI_VALIDATOR.iter_errors(DOCUMENT)] == []
    assert (DOCUMENT["asyncapi"], DOCUMENT["info"]["version"]) == ("3.0.0", "1.2.3")


def remove_version(asyncapi: Any) -> None:
    del asyncapi["info"]["version"]


def set_publish_action(asyncapi: Any) -> None:
    asyncapi["operations"]["publish-enrollment"]["action"] = "publish"


def replace_message_by_its_name(asyncapi: Any) -> None:
    asyncapi["channels"]["toxicity"]["messages"]["toxicity.assessed.v1"] = "toxicity.assessed.v1"


def add_unknown_member(asyncapi: Any) -> None:
    asyncapi["components"]["messages"]["study.opened.v1"]["schema"] = {}


def add_empty_example(asyncapi: Any) -> None:
    asyncapi["components"]["messages"]["study.opened.v1"]["examples"] = [{"name": "nothing"}]


def set_single_cleanup_policy(asyncapi: Any) -> None:
    asyncapi["channels"]["followup"]["bindings"]["kafka"]["topicConfiguration"]["cleanup.policy"] = "delete"


@pytest.mark.parametrize(
    "change",
    [
        remove_version,
        set_publish_action,
        replace_message_by_its_name,
        add_unknown_member,
        add_empty_example,
        set_single_cleanup_policy,
    ],
)
def test_invalid_asyncapi_documents_are_rejected(change: Callable[[Any], None]) -> None:
    asyncapi = copy.deepcopy(DOCUMENT)
    change(asyncapi)
    assert not ASYNCAPI_VALIDATOR.is_valid(asyncapi)


def test_servers_come_from_the_setting_or_are_a_variable() -> None:
    (unset,) = DOCUMENT["servers"].values()
    assert (unset["host"], list(unset["variables"])) == ("{bootstrap}", ["bootstrap"])
    configured = asyncapi_document("1.2.3", "one:9092, two:9093")
    assert list(ASYNCAPI_VALIDATOR.iter_errors(configured)) == []
    assert [server["host"] for server in configured["servers"].values()] == ["one:9092", "two:9093"]
    assert [*asyncapi_document("1.2.3", "one:9092")["servers"]] == ["kafka"]


def test_every_reference_resolves_within_the_document() -> None:
    pointers = set(references(DOCUMENT))
    assert len(pointers) > len(FACTS)
    for reference in pointers:
        start, *steps = reference.split("/")
        node: Any = DOCUMENT
        assert start == "#"
        for step in steps:
            node = node[step]


def test_each_channel_lists_every_message_version_of_its_service() -> None:
    for service in ("enrollment", "toxicity", "followup"):
        channel = DOCUMENT["channels"][service]
        named = {
            schema_name(service, fact.type_name, version)
            for stream, fact in catalogue.published_facts()
            for version in range(1, fact.schema_version + 1)
            if stream.service == service
        }
        assert channel["messages"].keys() == named
        assert channel["bindings"]["kafka"]["topic"] == channel["address"] == f"quartal.{service}.v1"
        assert channel["bindings"]["kafka"]["partitions"] == PARTITIONS_PER_TOPIC
    assert DOCUMENT["channels"].keys() == {"enrollment", "toxicity", "followup", "reminders"}


@every_message
def test_encoded_messages_validate_against_the_document(stream: Stream, fact: type[Fact], version: int) -> None:
    of_study = stream.subject == "study"
    golden = (CONTRACTS_FOLDER / golden_path(stream.service, fact.type_name, version)).read_text("utf-8")
    sent = encode(
        Event(
            "atc-rt",
            stream.service,
            "atc-rt" if of_study else "K7F2-9QXA-3",
            5,
            UUID(int=4),
            fact.type_name,
            version,
            None if of_study else "site-01",
            golden,
            AT,
            {"corrects": {"type": "lesion.registered", "version": 4}} if fact.type_name == "record.corrected" else {},
        )
    )
    message, headers = message_definition(stream, fact, version), {name: value.decode() for name, value in sent.headers}
    Draft7Validator(message["headers"]).validate(headers)
    document_validator(message["payload"]).validate(json.loads(sent.value))
    Draft7Validator(message["bindings"]["kafka"]["key"]).validate(sent.key.decode())
    assert sent.topic == DOCUMENT["channels"][stream.service]["address"]
    assert headers.keys() <= message["headers"]["properties"].keys()


@every_message
def test_required_headers_must_be_present_and_match_the_message(stream: Stream, fact: type[Fact], version: int) -> None:
    message = message_definition(stream, fact, version)
    (example,) = message["examples"]
    headers = Draft7Validator(message["headers"])
    for name in message["headers"]["required"]:
        assert not headers.is_valid({other: value for other, value in example["headers"].items() if other != name})
        assert not headers.is_valid({**example["headers"], name: "of another"})


@every_message
def test_examples_validate_and_unknown_members_are_rejected(stream: Stream, fact: type[Fact], version: int) -> None:
    message = message_definition(stream, fact, version)
    (example,) = message["examples"]
    Draft7Validator(message["headers"]).validate(example["headers"])
    document_validator(message["payload"]).validate(example["payload"])
    assert not document_validator(message["payload"]).is_valid({**example["payload"], "surplus": 1})


def test_published_schemas_use_only_keywords_equal_in_draft_7() -> None:
    all_keywords = {keyword for text in load_published_schemas().values() for keyword in keywords(json.loads(text))}
    assert all_keywords - SAME_IN_DRAFT_7 == {"$schema", "$id", "$defs"}
    assert set(keys_beside_references(DOCUMENT)) <= {"default", "description", "title"}  # draft 7 passes over the rest
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft7Validator.check_schema(schema)


@pytest.mark.parametrize("server", SERVERS)
async def test_every_service_and_the_single_port_app_serve_asyncapi_json(server: str) -> None:
    app: Any = SERVERS[server](Settings())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        response = await client.get("/asyncapi.json")
    assert response.headers["content-type"] == "application/json"
    assert response.json() == asyncapi_document(VERSION)
