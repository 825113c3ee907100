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

from shared.contracts import catalogue, json_schemas
from shared.contracts.cloudevents import MalformedMessage, Message, decode, encode
from shared.contracts.event import Event
from shared.kernel.ids import ALPHABET, check_character

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
CORRECTION = Event(
    "atc-rt",
    "enrollment",
    "K7F2-9QXA-3",
    7,
    UUID("018e18a2-5c00-7a01-8b3c-0123456789ab"),
    "record.corrected",
    1,
    "site-01",
    '{"event_id": "018e6f42-3b10-7c55-9d1e-5a0c7b2f4e61", "reason_code": "other", "replacement": null}',
    datetime(2024, 3, 7, 9, 30, 0, 250_000, UTC),
    {
        "recorded_by": "jane.doe@site-01",
        "recorded_on": "2025-01-31",
        "traceparent": TRACE,
        "corrects": {"type": "lesion.registered", "version": 4},
    },
)
ENCODED_CORRECTION = encode(CORRECTION)
OPTIONAL_FOR_CORRECTIONS = ("ce_siteid", "ce_recordedon", "ce_traceparent")

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
    stream, fact = draw(st.sampled_from(list(catalogue.published_facts())))
    study_id = draw(study_ids)
    of_study = stream.subject == "study"
    meta: dict[str, Any] = {"recorded_by": "jane.doe@site-01", "judged_by": {"study_version": 3}}
    if draw(st.booleans()):
        meta["traceparent"] = TRACE
    if draw(st.booleans()):
        meta["recorded_on"] = draw(st.dates()).isoformat()
    if fact.type_name == "record.corrected":
        corrected = draw(st.sampled_from(sorted(stream.declared_facts)))
        meta["corrects"] = {"type": corrected, "version": draw(st.integers(1, 999_999_999))}
    return Event(
        study_id,
        stream.service,
        study_id if of_study else draw(participant_ids),
        draw(st.integers(1, 999_999_999)),
        draw(st.uuids()),
        fact.type_name,
        fact.schema_version,
        None if of_study else draw(site_ids),
        json.dumps(draw(contents), ensure_ascii=draw(st.booleans())),
        draw(times),
        meta,
        draw(st.none() | st.binary()),
    )


def published_part(event: Event) -> Event:
    meta = {name: event.meta[name] for name in ("traceparent", "recorded_on", "corrects") if name in event.meta}
    return replace(event, meta=meta, sealed=None)


def decode_message(message: Message) -> Event:
    return decode(message.key, message.headers, message.value)


def with_header(
    name: str, value: bytes | None, message: Message = ENCODED_CORRECTION
) -> tuple[tuple[str, bytes | None], ...]:
    return (*(header for header in message.headers if header[0] != name), (name, value))


def decode_error_code(
    *,
    key: bytes | None = ENCODED_CORRECTION.key,
    headers: Any = ENCODED_CORRECTION.headers,
    value: bytes | None = ENCODED_CORRECTION.value,
) -> str:
    with pytest.raises(MalformedMessage) as error:
        decode(key, headers, value)
    assert str(error.value) == error.value.reason_code
    return error.value.reason_code


@given(events())
def test_event_survives_encoding_and_decoding(event: Event) -> None:
    assert decode_message(encode(event)) == published_part(event)


def test_correction_headers_name_the_corrected_type_and_version() -> None:
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
                    ("ce_recordedon", b"2025-01-31"),
                    ("ce_traceparent", TRACE.encode()),
                    ("ce_correctstype", b"lesion.registered"),
                    ("ce_correctsversion", b"4"),
                )
            )
        ),
        CORRECTION.data.encode(),
    )


@given(events(), st.binary(min_size=1), st.text(min_size=1))
def test_recorder_and_sealed_texts_are_not_published(event: Event, sealed: bytes, name: str) -> None:
    known_to_few = replace(event, sealed=sealed, meta={**event.meta, "recorded_by": name, "judged_by": {name: 1}})
    assert encode(known_to_few) == encode(event)


@given(events())
def test_no_header_needs_percent_encoding_in_any_binding(event: Event) -> None:
    values = b"".join(value for _, value in encode(event).headers)
    assert all(0x21 <= byte <= 0x7E for byte in values)
    assert not set(values) & set(b'%"')


@pytest.mark.parametrize("trace", ["", "not a trace", TRACE + "-extra", TRACE.upper(), "00-Ärzte", None])
def test_invalid_traceparent_is_omitted_from_the_message(trace: str | None) -> None:
    event = replace(CORRECTION, meta={**CORRECTION.meta, "traceparent": trace})
    assert "traceparent" not in decode_message(encode(event)).meta


def test_every_fact_names_a_published_schema() -> None:
    ids = {json.loads(text)["$id"] for text in json_schemas.schema_documents().values()}
    for stream, fact in catalogue.published_facts():
        event = replace(CORRECTION, service=stream.service, type=fact.type_name, schema_version=fact.schema_version)
        assert dict(encode(event).headers)["ce_dataschema"].decode() in ids


@given(events())
def test_sdk_reads_our_messages_and_adds_partitionkey(event: Event) -> None:
    message = encode(event)
    read = sdk.from_binary_event(sdk.KafkaMessage(dict(message.headers), message.key, message.value))
    attributes = dict(read.get_attributes())
    assert attributes.pop("partitionkey") == event.key  # the first difference: the binding forbids it (3.1)
    assert attributes.pop("datacontenttype") == "application/json"
    assert attributes.pop("time") == event.recorded_at
    ce_headers = {name.removeprefix("ce_"): value.decode() for name, value in message.headers if name.startswith("ce_")}
    assert attributes == {name: value for name, value in ce_headers.items() if name != "time"}
    assert (read.get_data() or {}) == event.content


def sdk_message(event: Event) -> sdk.KafkaMessage:
    attributes: dict[str, Any] = {
        "datacontenttype" if name == "content-type" else name.removeprefix("ce_"): value.decode()
        for name, value in encode(event).headers
    }
    return sdk.to_binary_event(
        CloudEvent({**attributes, "time": event.recorded_at.astimezone(UTC)}, event.data.encode()),
        key_mapper=lambda _: event.key.encode(),
    )


@given(events())
def test_decoder_reads_messages_of_the_sdk(event: Event) -> None:
    message = sdk_message(event)
    assert isinstance(message.key, bytes)
    assert decode(message.key, list(message.headers.items()), message.value) == published_part(event)


@given(events())
def test_sdk_encodes_events_identically(event: Event) -> None:
    assume(event.recorded_at.microsecond)  # it drops the fraction of a whole second, which RFC 3339 allows
    ours, theirs = encode(event), sdk_message(event)
    assert (theirs.headers, theirs.key, theirs.value) == (dict(ours.headers), ours.key, ours.value)


def test_structured_mode_is_refused_although_the_sdk_reads_it() -> None:
    headers = with_header("content-type", b"application/cloudevents+json")
    guessed = sdk.from_kafka_event(
        sdk.KafkaMessage({name: value or b"" for name, value in headers}, None, ENCODED_CORRECTION.value)
    )
    assert guessed.get_data() == CORRECTION.content
    assert decode_error_code(headers=headers) == "content-type-malformed"


def test_empty_and_missing_values_are_refused() -> None:
    empty = sdk.to_binary_event(CloudEvent({"type": "quartal.participant.enrolled", "source": "/studies/atc-rt"}))
    assert empty.value == b""
    assert decode_error_code(value=b"") == decode_error_code(value=None) == "value-missing"


@pytest.mark.parametrize(
    "name", [name for name, _ in ENCODED_CORRECTION.headers if name not in OPTIONAL_FOR_CORRECTIONS]
)
def test_missing_header_is_named_in_the_reason(name: str) -> None:
    reason_code = decode_error_code(headers=[header for header in ENCODED_CORRECTION.headers if header[0] != name])
    assert reason_code == ("ce_correctstype-missing" if name.startswith("ce_corrects") else f"{name}-missing")


@pytest.mark.parametrize(("name", "value"), ENCODED_CORRECTION.headers)
def test_duplicate_header_is_refused_even_with_equal_values(name: str, value: bytes) -> None:
    assert decode_error_code(headers=[*ENCODED_CORRECTION.headers, (name, value)]) == f"{name}-twice"


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
        ("ce_recordedon", b"2025-01"),
        ("ce_recordedon", b"2025-02-30"),
        ("ce_traceparent", b"00"),
        ("ce_correctstype", b"lesion"),
        ("ce_correctsversion", b"four"),
    ],
)
def test_malformed_header_is_refused(name: str, value: bytes) -> None:
    assert decode_error_code(headers=with_header(name, value)) == f"{name}-malformed"


@pytest.mark.parametrize("name", [name for name, _ in ENCODED_CORRECTION.headers])
@pytest.mark.parametrize("value", [None, b"\xff\xfe", b"\x00", b"a" * 100_000, b"1" * 5000])
def test_empty_binary_and_oversized_headers_are_refused(name: str, value: bytes | None) -> None:
    assert decode_error_code(headers=with_header(name, value)) == f"{name}-malformed"


def test_dataschema_of_another_type_or_service_is_refused() -> None:
    for other in (b"/schemas/record.corrected.toxicity.v1.writer.json", b"/schemas/lesion.registered.v1.writer.json"):
        assert decode_error_code(headers=with_header("ce_dataschema", other)) == "ce_dataschema-of-another-type"


def test_correction_headers_on_other_types_are_refused() -> None:
    enrolled = encode(replace(CORRECTION, type="participant.enrolled"))
    assert decode_error_code(headers=enrolled.headers) == "ce_correctstype-malformed"


@pytest.mark.parametrize("key", [None, b"", b"atc-rt", b"atc-rt/K7F2-9QXA-4", b"atc-rt/K7F2-9QXA-3 ", b"\xff"])
def test_message_key_must_match_the_stream(key: bytes | None) -> None:
    assert decode_error_code(key=key) == "key-of-another-stream"


@pytest.mark.parametrize(
    "value",
    [
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b"{} {}",
        b'{"a": NaN}',
        b'{"a": "\xff"}',
        b'{"a": "\\ud800"}',
        b'{"a": "\\u0000"}',
        b'{"\\u0000": 1}',
        b'{"a": "\\\\\\u0000"}',
        b'{"a": 1e99999}',
        b'{"a": 1E-99999}',
        b"[" * 100_000,
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
    ],
)
def test_content_must_be_a_storable_json_object(value: bytes) -> None:
    assert decode_error_code(value=value) == "value-malformed"


@pytest.mark.parametrize("value", [b'{"a": "\\\\u0000"}', b'{"a": "1e99999, \\"2e99999"}', b'{"a": 1e-300}'])
def test_content_that_resembles_unstorable_json_is_accepted(value: bytes) -> None:
    assert decode(ENCODED_CORRECTION.key, ENCODED_CORRECTION.headers, value).data == value.decode()


def test_unknown_headers_are_ignored() -> None:
    others = [("b3", b"80f198"), ("ce_partitionkey", b"x"), ("ce_partitionkey", b"y"), ("CE_ID", b"\xff")]
    assert decode(
        ENCODED_CORRECTION.key, [*others, *ENCODED_CORRECTION.headers], ENCODED_CORRECTION.value
    ) == published_part(CORRECTION)


def test_unknown_fact_type_is_decoded_but_has_no_fact_class() -> None:
    event = replace(CORRECTION, type="lesion.remeasured", meta={})
    assert decode_message(encode(event)) == event
    with pytest.raises(KeyError):
        event.stated_fact()


malformed_bytes = st.binary(min_size=8, max_size=60).map(lambda text: b"!" + text)
"""Bytes that are neither a header's value nor JSON: none of them begins like this."""
header_names = st.sampled_from([name for name, _ in ENCODED_CORRECTION.headers])


@given(header_names, malformed_bytes, st.sampled_from(["header", "key", "value"]))
def test_refusal_does_not_quote_the_message(name: str, text: bytes, message_part: str) -> None:
    headers = with_header(name, text) if message_part == "header" else ENCODED_CORRECTION.headers
    key, value = (
        text if message_part == "key" else ENCODED_CORRECTION.key,
        text if message_part == "value" else ENCODED_CORRECTION.value,
    )
    reason_code = decode_error_code(key=key, headers=headers, value=value)
    assert reason_code.rpartition("-")[0] in {name, "key-of-another", "value"}
    assert text.decode("latin-1") not in reason_code
