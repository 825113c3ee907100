"""A fact with a second version is stored, corrected and sent, and read by both versions of the software.

Version 1 of `sample.taken` may have a label. Version 2 has none, and has the kind of the sample.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from jsonschema import Draft202012Validator
from pydantic import Field, ValidationError

from shared.contracts import catalogue
from shared.contracts.cloudevents import encode
from shared.contracts.compatibility import find_incompatibilities
from shared.contracts.event import Event, stated_facts
from shared.contracts.json_schemas import FactSource, find_differences, load_published_schemas, write_schemas
from shared.inbox.stream_cursor import InboundEvent, parse_message
from shared.kernel.fact import Fact, Stream
from shared.kernel.ids import Code
from shared.kernel.partial_date import ClinicalDate
from shared.kernel.record import current_record
from shared.kernel.sealed_text import SealedString
from shared.testing.builders.events import make_event
from shared.testing.builders.messages import as_message

STREAM_V1, STREAM_V2 = Stream("enrollment", "participant"), Stream("enrollment", "participant")
Tubes = Annotated[int, Field(strict=True, ge=1)]


@STREAM_V1.fact("sample.taken", on="taken_on")
class SampleTakenV1(Fact):
    taken_on: ClinicalDate
    tubes: Tubes
    label: Code | None = None
    remark: SealedString | None = None


def upcast_to_v2(data: dict[str, Any]) -> dict[str, Any]:
    return {**{name: value for name, value in data.items() if name != "label"}, "kind": "not_asked"}


@STREAM_V2.fact("sample.taken", on="taken_on", version=2, upcasts={1: upcast_to_v2})
class SampleTakenV2(Fact):
    taken_on: ClinicalDate
    tubes: Tubes
    kind: Literal["blood", "tissue", "not_asked"]
    remark: SealedString | None = None


@contextmanager
def released_with(*streams: Stream) -> Iterator[None]:
    """Runs the block as a release of the software with these streams."""
    with pytest.MonkeyPatch.context() as release:
        release.setattr(catalogue, "PUBLISHED_STREAMS", streams)
        yield


def sample_taken(stream: Stream, **members: Any) -> Fact:
    return stream.facts["sample.taken"].model_validate({"taken_on": "2024-03-07", "tubes": 2, **members})


def sample_event(version: int, fact: Fact, corrects: UUID | None = None) -> Event:
    meta = {"corrects": {"type": "sample.taken", "version": 1}} if corrects else {}
    return make_event(fact, version, stream_id="K7F2-9QXA-3", service="enrollment", meta=meta)


def correction_event(stream: Stream, original: Event, fact: Fact, version: int = 2) -> Event:
    correction = stream.correction(event_id=original.event_id, reason_code="typing_error", replacement=fact)
    return sample_event(version, correction, original.event_id)


OLD = sample_event(1, sample_taken(STREAM_V1, label="rack-7", remark="she was afraid of needles"))
OLD_CORRECTION = correction_event(STREAM_V1, OLD, sample_taken(STREAM_V1, label="rack-8", tubes=3))
NEW = sample_event(1, sample_taken(STREAM_V2, kind="blood"))
NEW_CORRECTION = correction_event(STREAM_V2, NEW, sample_taken(STREAM_V2, kind="tissue", tubes=3))


def current_facts(*events: Event) -> list[Fact]:
    return [stated.fact for stated in current_record(stated_facts(events)).stated_facts]


def receive(event_sent: Event) -> InboundEvent:
    return parse_message(as_message(event_sent, 0))


def test_facts_and_corrections_are_published_in_their_own_version() -> None:
    versions = [event.schema_version for event in (OLD, OLD_CORRECTION, NEW, NEW_CORRECTION)]
    assert versions == [1, 1, 2, 2]
    inside = [event.content["replacement"]["schema_version"] for event in (OLD_CORRECTION, NEW_CORRECTION)]
    assert inside == [1, 2]
    named = [dict(encode(event).headers)["ce_dataschema"].decode() for event in (NEW, NEW_CORRECTION)]
    assert named == ["/schemas/sample.taken.v2.writer.json", "/schemas/record.corrected.enrollment.v2.writer.json"]


def test_stored_facts_are_upcast_when_read() -> None:
    with released_with(STREAM_V2):
        assert current_facts(OLD) == [sample_taken(STREAM_V2, kind="not_asked")]


def test_replacements_in_stored_corrections_are_upcast() -> None:
    with released_with(STREAM_V2):
        assert current_facts(OLD, OLD_CORRECTION) == [sample_taken(STREAM_V2, kind="not_asked", tubes=3)]
        second_correction = correction_event(STREAM_V2, OLD, sample_taken(STREAM_V2, kind="tissue"), 3)
        assert current_facts(OLD, OLD_CORRECTION, second_correction) == [sample_taken(STREAM_V2, kind="tissue")]


def test_new_consumer_reads_old_messages_and_stores_them_unchanged() -> None:
    with released_with(STREAM_V2):
        for sent in (OLD, OLD_CORRECTION):
            arrived = receive(sent)
            assert arrived.event is not None
            assert (arrived.reason, arrived.event.schema_version, arrived.event.data) == ("", 1, sent.data)


def test_old_consumer_reads_known_members_and_stores_the_whole_message() -> None:
    with released_with(STREAM_V1):
        arrived = [receive(sent).event for sent in (NEW, NEW_CORRECTION)]
        assert [event and (event.schema_version, event.data) for event in arrived] == [
            (2, NEW.data),
            (2, NEW_CORRECTION.data),
        ]
        assert current_facts(*filter(None, arrived)) == [sample_taken(STREAM_V1, tubes=3)]
    with released_with(STREAM_V2):  # the consumer is upgraded, and loses nothing of what it took in before
        assert current_facts(*filter(None, arrived)) == [sample_taken(STREAM_V2, kind="tissue", tubes=3)]


@pytest.mark.parametrize("sent", [NEW, NEW_CORRECTION])
def test_old_consumer_parks_an_unreadable_new_version(sent: Event) -> None:
    several = Stream("enrollment", "participant")
    named = type("SampleTakenByNames", (SampleTakenV2,), {"__annotations__": {"tubes": "tuple[Code, ...]"}})
    several.fact("sample.taken", on="taken_on")(named)
    with released_with(several):
        assert (receive(sent).event, receive(sent).reason) == (None, "not-of-its-schema")


def test_old_service_refuses_a_correction_in_a_newer_version() -> None:
    content = {
        "event_id": NEW.event_id,
        "reason_code": "typing_error",
        "replacement": NEW_CORRECTION.content["replacement"],
    }
    with pytest.raises(ValidationError, match="does not have this schema version here"):
        STREAM_V1.correction(**content)
    assert STREAM_V2.correction(**content).replacement_fact == sample_taken(STREAM_V2, kind="tissue", tubes=3)


def fact_source_of(stream: Stream) -> FactSource:
    return lambda: [(stream, fact) for fact in stream.facts.values()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folder with both versions, published one after the other as the recipe describes."""
    for stream in (STREAM_V1, STREAM_V2):
        write_schemas(tmp_path, fact_source_of(stream))
    return tmp_path


def test_both_versions_are_published_and_mutually_readable(folder: Path) -> None:
    assert find_differences(folder, fact_source_of(STREAM_V2)) == []
    assert find_incompatibilities(folder, fact_source_of(STREAM_V2)) == []


def test_messages_validate_against_their_schema_and_the_old_reader_schema(folder: Path) -> None:
    schemas = {path: Draft202012Validator(json.loads(text)) for path, text in load_published_schemas(folder).items()}
    for sent in (OLD, OLD_CORRECTION, NEW, NEW_CORRECTION):
        named = dict(encode(sent).headers)["ce_dataschema"].decode().removeprefix("/")
        assert schemas[named].is_valid(sent.content)
        assert schemas[named.replace(".v2.writer", ".v1.reader")].is_valid(sent.content)
