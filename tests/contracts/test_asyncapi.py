"""The AsyncAPI document: whole, valid, and true of what is sent."""

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

from infra.local.web import Web
from services.analytics.__main__ import PROCESS as ANALYTICS
from services.enrollment.__main__ import PROCESS as ENROLLMENT
from services.followup.__main__ import PROCESS as FOLLOWUP
from services.toxicity.__main__ import PROCESS as TOXICITY
from shared.contracts import catalogue
from shared.contracts.asyncapi import document
from shared.contracts.cloudevents import PARTITIONS, encode
from shared.contracts.event import Event
from shared.contracts.schemas import HERE, golden_path, published, schema_name
from shared.kernel.fact import Fact, Stream
from shared.settings import Settings
from shared.version import VERSION
from tests.integration.stated import FIRST as AT

DOCUMENT = document("1.2.3")
ALLOWED = Draft202012Validator(json.loads(Path(__file__).with_name("asyncapi-3.0.schema.json").read_text("utf-8")))
"""Written after the specification, for the parts of it that are used; narrower than the initiative's own schema."""
SAME_IN_DRAFT_7 = {
    "$ref", "additionalProperties", "anyOf", "const", "default", "description", "enum", "examples", "exclusiveMinimum",
    "exclusiveMaximum", "format", "items", "maxItems", "maxLength", "maxProperties", "maximum", "minItems",
    "minLength", "minimum", "oneOf", "pattern", "patternProperties", "properties", "propertyNames", "required",
    "title", "type",
}  # fmt: skip
FACTS = [
    pytest.param(stream, fact, version, id=schema_name(stream.service, fact.type_name, version))
    for stream, fact in catalogue.facts()
    for version in range(1, fact.schema_version + 1)
]
every_message = pytest.mark.parametrize(("stream", "fact", "version"), FACTS)
SERVERS = {
    process.name: process.create_app for process in (ENROLLMENT, TOXICITY, FOLLOWUP, ANALYTICS)
} | {"web": Web}  # fmt: skip


def message_of(stream: Stream, fact: type[Fact], version: int) -> Any:
    return DOCUMENT["components"]["messages"][schema_name(stream.service, fact.type_name, version)]


def within_document(schema: Any) -> Draft7Validator:
    return Draft7Validator({**schema, "components": DOCUMENT["components"]})


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict) and isinstance(value.get("$ref"), str):
        yield value["$ref"]
    for member in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from references(member)


def beside_references(value: Any) -> Iterator[str]:
    if isinstance(value, dict) and "$ref" in value:
        yield from value.keys() - {"$ref"}
    for member in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from beside_references(member)


def keywords(schema: Any) -> Iterator[str]:
    """Every keyword in a schema and in the schemas within it."""
    for keyword, value in schema.items() if isinstance(schema, dict) else ():
        yield keyword
        within = value.values() if keyword in ("$defs", "properties", "patternProperties") else [value]
        for each in within if keyword not in ("const", "default", "enum", "examples", "required") else ():
            for member in each if isinstance(each, list) else [each]:
                yield from keywords(member)


def test_the_document_is_of_asyncapi_3() -> None:
    assert [error.json_path for error in ALLOWED.iter_errors(DOCUMENT)] == []
    assert (DOCUMENT["asyncapi"], DOCUMENT["info"]["version"]) == ("3.0.0", "1.2.3")


def without_version(said: Any) -> None:
    del said["info"]["version"]


def with_publish(said: Any) -> None:
    said["operations"]["publish-enrollment"]["action"] = "publish"


def with_a_message_that_is_a_name(said: Any) -> None:
    said["channels"]["toxicity"]["messages"]["toxicity.assessed.v1"] = "toxicity.assessed.v1"


def with_an_unknown_member(said: Any) -> None:
    said["components"]["messages"]["study.opened.v1"]["schema"] = {}


def with_an_empty_example(said: Any) -> None:
    said["components"]["messages"]["study.opened.v1"]["examples"] = [{"name": "nothing"}]


def with_one_policy(said: Any) -> None:
    said["channels"]["followup"]["bindings"]["kafka"]["topicConfiguration"]["cleanup.policy"] = "delete"


@pytest.mark.parametrize(
    "change",
    [
        without_version, with_publish, with_a_message_that_is_a_name, with_an_unknown_member, with_an_empty_example,
        with_one_policy,
    ],
)  # fmt: skip
def test_what_is_not_of_asyncapi_3_is_found(change: Callable[[Any], None]) -> None:
    said = copy.deepcopy(DOCUMENT)
    change(said)
    assert not ALLOWED.is_valid(said)


def test_the_servers_are_those_that_are_set_or_a_variable() -> None:
    (unset,) = DOCUMENT["servers"].values()
    assert (unset["host"], list(unset["variables"])) == ("{bootstrap}", ["bootstrap"])
    known = document("1.2.3", "one:9092, two:9093")
    assert list(ALLOWED.iter_errors(known)) == []
    assert [each["host"] for each in known["servers"].values()] == ["one:9092", "two:9093"]
    assert [*document("1.2.3", "one:9092")["servers"]] == ["kafka"]


def test_every_reference_leads_somewhere_within_the_document() -> None:
    found = set(references(DOCUMENT))
    assert len(found) > len(FACTS)
    for reference in found:
        start, *steps = reference.split("/")
        place: Any = DOCUMENT
        assert start == "#"
        for step in steps:
            place = place[step]


def test_a_channel_is_a_topic_with_all_that_its_service_ever_published() -> None:
    for service in ("enrollment", "toxicity", "followup"):
        channel = DOCUMENT["channels"][service]
        named = {
            schema_name(service, fact.type_name, version)
            for stream, fact in catalogue.facts()
            for version in range(1, fact.schema_version + 1)
            if stream.service == service
        }
        assert channel["messages"].keys() == named
        assert channel["bindings"]["kafka"]["topic"] == channel["address"] == f"quartal.{service}.v1"
        assert channel["bindings"]["kafka"]["partitions"] == PARTITIONS
    assert DOCUMENT["channels"].keys() == {"enrollment", "toxicity", "followup"}


@every_message
def test_what_is_sent_is_as_the_document_says(stream: Stream, fact: type[Fact], version: int) -> None:
    of_study = stream.subject == "study"
    golden = (HERE / golden_path(stream.service, fact.type_name, version)).read_text("utf-8")
    sent = encode(
        Event(
            "atc-rt", stream.service, "atc-rt" if of_study else "K7F2-9QXA-3", 5, UUID(int=4), fact.type_name, version,
            None if of_study else "site-01", golden, AT,
            {"corrects": {"type": "lesion.registered", "version": 4}} if fact.type_name == "record.corrected" else {},
        )
    )  # fmt: skip
    message, headers = message_of(stream, fact, version), {name: value.decode() for name, value in sent.headers}
    Draft7Validator(message["headers"]).validate(headers)
    within_document(message["payload"]).validate(json.loads(sent.value))
    Draft7Validator(message["bindings"]["kafka"]["key"]).validate(sent.key.decode())
    assert sent.topic == DOCUMENT["channels"][stream.service]["address"]
    assert headers.keys() <= message["headers"]["properties"].keys()


@every_message
def test_no_header_that_is_required_may_be_missing_or_be_another_message_s(
    stream: Stream, fact: type[Fact], version: int
) -> None:
    message = message_of(stream, fact, version)
    (example,) = message["examples"]
    headers = Draft7Validator(message["headers"])
    for name in message["headers"]["required"]:
        assert not headers.is_valid({other: value for other, value in example["headers"].items() if other != name})
        assert not headers.is_valid({**example["headers"], name: "of another"})


@every_message
def test_an_example_is_of_its_message_and_a_surplus_member_is_not(
    stream: Stream, fact: type[Fact], version: int
) -> None:
    message = message_of(stream, fact, version)
    (example,) = message["examples"]
    Draft7Validator(message["headers"]).validate(example["headers"])
    within_document(message["payload"]).validate(example["payload"])
    assert not within_document(message["payload"]).is_valid({**example["payload"], "surplus": 1})


def test_a_published_schema_means_the_same_in_the_document_s_draft() -> None:
    used = {keyword for text in published().values() for keyword in keywords(json.loads(text))}
    assert used - SAME_IN_DRAFT_7 == {"$schema", "$id", "$defs"}
    assert set(beside_references(DOCUMENT)) <= {"default", "description", "title"}  # draft 7 passes over the rest
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft7Validator.check_schema(schema)


@pytest.mark.parametrize("server", SERVERS)
async def test_every_service_and_the_front_serve_it(server: str) -> None:
    app: Any = SERVERS[server](Settings())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        answer = await client.get("/asyncapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == document(VERSION)
