"""Whatever was ever published can be read today: an example of every version of every fact, kept for good."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from jsonschema import Draft202012Validator

from shared.contracts import catalogue
from shared.contracts.cloudevents import decode, encode
from shared.contracts.event import Event
from shared.contracts.schemas import HERE, golden_path, golden_text, schema_name
from shared.kernel.fact import Fact, Stream

PUBLISHED = [
    pytest.param(stream, fact, version, id=schema_name(stream.service, fact.type_name, version))
    for stream, fact in catalogue.facts()
    for version in range(1, fact.schema_version + 1)
]
TODAY = [
    pytest.param(stream, fact, id=schema_name(stream.service, fact.type_name, fact.schema_version))
    for stream, fact in catalogue.facts()
]
every_version = pytest.mark.parametrize(("stream", "fact", "version"), PUBLISHED)
of_today = pytest.mark.parametrize(("stream", "fact"), TODAY)


def golden(stream: Stream, fact: type[Fact], version: int) -> str:
    path: Path = HERE / golden_path(stream.service, fact.type_name, version)
    advice = "run `make contracts` for an example to start from, then give it values as a clinic would"
    assert path.exists(), f"{path.name} is missing: {advice}"
    return path.read_text("utf-8")


def schema(stream: Stream, fact: type[Fact], version: int, side: str) -> Any:
    name = schema_name(stream.service, fact.type_name, version)
    return json.loads((HERE / "schemas" / f"{name}.{side}.json").read_text("utf-8"))


@every_version
@pytest.mark.parametrize("side", ["writer", "reader"])
def test_an_example_is_of_its_schemas(stream: Stream, fact: type[Fact], version: int, side: str) -> None:
    Draft202012Validator(schema(stream, fact, version, side)).validate(json.loads(golden(stream, fact, version)))


@every_version
def test_an_example_of_any_version_can_be_read_today(stream: Stream, fact: type[Fact], version: int) -> None:
    assert type(stream.read(fact.type_name, version, golden(stream, fact, version))) is fact


@of_today
def test_an_example_read_and_published_again_is_the_same(stream: Stream, fact: type[Fact]) -> None:
    text = golden(stream, fact, fact.schema_version)
    assert golden_text(stream.read(fact.type_name, fact.schema_version, text)) == text


@of_today
def test_every_fact_that_has_a_date_shows_it_in_its_example(stream: Stream, fact: type[Fact]) -> None:
    stated = stream.read(fact.type_name, fact.schema_version, golden(stream, fact, fact.schema_version))
    shown = json.loads(golden(stream, fact, fact.schema_version))
    assert stated.happened_on is None if fact.date_field is None else str(stated.happened_on) == shown[fact.date_field]


@every_version
def test_an_example_crosses_kafka_and_is_stated_on_the_other_side(
    stream: Stream, fact: type[Fact], version: int
) -> None:
    of_study = stream.subject == "study"
    sent = Event(
        "atc-rt", stream.service, "atc-rt" if of_study else "K7F2-9QXA-3", 5,
        UUID("018e18a2-5c00-7a01-8b3c-0123456789ab"), fact.type_name, version, None if of_study else "site-01",
        golden(stream, fact, version), datetime(2024, 3, 7, 9, 30, tzinfo=UTC),
        {"corrects": {"type": "lesion.registered", "version": 4}} if fact.type_name == "record.corrected" else {},
    )  # fmt: skip
    message = encode(sent)
    arrived = decode(message.key, message.headers, message.value)
    assert arrived == sent
    assert arrived.stated() == sent.stated()
