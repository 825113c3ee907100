from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

from shared.contracts.event import Event
from shared.eventstore.store import LoadedStream, StreamHead
from shared.eventstore.stream_cache import CachedStream, StreamCache, latest_content_source, latest_content_sources
from shared.kernel.record import EvaluatedRecord, Record
from shared.testing.builders.facts import ENROLLMENT_FACTS
from shared.testing.spec import numbered_facts

RECORDED_AT = datetime(2026, 3, 1, tzinfo=UTC)


def cached_stream(elsewhere: Record | None = None) -> CachedStream:
    return CachedStream(
        LoadedStream(1, StreamHead(enrollment_version=3), (), foreign_facts=elsewhere),
        EvaluatedRecord((), Record()),
    )


def test_foreign_facts_count_against_the_size_of_the_stream_cache() -> None:
    cache, registered = (
        StreamCache(cache_size=2 * len(ENROLLMENT_FACTS)),
        Record(tuple(numbered_facts(ENROLLMENT_FACTS))),
    )
    for participant_id in ("A", "B", "C"):
        cache.put("s", participant_id, cached_stream(registered))
    assert [cache.get("s", participant_id) is not None for participant_id in ("A", "B", "C")] == [False, True, True]
    cache.remove("s", "B")
    cache.put("s", "D", cached_stream(registered))
    assert cache.get("s", "C")


def procedure_event(version: int, data: dict[str, object], corrects: str = "") -> Event:
    meta = {"corrects": {"type": corrects}} if corrects else {}
    kind = "record.corrected" if corrects else "procedure.performed"
    return Event(
        "s", "enrollment", "P", version, UUID(int=version), kind, 1, "rome", json.dumps(data), RECORDED_AT, meta
    )


def correction_event(version: int, corrected_version: int, *, restates: bool = True) -> Event:
    replacement = {"type": "procedure.performed", "data": {}} if restates else None
    return procedure_event(
        version, {"event_id": str(UUID(int=corrected_version)), "replacement": replacement}, "procedure.performed"
    )


def test_latest_content_event_is_the_last_restating_correction() -> None:
    events = [
        procedure_event(1, {}),
        procedure_event(2, {}),
        correction_event(3, 1),
        correction_event(4, 1),
        correction_event(5, 2, restates=False),
    ]
    latest_by_number = {number: latest_content_source(events, str(UUID(int=number))) for number in (1, 2, 5, 6)}
    assert latest_by_number == {1: (events[3], "/replacement/data"), 2: (events[1], ""), 5: (events[4], ""), 6: None}


def test_latest_content_events_are_found_in_one_pass() -> None:
    """A participant with 3,000 facts was once read 3,000 times: no other caller had a response for eleven seconds."""
    read: list[int] = []

    def events() -> Iterator[Event]:
        for version in range(1, 101):
            read.append(version)
            yield correction_event(version, 1) if version > 50 else procedure_event(version, {})

    words = latest_content_sources(events())
    assert (len(words), read) == (100, list(range(1, 101)))
    assert words[str(UUID(int=1))][0].version == 100
