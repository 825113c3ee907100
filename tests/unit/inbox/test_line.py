from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.cloudevents import encode
from shared.inbox.line import MISSING, Arrival, Line, Received, Unreadable, read
from tests.integration.stated import Telling, as_received, enrolled, lesion, participant, screened

STORY = participant("line", *(lesion(f"L{n}") for n in range(6)))
ARRIVALS = [read(as_received(event, place)) for place, event in enumerate(STORY.events)]
KEY = ARRIVALS[0].key


def line(version: int = 0) -> Line:
    return Line("line", KEY, version)


def versions(arrivals: list[Arrival]) -> list[int]:
    return [arrival.version for arrival in arrivals]


def taken(which: Line, arrivals: list[Arrival]) -> list[int]:
    return versions([applied for arrival in arrivals for applied in which.take(arrival)])


def poison(version: int) -> Arrival:
    return replace(ARRIVALS[version - 1], event=None, reason="not-of-its-schema")


def with_header(received: Received, name: str, *values: bytes) -> Received:
    kept = tuple((header, value) for header, value in received.headers if header != name)
    return replace(received, headers=(*kept, *((name, value) for value in values)))


@given(st.permutations(ARRIVALS), st.lists(st.sampled_from(ARRIVALS)))
def test_whatever_the_order_and_however_often_each_version_is_applied_once_in_order(
    order: list[Arrival], again: list[Arrival]
) -> None:
    stream = line()
    assert taken(stream, [*order, *again]) == list(range(1, len(ARRIVALS) + 1))
    assert (stream.parked, stream.waiting) == (None, {})


def test_what_is_known_is_dropped() -> None:
    stream = line(3)
    assert taken(stream, ARRIVALS[:3]) == []
    assert not stream.moved


def test_behind_a_missing_version_everything_waits() -> None:
    stream = line(2)
    assert taken(stream, ARRIVALS[3:6]) == []
    assert stream.parked == MISSING
    assert taken(stream, [ARRIVALS[2]]) == [3, 4, 5, 6]
    assert stream.parked is None


def test_behind_poison_everything_waits_until_a_better_message_of_that_version_comes() -> None:
    stream = line()
    assert taken(stream, [ARRIVALS[0], poison(2), ARRIVALS[2]]) == [1]
    assert stream.parked == "not-of-its-schema"
    assert taken(stream, [ARRIVALS[1]]) == [2, 3]


def test_a_parked_stream_remembers_why_while_more_comes_in() -> None:
    stream = Line("line", KEY, 1, parked="not-of-its-schema")
    assert taken(stream, [ARRIVALS[4]]) == []
    assert stream.parked == "not-of-its-schema"


def test_past_the_poison_a_gap_is_called_a_gap() -> None:
    stream = Line("line", KEY, 1, parked="not-of-its-schema")
    stream.stood([poison(2), ARRIVALS[4]])
    assert taken(stream, [ARRIVALS[1]]) == [2]
    assert stream.parked == MISSING


def test_what_the_effect_refused_waits_again_with_all_that_came_after_it() -> None:
    stream = line()
    ready = [applied for arrival in ARRIVALS[:4] for applied in stream.take(arrival)]
    stream.give_back(ready[2:], "no-such-event")
    assert (stream.version, stream.parked) == (2, "no-such-event")
    assert sorted(stream.waiting) == [3, 4]
    assert versions(stream.unstored()) == [3, 4]


def test_only_what_is_new_is_written_to_the_waiting_room() -> None:
    stream = Line("line", KEY, 0, parked=MISSING)
    stream.stood([ARRIVALS[2]])
    assert taken(stream, [ARRIVALS[4], ARRIVALS[0]]) == [1]
    assert versions(stream.unstored()) == [5]


def test_a_message_is_read_with_its_stream_and_version() -> None:
    arrival = read(as_received(STORY.events[1]))
    assert arrival.event == STORY.events[1]
    assert (arrival.key, arrival.version) == ((STORY.source, STORY.stream_id), 2)


def test_content_that_is_not_of_its_schema_is_poison_in_its_line() -> None:
    arrival = read(replace(as_received(STORY.events[1]), value=b'{"enrolled_on": "01.02.2024"}'))
    assert (arrival.event, arrival.reason, arrival.version) == (None, "not-of-its-schema", 2)


def test_a_type_that_is_not_known_yet_is_poison_in_its_line() -> None:
    event = replace(STORY.events[1], type="participant.cloned")
    assert read(as_received(event)).reason == "type-unknown"


def test_a_header_that_does_not_matter_for_the_stream_leaves_it_told() -> None:
    arrival = read(with_header(as_received(STORY.events[0]), "ce_time", b"yesterday"))
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
def test_without_a_stream_to_be_told_a_message_is_nobodys(name: str, values: tuple[bytes, ...]) -> None:
    with pytest.raises(Unreadable):
        read(with_header(as_received(STORY.events[0]), name, *values))


def test_a_service_does_not_speak_in_anothers_topic() -> None:
    with pytest.raises(Unreadable, match="topic-of-another-service"):
        read(replace(as_received(STORY.events[0]), topic="quartal.toxicity.v1"))


def test_no_reason_quotes_the_message() -> None:
    private = b'{"enrolled_on": "Erika Mustermann"}'
    assert "Erika" not in repr(read(replace(as_received(STORY.events[1]), value=private)).reason)


@given(
    st.binary(max_size=60),
    st.lists(st.tuples(st.sampled_from([name for name, _ in encode(STORY.events[0]).headers]), st.binary(max_size=40))),
)
def test_no_message_whatever_breaks_the_reading(value: bytes, headers: list[tuple[str, bytes]]) -> None:
    with suppress(Unreadable):
        arrival = read(Received("quartal.enrollment.v1", 0, 0, b"key", tuple(headers), value))
        assert arrival.event is None
        assert arrival.reason


def test_two_streams_of_one_subject_are_two_lines() -> None:
    other = Telling("other", STORY.stream_id)
    other.tell(screened(), enrolled())
    assert read(as_received(other.events[0])).key != KEY
