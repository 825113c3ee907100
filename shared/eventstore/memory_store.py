"""The event store in memory, for tests. One contract suite checks it and the PostgreSQL store in the same way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from shared.contracts.event import Event
from shared.eventstore.feed_cursor import EMPTY_SNAPSHOT, FeedCursor, FeedSnapshot
from shared.eventstore.store import (
    AppendRequest,
    IdempotencyKeyConflict,
    IdempotentResult,
    LoadedStream,
    SearchKeyConflict,
    StreamHead,
    StreamVersionConflict,
    StudyVersionConflict,
    UnitOfWork,
)
from shared.kernel.record import Record
from shared.postgres.tenancy import EVERY_SITE, Tenant


@dataclass
class _Contents:
    heads: dict[tuple[str, str], StreamHead] = field(default_factory=dict)
    events: dict[tuple[str, str], tuple[Event, ...]] = field(default_factory=dict)
    idempotent_results: dict[tuple[str, str, str], tuple[str, IdempotentResult]] = field(default_factory=dict)
    data_keys: dict[tuple[str, str], bytes] = field(default_factory=dict)
    opened_studies: dict[str, str] = field(default_factory=dict)
    foreign_facts: dict[tuple[str, str], Record] = field(default_factory=dict)
    recorded_events: dict[int, Event] = field(default_factory=dict)  # in the order of recording

    def copy(self) -> _Contents:
        return _Contents(**{name: dict(mapping) for name, mapping in vars(self).items()})


class MemoryStore:
    """The event store of one service in memory."""

    def __init__(self, service: str) -> None:
        self.service, self._contents, self._lock = service, _Contents(), asyncio.Lock()

    def put_foreign_facts(
        self, study_id: str, stream_id: str, site_id: str | None, version: int, facts: Record
    ) -> None:
        """Sets what enrollment has published about a study (without a site) or a participant up to a version."""
        previous = self._contents.heads.get((study_id, stream_id), StreamHead())
        head = (
            StreamHead(version)
            if stream_id == study_id
            else replace(previous, site_id=site_id, enrollment_version=version)
        )
        self._contents.heads[study_id, stream_id] = head
        self._contents.foreign_facts[study_id, stream_id] = facts

    @asynccontextmanager
    async def unit(self, tenant: Tenant) -> AsyncIterator[UnitOfWork]:
        """Runs units one after the other. Writes are kept only if the block ends without an exception."""
        async with self._lock:
            draft = self._contents.copy()
            yield _MemoryUnitOfWork(draft, tenant)
            self._contents = draft

    @asynccontextmanager
    async def snapshot(self, tenants: Sequence[Tenant]) -> AsyncIterator[AsyncIterable[tuple[Tenant, UnitOfWork]]]:
        yield _units_of(self._contents.copy(), tenants)

    async def append(self, tenant: Tenant, request: AppendRequest) -> None:
        async with self.unit(tenant) as unit:
            await unit.append(request)


async def _units_of(contents: _Contents, tenants: Sequence[Tenant]) -> AsyncIterator[tuple[Tenant, UnitOfWork]]:
    for tenant in tenants:
        yield tenant, _MemoryUnitOfWork(contents, tenant)


def _states(event: Event, type_name: str, content: Mapping[str, Any]) -> bool:
    """Returns whether the event is a fact of the type with these members, or corrects a fact so that it is one."""
    replacement = event.content.get("replacement")
    stated_types = [(event.type, event.content)]
    if isinstance(replacement, Mapping):
        stated_types.append((replacement["type"], replacement["data"]))
    return any(name == type_name and content.items() <= data.items() for name, data in stated_types)


class _MemoryUnitOfWork:
    def __init__(self, contents: _Contents, tenant: Tenant) -> None:
        self._contents, self._study_id, self._site_id = contents, tenant.study_id, tenant.site_id

    def _may_see(self, head: StreamHead) -> bool:
        return head.site_id is None or self._site_id in (EVERY_SITE, head.site_id)

    def _head(self, stream_id: str) -> StreamHead:
        head = self._contents.heads.get((self._study_id, stream_id), StreamHead())
        return head if self._may_see(head) else StreamHead()

    async def load_stream(
        self, stream_id: str, *, key: str | None = None, clear_key: str | None = None, key_site: str = EVERY_SITE
    ) -> LoadedStream:
        head = self._head(stream_id)
        events = self._contents.events.get((self._study_id, stream_id), ()) if head.version else ()
        outcome = self._outcome(stream_id, {key, clear_key} - {None}, head.site_id or key_site)
        foreign_facts = (
            self._contents.foreign_facts.get((self._study_id, stream_id)) if head.enrollment_version else None
        )
        return LoadedStream(
            study_version=self._head(self._study_id).version,
            head=head,
            events=events,
            outcome=outcome,
            foreign_facts=foreign_facts,
        )

    def _outcome(self, stream_id: str, keys: Set[str | None], site: str) -> IdempotentResult | None:
        candidates = [
            (recorded_stream == stream_id, outcome)
            for (study, used_key, key_site), (recorded_stream, outcome) in self._contents.idempotent_results.items()
            if study == self._study_id
            and used_key in keys
            and (recorded_stream == stream_id or key_site == site)
            and (key_site == EVERY_SITE or self._site_id in (EVERY_SITE, key_site))
        ]
        return max(candidates, key=lambda pair: pair[0])[1] if candidates else None

    async def find_opened_study(self, opening_key: str) -> str | None:
        return self._contents.opened_studies.get(opening_key)

    async def data_key(self, stream_id: str) -> bytes | None:
        return self._contents.data_keys.get((self._study_id, stream_id)) if self._head(stream_id).version else None

    async def append(self, request: AppendRequest) -> None:
        stream_id = request.events[0].stream_id
        stream_key = (self._study_id, stream_id)
        if stream_id != self._study_id and self._head(self._study_id).version != (request.study_version or 0):
            raise StudyVersionConflict
        used_keys = {(self._study_id, key, request.key_site) for key in (request.key, request.clear_key) if key}
        if used_keys & self._contents.idempotent_results.keys() or request.opening_key in self._contents.opened_studies:
            raise IdempotencyKeyConflict
        current = self._head(stream_id)
        is_stale = (current.version, current.enrollment_version) != (
            request.expected_version,
            request.head.enrollment_version,
        )
        if is_stale or (not current.exists and stream_key in self._contents.heads):
            raise StreamVersionConflict
        head = request.head
        if head.search_key and self._is_search_key_taken(stream_id, head):
            if not request.drops_search_key_if_taken:
                raise SearchKeyConflict
            head = replace(head, search_key=None)
        self._contents.heads[stream_key] = head
        if request.opening_key:
            self._contents.opened_studies[request.opening_key] = self._study_id
        self._contents.recorded_events |= dict(enumerate(request.events, len(self._contents.recorded_events) + 1))
        self._contents.events[stream_key] = (*self._contents.events.get(stream_key, ()), *request.events)
        if request.data_key:
            self._contents.data_keys[stream_key] = request.data_key
        if request.key and request.outcome:
            self._contents.idempotent_results[self._study_id, request.key, request.key_site] = (
                stream_id,
                request.outcome,
            )

    def _is_search_key_taken(self, stream_id: str, head: StreamHead) -> bool:
        return any(
            other_stream_id != stream_id
            and (study, other_head.site_id, other_head.search_key) == (self._study_id, head.site_id, head.search_key)
            for (study, other_stream_id), other_head in self._contents.heads.items()
        )

    async def list_streams(
        self, *, site: str | None, status: str | None, search_key: bytes | None, after: str, limit: int
    ) -> list[tuple[str, StreamHead]]:
        matches = [
            (stream_id, replace(head, search_key=None))
            for (study, stream_id), head in sorted(self._contents.heads.items())
            if study == self._study_id
            and after < stream_id != study
            and self._may_see(head)
            and site in (None, head.site_id)
            and status in (None, head.summary.get("status"))
            and search_key in (None, head.search_key)
        ]
        return matches[:limit]

    async def list_events(self, *, sites: Sequence[str], after: tuple[str, int], limit: int) -> list[Event]:
        matches = [
            event
            for (study, stream_id), events in sorted(self._contents.events.items())
            for event in events
            if study == self._study_id != stream_id
            and (stream_id, event.version) > after
            and event.site_id in sites
            and self._may_see(self._contents.heads[study, stream_id])
        ]
        return matches[:limit]

    async def list_member_events(self, member: str, day: date, *, of_study: bool, limit: int) -> list[Event]:
        matches = [
            event
            for _, event in sorted(self._contents.recorded_events.items(), reverse=True)
            if event.study_id == self._study_id
            and (event.stream_id == event.study_id) == of_study
            and (event.meta.get("recorded_by"), event.recorded_on) == (member, day)
            and (of_study or self._may_see(self._contents.heads[event.study_id, event.stream_id]))
        ]
        return matches[:limit]

    async def list_streams_stating(
        self, type_name: str, content: Mapping[str, Any], *, site: str, limit: int
    ) -> list[str]:
        matches = [
            stream_id
            for (study, stream_id), events in sorted(self._contents.events.items())
            if study == self._study_id != stream_id
            and (head := self._contents.heads[study, stream_id]).site_id == site
            and self._may_see(head)
            and any(_states(event, type_name, content) for event in events)
        ]
        return matches[:limit]

    def _may_read(self, event: Event) -> bool:
        """Returns whether the tenant may read the event: a site reads what it stated, after a transfer too."""
        return event.site_id == self._site_id or self._may_see(self._contents.heads[event.study_id, event.stream_id])

    async def current_snapshot(self, previous: str) -> FeedSnapshot:
        return FeedSnapshot(str(len(self._contents.recorded_events)), "memory", follows_previous=True)

    async def list_recorded_events(
        self, cursor: FeedCursor, *, sites: Sequence[str] | None, limit: int
    ) -> list[tuple[int, Event]]:
        after_seq = max(cursor.last_seq, 0 if cursor.read_until == EMPTY_SNAPSHOT else int(cursor.read_until))
        matches = [
            (seq, event)
            for seq, event in self._contents.recorded_events.items()
            if after_seq < seq <= int(cursor.backlog_until)
            and event.study_id == self._study_id != event.stream_id
            and (sites is None or event.site_id in sites)
            and self._may_read(event)
        ]
        return matches[:limit]
