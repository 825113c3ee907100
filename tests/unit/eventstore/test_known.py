from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

from shared.contracts.event import Event
from shared.eventstore.known import Known, Memory, last_word, last_words
from shared.eventstore.store import Head, Recalled
from shared.kernel.record import Judged, Record
from shared.testing.facts import ON_STUDY
from shared.testing.spec import history

ON_STUDY_AT = datetime(2026, 3, 1, tzinfo=UTC)


def known(elsewhere: Record | None = None) -> Known:
    return Known(Recalled(1, Head(known=3), (), elsewhere=elsewhere), Judged((), Record(), ()))


def test_facts_known_from_elsewhere_count_against_the_bound_of_what_is_remembered() -> None:
    memory, registered = Memory(most_events=2 * len(ON_STUDY)), Record(tuple(history(ON_STUDY)))
    for number in ("A", "B", "C"):
        memory.remember("s", number, known(registered))
    assert [memory.recall("s", number) is not None for number in ("A", "B", "C")] == [False, True, True]
    memory.forget("s", "B")
    memory.remember("s", "D", known(registered))
    assert memory.recall("s", "C")


def recorded(version: int, data: dict[str, object], corrects: str = "") -> Event:
    meta = {"corrects": {"type": corrects}} if corrects else {}
    kind = "record.corrected" if corrects else "procedure.performed"
    return Event(
        "s", "enrollment", "P", version, UUID(int=version), kind, 1, "rome", json.dumps(data), ON_STUDY_AT, meta
    )


def correction(version: int, of: int, *, restates: bool = True) -> Event:
    replacement = {"type": "procedure.performed", "data": {}} if restates else None
    return recorded(version, {"event_id": str(UUID(int=of)), "replacement": replacement}, "procedure.performed")


def test_the_last_word_on_a_fact_is_the_last_correction_that_restates_it() -> None:
    events = [recorded(1, {}), recorded(2, {}), correction(3, 1), correction(4, 1), correction(5, 2, restates=False)]
    said = {number: last_word(events, str(UUID(int=number))) for number in (1, 2, 5, 6)}
    assert said == {1: (events[3], "/replacement/data"), 2: (events[1], ""), 5: (events[4], ""), 6: None}


def test_a_long_record_is_read_once_for_the_last_words_on_all_its_facts() -> None:
    """A participant with 3,000 facts was read 3,000 times: eleven seconds in which nobody else was answered."""
    read: list[int] = []

    def events() -> Iterator[Event]:
        for version in range(1, 101):
            read.append(version)
            yield correction(version, 1) if version > 50 else recorded(version, {})

    words = last_words(events())
    assert (len(words), read) == (100, list(range(1, 101)))
    assert words[str(UUID(int=1))][0].version == 100
