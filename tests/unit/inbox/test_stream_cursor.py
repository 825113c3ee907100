from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.cloudevents import encode
from shared.inbox.stream_cursor import (
    VERSION_MISSING,
    InboundEvent,
    KafkaMessage,
    StreamCursor,
    UnaddressableMessage,
    parse_message,
)
from shared.testing.builders.events import EventStream
from shared.testing.builders.facts import lesion_registered, participant_enrolled, participant_screened
from shared.testing.builders.messages import as_message
from shared.testing.builders.participant_history import participant_stream

HISTORY = participant_stream("line", *(lesion_registered(f"L{n}") for n in range(6)))
ARRIVALS = [parse_message(as_message(event, offset)) for offset, event in enumerate(HISTORY.events)]
KEY = ARRIVALS[0].key


def make_cursor(version: int = 0) -> StreamCursor:
    return StreamCursor("line", KEY, version)


def versions(arrivals: list[InboundEvent]) -> list[int]:
    return [arrival.version for arrival in arrivals]


def applied_versions(cursor: StreamCursor, arrivals: list[InboundEvent]) -> list[int]:
    return versions([applied for arrival in arrivals for applied in cursor.accept(arrival)])


def poison(version: int) -> InboundEvent:
    return replace(ARRIVALS[version - 1], event=None, reason="not-of-its-schema")


def with_header(message: KafkaMessage, name: str, *values: bytes) -> KafkaMessage:
    other_headers = tuple((header, value) for header, value in message.headers if header != name)
    return replace(message, headers=(*other_headers, *((name, value) for value in values)))


@given(st.permutations(ARRIVALS), st.lists(st.sampled_from(ARRIVALS)))
def test_each_version_is_applied_once_in_order_despite_reordering(
    order: list[InboundEvent], again: list[InboundEvent]
) -> None:
    cursor = make_cursor()
    assert applied_versions(cursor, [*order, *again]) == list(range(1, len(ARRIVALS) + 1))
    assert (cursor.parked_reason, cursor.waiting) == (None, {})


def test_already_applied_versions_are_dropped() -> None:
    cursor = make_cursor(3)
    assert applied_versions(cursor, ARRIVALS[:3]) == []
    assert not cursor.changed


def test_later_versions_wait_for_a_missing_one() -> None:
    cursor = make_cursor(2)
    assert applied_versions(cursor, ARRIVALS[3:6]) == []
    assert cursor.parked_reason == VERSION_MISSING
    assert applied_versions(cursor, [ARRIVALS[2]]) == [3, 4, 5, 6]
    assert cursor.parked_reason is None


def test_later_versions_wait_behind_poison_until_it_is_replaced() -> None:
    cursor = make_cursor()
    assert applied_versions(cursor, [ARRIVALS[0], poison(2), ARRIVALS[2]]) == [1]
    assert cursor.parked_reason == "not-of-its-schema"
    assert applied_versions(cursor, [ARRIVALS[1]]) == [2, 3]


def test_parked_stream_keeps_its_reason_while_messages_arrive() -> None:
    cursor = StreamCursor("line", KEY, 1, parked_reason="not-of-its-schema")
    assert applied_versions(cursor, [ARRIVALS[4]]) == []
    assert cursor.parked_reason == "not-of-its-schema"


def test_gap_behind_resolved_poison_is_reported_as_missing() -> None:
    cursor = StreamCursor("line", KEY, 1, parked_reason="not-of-its-schema")
    cursor.load_waiting([poison(2), ARRIVALS[4]])
    assert applied_versions(cursor, [ARRIVALS[1]]) == [2]
    assert cursor.parked_reason == VERSION_MISSING


def test_rejected_event_and_its_successors_wait_again() -> None:
    cursor = make_cursor()
    ready = [applied for arrival in ARRIVALS[:4] for applied in cursor.accept(arrival)]
    cursor.reject(ready[2:], "no-such-event")
    assert (cursor.version, cursor.parked_reason) == (2, "no-such-event")
    assert sorted(cursor.waiting) == [3, 4]
    assert versions(cursor.list_unpersisted()) == [3, 4]


def test_only_new_waiting_events_are_stored() -> None:
    cursor = StreamCursor("line", KEY, 0, parked_reason=VERSION_MISSING)
    cursor.load_waiting([ARRIVALS[2]])
    assert applied_versions(cursor, [ARRIVALS[4], ARRIVALS[0]]) == [1]
    assert versions(cursor.list_unpersisted()) == [5]


def test_message_is_read_with_stream_and_version() -> None:
    arrival = parse_message(as_message(HISTORY.events[1]))
    assert arrival.event == HISTORY.events[1]
    assert (arrival.key, arrival.version) == ((HISTORY.source, HISTORY.stream_id), 2)


def test_invalid_content_is_poison_in_its_stream() -> None:
    arrival = parse_message(replace(as_message(HISTORY.events[1]), value=b'{"enrolled_on": "01.02.2024"}'))
    assert (arrival.event, arrival.reason, arrival.version) == (None, "not-of-its-schema", 2)


def test_unknown_type_is_poison_in_its_stream() -> None:
    event = replace(HISTORY.events[1], type="participant.cloned")
    assert parse_message(as_message(event)).reason == "type-unknown"


def test_malformed_secondary_header_keeps_the_stream_identifiable() -> None:
    arrival = parse_message(with_header(as_message(HISTORY.events[0]), "ce_time", b"yesterday"))
    assert (arrival.event, arrival.reason, arrival.key) == (None, "ce_time-malformed", KEY)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("ce_source", ()),
        ("ce_source", (b"/studies/line/enrollment", b"/studies/line/enrollment")),
        ("ce_source", (b"/studies/line/enrollment/x",)),
        ("ce_source", (b"/studies/line/toxicity",)),
        ("ce_subject", (b"",)),
        ("ce_subject", (b"'; drop table fact; --",)),
        ("ce_streamversion", (b"0",)),
        ("ce_streamversion", (b"99999999999999999999",)),
        ("ce_streamversion", (b"\xff\xfe",)),
    ],
)
def test_message_without_an_identifiable_stream_is_unaddressable(name: str, values: tuple[bytes, ...]) -> None:
    with pytest.raises(UnaddressableMessage):
        parse_message(with_header(as_message(HISTORY.events[0]), name, *values))


def test_message_in_another_services_topic_is_unaddressable() -> None:
    with pytest.raises(UnaddressableMessage, match="topic-of-another-service"):
        parse_message(replace(as_message(HISTORY.events[0]), topic="quartal.toxicity.v1"))


def test_parking_reason_does_not_quote_the_message() -> None:
    private = b'{"enrolled_on": "Erika Mustermann"}'
    assert "Erika" not in repr(parse_message(replace(as_message(HISTORY.events[1]), value=private)).reason)


@given(
    st.binary(max_size=60),
    st.lists(
        st.tuples(st.sampled_from([name for name, _ in encode(HISTORY.events[0]).headers]), st.binary(max_size=40))
    ),
)
def test_any_message_is_read_without_unexpected_errors(value: bytes, headers: list[tuple[str, bytes]]) -> None:
    with suppress(UnaddressableMessage):
        arrival = parse_message(KafkaMessage("quartal.enrollment.v1", 0, 0, b"key", tuple(headers), value))
        assert arrival.event is None
        assert arrival.reason


def test_same_subject_in_two_studies_has_two_streams() -> None:
    other = EventStream("other", HISTORY.stream_id)
    other.record(participant_screened(), participant_enrolled())
    assert parse_message(as_message(other.events[0])).key != KEY
