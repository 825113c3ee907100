"""A cache of the streams used last, with their evaluated records, so that the next fact of one needs no query.

A cached stream may be out of date. So it refuses nothing, and an append that was decided on it succeeds only if the
store has the stream in the same version. At worst the cache costs one attempt.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

from shared.contracts.event import Event, stated_facts
from shared.eventstore.store import AppendRequest, LoadedStream
from shared.kernel.record import EvaluatedRecord, Rules

CACHE_SIZE_EVENTS = 40_000
"""Events and foreign facts of all cached streams together, about 2.5 kB each."""


@dataclass(frozen=True, slots=True)
class CachedStream:
    """A loaded stream with its evaluated record.

    `data_key` is the stream's wrapped key, if it was needed before. `stating_sites` are the sites of its events.
    """

    stream: LoadedStream
    evaluated: EvaluatedRecord
    data_key: bytes | None = None
    stating_sites: frozenset[str | None] = frozenset()

    @classmethod
    def from_stream(cls, stream: LoadedStream, rules: Rules) -> CachedStream:
        stating_sites = frozenset(event.site_id for event in stream.events)
        return cls(stream, EvaluatedRecord.evaluate(stated_facts(stream.events), rules), stating_sites=stating_sites)

    @property
    def event_count(self) -> int:
        """The number of events and foreign facts, which take about the same memory."""
        foreign_facts = self.stream.foreign_facts
        return len(self.stream.events) + (len(foreign_facts.stated_facts) if foreign_facts else 0)

    def with_append(
        self, append_request: AppendRequest, evaluated: EvaluatedRecord, data_key: bytes | None
    ) -> CachedStream:
        """Returns the stream after an append, with facts in their stored form, without sealed texts."""
        previous = self.stream
        events = (*previous.events, *append_request.events)
        stream = LoadedStream(
            study_version=previous.study_version,
            head=append_request.head,
            events=events,
            foreign_facts=previous.foreign_facts,
        )
        if any(event.sealed for event in append_request.events):
            evaluated = evaluated.with_stored(stated_facts(append_request.events))
        stating_sites = self.stating_sites.union(event.site_id for event in append_request.events)
        return CachedStream(stream, evaluated, data_key, stating_sites)

    def for_study_version(self, study_version: int) -> CachedStream:
        """Returns the same stream, to be decided against `study_version`."""
        if self.stream.study_version == study_version:
            return self
        return replace(self, stream=replace(self.stream, study_version=study_version))


class StreamCache:
    """The most recently used streams, within a limit on the number of their events."""

    def __init__(self, cache_size: int = CACHE_SIZE_EVENTS) -> None:
        self._cache_size, self._event_count = cache_size, 0
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self._streams: OrderedDict[tuple[str, str], CachedStream] = OrderedDict()

    def lock(self, study_id: str, stream_id: str | None) -> AbstractAsyncContextManager[object]:
        """Returns the lock of a stream: concurrent commands for one stream would only conflict."""
        if stream_id is None:
            return nullcontext()
        lock = self._locks.get((study_id, stream_id)) or asyncio.Lock()
        self._locks[study_id, stream_id] = lock
        return lock

    def get(self, study_id: str, stream_id: str | None) -> CachedStream | None:
        return self._streams.get((study_id, stream_id)) if stream_id else None

    def put(self, study_id: str, stream_id: str, stream: CachedStream) -> None:
        self.remove(study_id, stream_id)
        self._streams[study_id, stream_id] = stream
        self._event_count += stream.event_count
        while self._event_count > self._cache_size:
            self._event_count -= self._streams.popitem(last=False)[1].event_count

    def remove(self, study_id: str, stream_id: str | None) -> None:
        if stream_id and (stream := self._streams.pop((study_id, stream_id), None)):
            self._event_count -= stream.event_count


ContentSource = tuple[Event, str]
"""The event that has the current content of a fact, and the JSON pointer of the content within it."""


def latest_content_source(events: Sequence[Event], event_id: str) -> ContentSource | None:
    """Returns the source of one fact's content; None if the events do not have the fact."""
    return latest_content_sources(events).get(event_id)


def latest_content_sources(events: Iterable[Event]) -> dict[str, ContentSource]:
    """Returns the source of every fact's content by the fact's event id. Each event is read once."""
    sources: dict[str, ContentSource] = {}
    for event in events:
        sources[str(event.event_id)] = event, ""
        if event.meta.get("corrects") and (correction := event.content)["replacement"]:
            sources[correction["event_id"]] = event, "/replacement/data"
    return sources
