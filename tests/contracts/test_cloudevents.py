from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from cloudevents.core.bindings import kafka as sdk
from cloudevents.core.v1.event import CloudEvent
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.contracts import catalogue, schemas
from shared.contracts.cloudevents import Malformed, Message, decode, encode
from shared.contracts.event import Event
from shared.kernel.ids import ALPHABET, check_character

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
CORRECTION = Event(
    "atc-rt", "enrollment", "K7F2-9QXA-3", 7, UUID("018e18a2-5c00-7a01-8b3c-0123456789ab"), "record.corrected", 1,
    "site-01", '{"event_id": "018e6f42-3b10-7c55-9d1e-5a0c7b2f4e61", "reason_code": "other", "replacement": null}',
    datetime(2024, 3, 7, 9, 30, 0, 250_000, UTC),
    {"recorded_by": "jane.doe@site-01", "traceparent": TRACE, "corrects": {"type": "lesion.registered", "version": 4}},
)  # fmt: skip
OURS = encode(CORRECTION)

study_ids = st.from_regex(r"[a-z0-9][a-z0-9-]{0,30}[a-z0-9]", fullmatch=True)
site_ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}", fullmatch=True)
participant_ids = st.text(ALPHABET, min_size=8, max_size=8).map(
    lambda body: f"{body[:4]}-{body[4:]}-{check_character(body)}"
)
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
times = st.builds(
    lambda microseconds, zone: (EPOCH + timedelta(microseconds=microseconds)).astimezone(zone),
    st.integers(0, 100 * 365 * 24 * 3600 * 10**6),
    st.sampled_from([UTC, timezone(timedelta(hours=9))]),
)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"))
contents = st.dictionaries(texts, texts | st.integers(-(2**53), 2**53) | st.booleans() | st.none(), max_size=4)


@st.composite
def events(draw: st.DrawFn) -> Event:
    stream, fact = draw(st.sampled_from(list(catalogue.facts())))
    study_id = draw(study_ids)
    of_study = stream.subject == "study"
    meta: dict[str, Any] = {"recorded_by": "jane.doe@site-01", "judged_by": {"study_version": 3}}
    if draw(st.booleans()):
        meta["traceparent"] = TRACE
    if fact.type_name == "record.corrected":
        corrected = draw(st.sampled_from(sorted(stream.declared)))
        meta["corrects"] = {"type": corrected, "version": draw(st.integers(1, 999_999_999))}
    return Event(
        study_id, stream.service, study_id if of_study else draw(participant_ids), draw(st.integers(1, 999_999_999)),
        draw(st.uuids()), fact.type_name, fact.schema_version, None if of_study else draw(site_ids),
        json.dumps(draw(contents), ensure_ascii=draw(st.booleans())), draw(times), meta, draw(st.none() | st.binary()),
    )  # fmt: skip


def published(event: Event) -> Event:
    meta = {name: event.meta[name] for name in ("traceparent", "corrects") if name in event.meta}
    return replace(event, meta=meta, sealed=None)


def received(message: Message) -> Event:
    return decode(message.key, message.headers, message.value)


def with_header(name: str, value: bytes | None, message: Message = OURS) -> tuple[tuple[str, bytes | None], ...]:
    return (*(header for header in message.headers if header[0] != name), (name, value))


def refusal(*, key: bytes | None = OURS.key, headers: Any = OURS.headers, value: bytes | None = OURS.value) -> str:
    with pytest.raises(Malformed) as refused:
        decode(key, headers, value)
    assert str(refused.value) == refused.value.reason_code
    return refused.value.reason_code


@given(events())
def test_an_event_arrives_as_it_was_sent(event: Event) -> None:
    assert received(encode(event)) == published(event)


def test_a_correction_says_in_its_headers_what_it_corrects_and_when() -> None:
    message = encode(CORRECTION)
    assert replace(message, headers=tuple(sorted(message.headers))) == Message(
        "quartal.enrollment.v1",
        b"atc-rt/K7F2-9QXA-3",
        tuple(
            sorted(
                (
                    ("content-type", b"application/json"),
                    ("ce_specversion", b"1.0"),
                    ("ce_id", b"018e18a2-5c00-7a01-8b3c-0123456789ab"),
                    ("ce_source", b"/studies/atc-rt/enrollment"),
                    ("ce_type", b"quartal.record.corrected"),
                    ("ce_subject", b"K7F2-9QXA-3"),
                    ("ce_time", b"2024-03-07T09:30:00.250000Z"),
                    ("ce_dataschema", b"/schemas/record.corrected.enrollment.v1.writer.json"),
                    ("ce_streamversion", b"7"),
                    ("ce_siteid", b"site-01"),
                    ("ce_traceparent", TRACE.encode()),
                    ("ce_correctstype", b"lesion.registered"),
                    ("ce_correctsversion", b"4"),
                )
            )
        ),
        CORRECTION.data.encode(),
    )


@given(events(), st.binary(min_size=1), st.text(min_size=1))
def test_who_recorded_an_event_and_what_is_sealed_stay_behind(event: Event, sealed: bytes, name: str) -> None:
    known_to_few = replace(event, sealed=sealed, meta={**event.meta, "recorded_by": name, "judged_by": {name: 1}})
    assert encode(known_to_few) == encode(event)


@given(events())
def test_no_header_needs_percent_encoding_in_any_binding(event: Event) -> None:
    values = b"".join(value for _, value in encode(event).headers)
    assert all(0x21 <= byte <= 0x7E for byte in values)
    assert not set(values) & set(b'%"')


@pytest.mark.parametrize("trace", ["", "not a trace", TRACE + "-extra", TRACE.upper(), "00-Ärzte", None])
def test_a_trace_that_is_none_is_left_out_and_the_event_still_arrives(trace: str | None) -> None:
    event = replace(CORRECTION, meta={**CORRECTION.meta, "traceparent": trace})
    assert "traceparent" not in received(encode(event)).meta


def test_every_fact_names_a_schema_that_is_published() -> None:
    ids = {json.loads(text)["$id"] for text in schemas.documents().values()}
    for stream, fact in catalogue.facts():
        event = replace(CORRECTION, service=stream.service, type=fact.type_name, schema_version=fact.schema_version)
        assert dict(encode(event).headers)["ce_dataschema"].decode() in ids


@given(events())
def test_the_sdk_reads_what_we_send_but_adds_the_key_to_the_event(event: Event) -> None:
    message = encode(event)
    read = sdk.from_binary_event(sdk.KafkaMessage(dict(message.headers), message.key, message.value))
    attributes = dict(read.get_attributes())
    assert attributes.pop("partitionkey") == event.key  # the first difference: the binding forbids it (3.1)
    assert attributes.pop("datacontenttype") == "application/json"
    assert attributes.pop("time") == event.recorded_at
    said = {name.removeprefix("ce_"): value.decode() for name, value in message.headers if name.startswith("ce_")}
    assert attributes == {name: value for name, value in said.items() if name != "time"}
    assert (read.get_data() or {}) == event.content


def by_the_sdk(event: Event) -> sdk.KafkaMessage:
    attributes: dict[str, Any] = {
        "datacontenttype" if name == "content-type" else name.removeprefix("ce_"): value.decode()
        for name, value in encode(event).headers
    }
    return sdk.to_binary_event(
        CloudEvent({**attributes, "time": event.recorded_at.astimezone(UTC)}, event.data.encode()),
        key_mapper=lambda _: event.key.encode(),
    )


@given(events())
def test_we_read_what_the_sdk_sends(event: Event) -> None:
    message = by_the_sdk(event)
    assert isinstance(message.key, bytes)
    assert decode(message.key, list(message.headers.items()), message.value) == published(event)


@given(events())
def test_the_sdk_sends_what_we_send(event: Event) -> None:
    assume(event.recorded_at.microsecond)  # it drops the fraction of a whole second, which RFC 3339 allows
    ours, theirs = encode(event), by_the_sdk(event)
    assert (theirs.headers, theirs.key, theirs.value) == (dict(ours.headers), ours.key, ours.value)


def test_the_sdk_takes_a_structured_message_for_a_binary_one_and_we_refuse_it() -> None:
    headers = with_header("content-type", b"application/cloudevents+json")
    guessed = sdk.from_kafka_event(sdk.KafkaMessage({name: value or b"" for name, value in headers}, None, OURS.value))
    assert guessed.get_data() == CORRECTION.content
    assert refusal(headers=headers) == "content-type-malformed"


def test_the_sdk_sends_no_content_as_an_empty_value_and_we_refuse_both() -> None:
    empty = sdk.to_binary_event(CloudEvent({"type": "quartal.participant.enrolled", "source": "/studies/atc-rt"}))
    assert empty.value == b""
    assert refusal(value=b"") == refusal(value=None) == "value-missing"


@pytest.mark.parametrize("name", [name for name, _ in OURS.headers if name not in ("ce_siteid", "ce_traceparent")])
def test_a_header_that_is_missing_is_named(name: str) -> None:
    said = refusal(headers=[header for header in OURS.headers if header[0] != name])
    assert said == ("ce_correctstype-missing" if name.startswith("ce_corrects") else f"{name}-missing")


@pytest.mark.parametrize(("name", "value"), OURS.headers)
def test_a_header_that_is_there_twice_is_refused_even_if_both_agree(name: str, value: bytes) -> None:
    assert refusal(headers=[*OURS.headers, (name, value)]) == f"{name}-twice"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("content-type", b"application/json; charset=latin-1"),
        ("ce_specversion", b"0.3"),
        ("ce_id", b"018E18A2-5C00-7A01-8B3C-0123456789AB"),
        ("ce_id", b"4711"),
        ("ce_source", b"/studies/atc-rt"),
        ("ce_source", b"/studies/atc-rt/billing"),
        ("ce_source", b"/studies/../enrollment"),
        ("ce_type", b"record.corrected"),
        ("ce_type", b"quartal.Record.Corrected"),
        ("ce_subject", b"k7f2-9qxa-3'--"),
        ("ce_time", b"2024-03-07T09:30:00"),
        ("ce_time", b"2024-03-07T09:30:00+02:00"),
        ("ce_time", b"2024-02-30T09:30:00Z"),
        ("ce_dataschema", b"/schemas/record.corrected.enrollment.v0.writer.json"),
        ("ce_dataschema", b"/schemas/record.corrected.enrollment.v1.reader.json"),
        ("ce_streamversion", b"0"),
        ("ce_streamversion", b"-1"),
        ("ce_streamversion", b"07"),
        ("ce_streamversion", b"2147483648"),
        ("ce_streamversion", "٧".encode()),
        ("ce_siteid", b""),
        ("ce_siteid", b"site 01"),
        ("ce_siteid", b"site-01\n"),
        ("ce_traceparent", b"00"),
        ("ce_correctstype", b"lesion"),
        ("ce_correctsversion", b"four"),
    ],
)
def test_a_header_of_another_shape_is_refused(name: str, value: bytes) -> None:
    assert refusal(headers=with_header(name, value)) == f"{name}-malformed"


@pytest.mark.parametrize("name", [name for name, _ in OURS.headers])
@pytest.mark.parametrize("value", [None, b"\xff\xfe", b"\x00", b"a" * 100_000, b"1" * 5000])
def test_no_header_is_empty_binary_or_oversized(name: str, value: bytes | None) -> None:
    assert refusal(headers=with_header(name, value)) == f"{name}-malformed"


def test_a_schema_of_another_type_or_service_is_refused() -> None:
    for other in (b"/schemas/record.corrected.toxicity.v1.writer.json", b"/schemas/lesion.registered.v1.writer.json"):
        assert refusal(headers=with_header("ce_dataschema", other)) == "ce_dataschema-of-another-type"


def test_only_a_correction_corrects() -> None:
    enrolled = encode(replace(CORRECTION, type="participant.enrolled"))
    assert refusal(headers=enrolled.headers) == "ce_correctstype-malformed"


@pytest.mark.parametrize("key", [None, b"", b"atc-rt", b"atc-rt/K7F2-9QXA-4", b"atc-rt/K7F2-9QXA-3 ", b"\xff"])
def test_a_message_under_another_key_is_refused(key: bytes | None) -> None:
    assert refusal(key=key) == "key-of-another-stream"


@pytest.mark.parametrize(
    "value",
    [
        b"null", b"[]", b'"text"', b"{", b"{} {}", b'{"a": NaN}', b'{"a": "\xff"}', b'{"a": "\\ud800"}',
        b'{"a": "\\u0000"}', b'{"\\u0000": 1}', b'{"a": "\\\\\\u0000"}', b'{"a": 1e99999}', b'{"a": 1E-99999}',
        b"[" * 100_000, b"\xef\xbb\xbf{}", "{}".encode("utf-16"),
    ],
)  # fmt: skip
def test_content_that_is_no_object_or_that_no_database_can_hold_is_refused(value: bytes) -> None:
    assert refusal(value=value) == "value-malformed"


@pytest.mark.parametrize("value", [b'{"a": "\\\\u0000"}', b'{"a": "1e99999, \\"2e99999"}', b'{"a": 1e-300}'])
def test_content_that_only_looks_like_that_arrives(value: bytes) -> None:
    assert decode(OURS.key, OURS.headers, value).data == value.decode()


def test_headers_of_others_are_passed_over() -> None:
    others = [("b3", b"80f198"), ("ce_partitionkey", b"x"), ("ce_partitionkey", b"y"), ("CE_ID", b"\xff")]
    assert decode(OURS.key, [*others, *OURS.headers], OURS.value) == published(CORRECTION)


def test_a_fact_that_nobody_knows_yet_arrives_and_cannot_be_stated() -> None:
    event = replace(CORRECTION, type="lesion.remeasured", meta={})
    assert received(encode(event)) == event
    with pytest.raises(KeyError):
        event.stated()


junk = st.binary(min_size=9, max_size=60)
names = st.sampled_from([name for name, _ in OURS.headers])


@given(names, junk, st.sampled_from(["header", "key", "value"]))
def test_a_refusal_never_quotes_what_it_refuses(name: str, text: bytes, place: str) -> None:
    headers = with_header(name, text) if place == "header" else OURS.headers
    key, value = text if place == "key" else OURS.key, text if place == "value" else OURS.value
    said = refusal(key=key, headers=headers, value=value)
    assert said.rpartition("-")[0] in {name, "key-of-another", "value"}
    assert text.decode("latin-1") not in said
