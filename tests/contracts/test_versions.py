"""A fact that has a second version, all the way: stored, corrected, sent, and read on both sides of the change.

Version 1 of `sample.taken` may have a label. Version 2 has none, and says of what the sample is.
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
from shared.contracts.compatibility import breaks
from shared.contracts.event import Event, history
from shared.contracts.schemas import Language, check, published, write
from shared.inbox.line import Arrival, read
from shared.kernel.dates import ClinicalDate
from shared.kernel.fact import Fact, Stream
from shared.kernel.ids import Code, new_event_id
from shared.kernel.record import standing
from shared.kernel.sealed import Sealed
from tests.integration.stated import FIRST as AT
from tests.integration.stated import as_received

BEFORE, AFTER = Stream("enrollment", "participant"), Stream("enrollment", "participant")
Tubes = Annotated[int, Field(strict=True, ge=1)]


@BEFORE.fact("sample.taken", on="taken_on")
class SampleTakenOnce(Fact):
    taken_on: ClinicalDate
    tubes: Tubes
    label: Code | None = None
    remark: Sealed | None = None


def said_of_what(data: dict[str, Any]) -> dict[str, Any]:
    return {**{name: value for name, value in data.items() if name != "label"}, "kind": "not_asked"}


@AFTER.fact("sample.taken", on="taken_on", version=2, upcasts={1: said_of_what})
class SampleTaken(Fact):
    taken_on: ClinicalDate
    tubes: Tubes
    kind: Literal["blood", "tissue", "not_asked"]
    remark: Sealed | None = None


@contextmanager
def running(*language: Stream) -> Iterator[None]:
    """A release of the software, of which the language is this."""
    with pytest.MonkeyPatch.context() as release:
        release.setattr(catalogue, "STREAMS", language)
        yield


def taken(stream: Stream, **members: Any) -> Fact:
    return stream.facts["sample.taken"].model_validate({"taken_on": "2024-03-07", "tubes": 2, **members})


def event(version: int, fact: Fact, corrects: UUID | None = None) -> Event:
    meta = {"corrects": {"type": "sample.taken", "version": 1}} if corrects else {}
    return Event(
        "atc-rt", "enrollment", "K7F2-9QXA-3", version, new_event_id(), fact.type_name, fact.schema_version, "site-01",
        fact.model_dump_json(), AT, meta,
    )  # fmt: skip


def corrected(stream: Stream, original: Event, fact: Fact, version: int = 2) -> Event:
    said = stream.correction(event_id=original.event_id, reason_code="typing_error", replacement=fact)
    return event(version, said, original.event_id)


OLD = event(1, taken(BEFORE, label="rack-7", remark="she was afraid of needles"))
OLD_CORRECTION = corrected(BEFORE, OLD, taken(BEFORE, label="rack-8", tubes=3))
NEW = event(1, taken(AFTER, kind="blood"))
NEW_CORRECTION = corrected(AFTER, NEW, taken(AFTER, kind="tissue", tubes=3))


def stands(*events: Event) -> list[Fact]:
    return [stated.fact for stated in standing(history(events)).stated]


def arriving(sent: Event) -> Arrival:
    return read(as_received(sent, 0))


def test_a_fact_and_its_correction_are_published_in_the_version_that_they_are_written_in() -> None:
    versions = [each.schema_version for each in (OLD, OLD_CORRECTION, NEW, NEW_CORRECTION)]
    assert versions == [1, 1, 2, 2]
    inside = [each.content["replacement"]["schema_version"] for each in (OLD_CORRECTION, NEW_CORRECTION)]
    assert inside == [1, 2]
    named = [dict(encode(each).headers)["ce_dataschema"].decode() for each in (NEW, NEW_CORRECTION)]
    assert named == ["/schemas/sample.taken.v2.writer.json", "/schemas/record.corrected.enrollment.v2.writer.json"]


def test_what_was_stored_before_is_read_in_the_words_of_today() -> None:
    with running(AFTER):
        assert stands(OLD) == [taken(AFTER, kind="not_asked")]


def test_a_correction_that_was_stored_before_restates_in_the_words_of_today() -> None:
    with running(AFTER):
        assert stands(OLD, OLD_CORRECTION) == [taken(AFTER, kind="not_asked", tubes=3)]
        mended = corrected(AFTER, OLD, taken(AFTER, kind="tissue"), 3)
        assert stands(OLD, OLD_CORRECTION, mended) == [taken(AFTER, kind="tissue")]


def test_a_new_consumer_reads_old_messages_and_keeps_them_as_they_came() -> None:
    with running(AFTER):
        for sent in (OLD, OLD_CORRECTION):
            arrived = arriving(sent)
            assert arrived.event is not None
            assert (arrived.reason, arrived.event.schema_version, arrived.event.data) == ("", 1, sent.data)


def test_an_old_consumer_reads_new_messages_as_far_as_it_knows_and_keeps_all_of_them() -> None:
    with running(BEFORE):
        arrived = [arriving(sent).event for sent in (NEW, NEW_CORRECTION)]
        assert [each and (each.schema_version, each.data) for each in arrived] == [
            (2, NEW.data), (2, NEW_CORRECTION.data),
        ]  # fmt: skip
        assert stands(*filter(None, arrived)) == [taken(BEFORE, tubes=3)]
    with running(AFTER):  # the consumer is upgraded, and loses nothing of what it took in before
        assert stands(*filter(None, arrived)) == [taken(AFTER, kind="tissue", tubes=3)]


@pytest.mark.parametrize("sent", [NEW, NEW_CORRECTION])
def test_an_old_consumer_parks_a_new_version_that_it_cannot_read(sent: Event) -> None:
    several = Stream("enrollment", "participant")
    named = type("SampleTakenByNames", (SampleTaken,), {"__annotations__": {"tubes": "tuple[Code, ...]"}})
    several.fact("sample.taken", on="taken_on")(named)
    with running(several):
        assert (arriving(sent).event, arriving(sent).reason) == (None, "not-of-its-schema")


def test_an_old_service_does_not_take_what_it_would_keep_only_in_part() -> None:
    said = {
        "event_id": NEW.event_id,
        "reason_code": "typing_error",
        "replacement": NEW_CORRECTION.content["replacement"],
    }
    with pytest.raises(ValidationError, match="does not have this schema version here"):
        BEFORE.correction(**said)
    assert AFTER.correction(**said).restated == taken(AFTER, kind="tissue", tubes=3)


def language_of(stream: Stream) -> Language:
    return lambda: [(stream, fact) for fact in stream.facts.values()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Both versions, published one after the other as the recipe says."""
    for stream in (BEFORE, AFTER):
        write(tmp_path, language_of(stream))
    return tmp_path


def test_both_versions_are_published_and_everybody_can_read_the_other(folder: Path) -> None:
    assert check(folder, language_of(AFTER)) == []
    assert breaks(folder, language_of(AFTER)) == []


def test_messages_are_of_the_schema_that_they_name_and_new_ones_of_the_old_reader_s_too(folder: Path) -> None:
    schemas = {path: Draft202012Validator(json.loads(text)) for path, text in published(folder).items()}
    for sent in (OLD, OLD_CORRECTION, NEW, NEW_CORRECTION):
        named = dict(encode(sent).headers)["ce_dataschema"].decode().removeprefix("/")
        assert schemas[named].is_valid(sent.content)
        assert schemas[named.replace(".v2.writer", ".v1.reader")].is_valid(sent.content)
