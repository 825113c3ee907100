"""Every published version of every fact can be read. An example of each is kept forever."""

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
from shared.contracts.json_schemas import CONTRACTS_FOLDER, golden_path, golden_text, schema_name
from shared.kernel.fact import Fact, Stream

EVERY_VERSION = [
    pytest.param(stream, fact, version, id=schema_name(stream.service, fact.type_name, version))
    for stream, fact in catalogue.published_facts()
    for version in range(1, fact.schema_version + 1)
]
CURRENT_FACTS = [
    pytest.param(stream, fact, id=schema_name(stream.service, fact.type_name, fact.schema_version))
    for stream, fact in catalogue.published_facts()
]
every_version = pytest.mark.parametrize(("stream", "fact", "version"), EVERY_VERSION)
every_current_fact = pytest.mark.parametrize(("stream", "fact"), CURRENT_FACTS)


def read_golden(stream: Stream, fact: type[Fact], version: int) -> str:
    path: Path = CONTRACTS_FOLDER / golden_path(stream.service, fact.type_name, version)
    advice = "run `make contracts` for an example to start from, then give it values as a clinic would"
    assert path.exists(), f"{path.name} is missing: {advice}"
    return path.read_text("utf-8")


def load_schema(stream: Stream, fact: type[Fact], version: int, side: str) -> Any:
    name = schema_name(stream.service, fact.type_name, version)
    return json.loads((CONTRACTS_FOLDER / "schemas" / f"{name}.{side}.json").read_text("utf-8"))


@every_version
@pytest.mark.parametrize("side", ["writer", "reader"])
def test_example_validates_against_writer_and_reader_schema(
    stream: Stream, fact: type[Fact], version: int, side: str
) -> None:
    Draft202012Validator(load_schema(stream, fact, version, side)).validate(
        json.loads(read_golden(stream, fact, version))
    )


@every_version
def test_example_of_any_version_reads_as_the_current_class(stream: Stream, fact: type[Fact], version: int) -> None:
    assert type(stream.read(fact.type_name, version, read_golden(stream, fact, version))) is fact


@every_current_fact
def test_example_survives_reading_and_writing(stream: Stream, fact: type[Fact]) -> None:
    text = read_golden(stream, fact, fact.schema_version)
    assert golden_text(stream.read(fact.type_name, fact.schema_version, text)) == text


@every_current_fact
def test_example_contains_the_clinical_date_of_its_fact(stream: Stream, fact: type[Fact]) -> None:
    fact_read = stream.read(fact.type_name, fact.schema_version, read_golden(stream, fact, fact.schema_version))
    example = json.loads(read_golden(stream, fact, fact.schema_version))
    assert (
        fact_read.happened_on is None
        if fact.date_field is None
        else str(fact_read.happened_on) == example[fact.date_field]
    )


@every_version
def test_example_survives_encoding_as_a_kafka_message(stream: Stream, fact: type[Fact], version: int) -> None:
    of_study = stream.subject == "study"
    sent = Event(
        "atc-rt",
        stream.service,
        "atc-rt" if of_study else "K7F2-9QXA-3",
        5,
        UUID("018e18a2-5c00-7a01-8b3c-0123456789ab"),
        fact.type_name,
        version,
        None if of_study else "site-01",
        read_golden(stream, fact, version),
        datetime(2024, 3, 7, 9, 30, tzinfo=UTC),
        {"corrects": {"type": "lesion.registered", "version": 4}} if fact.type_name == "record.corrected" else {},
    )
    message = encode(sent)
    arrived = decode(message.key, message.headers, message.value)
    assert arrived == sent
    assert arrived.stated_fact() == sent.stated_fact()
