"""The store's twin in memory, for tests of what is above it; the contract suite holds it to the real one."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Sequence, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from shared.contracts.event import Event
from shared.eventstore.feed_cursor import NOTHING, FeedCursor, Snapshot
from shared.eventstore.store import (
    Append,
    Head,
    KeyTaken,
    Outcome,
    Recalled,
    SearchKeyTaken,
    StreamMoved,
    StudyMoved,
    Unit,
)
from shared.kernel.record import Record
from shared.security.grants import EVERY_SITE
from shared.security.tenancy import Tenant


@dataclass
class _Contents:
    heads: dict[tuple[str, str], Head] = field(default_factory=dict)
    events: dict[tuple[str, str], tuple[Event, ...]] = field(default_factory=dict)
    outcomes: dict[tuple[str, str, str], tuple[str, Outcome]] = field(default_factory=dict)
    data_keys: dict[tuple[str, str], bytes] = field(default_factory=dict)
    elsewhere: dict[tuple[str, str], Record] = field(default_factory=dict)
    log: dict[int, Event] = field(default_factory=dict)  # in the order of recording


class MemoryStore:
    def __init__(self, service: str) -> None:
        self.service, self._contents, self._lock = service, _Contents(), asyncio.Lock()

    def know(self, study_id: str, stream_id: str, site_id: str | None, version: int, facts: Record) -> None:
        """What another service has published of a study (no site) or a participant, up to that version of theirs."""
        before = self._contents.heads.get((study_id, stream_id), Head())
        known = Head(version) if stream_id == study_id else replace(before, site_id=site_id, known=version)
        self._contents.heads[study_id, stream_id] = known
        self._contents.elsewhere[study_id, stream_id] = facts

    @asynccontextmanager
    async def unit(self, tenant: Tenant) -> AsyncIterator[Unit]:
        """Units run one after the other; what one wrote is kept only when it ends well."""
        async with self._lock:
            draft = copy.copy(self._contents)
            for name, kept in vars(self._contents).items():
                setattr(draft, name, dict(kept))
            yield _MemoryUnit(draft, tenant)
            self._contents = draft

    async def append(self, tenant: Tenant, proposal: Append) -> None:
        async with self.unit(tenant) as unit:
            await unit.append(proposal)


class _MemoryUnit:
    def __init__(self, contents: _Contents, tenant: Tenant) -> None:
        self._in, self._study, self._site = contents, tenant.study_id, tenant.site_id

    def _sees(self, head: Head) -> bool:
        return head.site_id is None or self._site in (EVERY_SITE, head.site_id)

    def _head(self, stream_id: str) -> Head:
        head = self._in.heads.get((self._study, stream_id), Head())
        return head if self._sees(head) else Head()

    async def recall(
        self, stream_id: str, *, key: str | None = None, clear_key: str | None = None, key_site: str = EVERY_SITE
    ) -> Recalled:
        head = self._head(stream_id)
        events = self._in.events.get((self._study, stream_id), ()) if head.version else ()
        outcome = self._outcome(stream_id, {key, clear_key} - {None}, head.site_id or key_site)
        elsewhere = self._in.elsewhere.get((self._study, stream_id)) if head.known else None
        return Recalled(self._head(self._study).version, head, events, outcome, elsewhere)

    def _outcome(self, stream_id: str, keys: Set[str | None], site: str) -> Outcome | None:
        seen = [
            (of_stream == stream_id, outcome)
            for (study, used, of_site), (of_stream, outcome) in self._in.outcomes.items()
            if study == self._study and used in keys and (of_stream == stream_id or of_site == site)
            and (of_site == EVERY_SITE or self._site in (EVERY_SITE, of_site))
        ]  # fmt: skip
        return max(seen, key=lambda pair: pair[0])[1] if seen else None

    async def data_key(self, stream_id: str) -> bytes | None:
        return self._in.data_keys.get((self._study, stream_id)) if self._head(stream_id).version else None

    async def append(self, proposal: Append) -> None:
        stream_id = proposal.events[0].stream_id
        place = (self._study, stream_id)
        if stream_id != self._study and self._head(self._study).version != (proposal.study_version or 0):
            raise StudyMoved
        used = {(self._study, key, proposal.key_site) for key in (proposal.key, proposal.clear_key) if key}
        if used & self._in.outcomes.keys():
            raise KeyTaken
        seen = self._head(stream_id)
        moved = (seen.version, seen.known) != (proposal.expected, proposal.head.known)
        if moved or (not seen.is_there and place in self._in.heads):
            raise StreamMoved
        head = proposal.head
        if head.search_key and self._taken(stream_id, head):
            if not proposal.yields:
                raise SearchKeyTaken
            head = replace(head, search_key=None)
        self._in.heads[place] = head
        self._in.log |= dict(enumerate(proposal.events, len(self._in.log) + 1))
        self._in.events[place] = (*self._in.events.get(place, ()), *proposal.events)
        if proposal.data_key:
            self._in.data_keys[place] = proposal.data_key
        if proposal.key and proposal.outcome:
            self._in.outcomes[self._study, proposal.key, proposal.key_site] = (stream_id, proposal.outcome)

    def _taken(self, stream_id: str, head: Head) -> bool:
        return any(
            other != stream_id
            and (study, known.site_id, known.search_key) == (self._study, head.site_id, head.search_key)
            for (study, other), known in self._in.heads.items()
        )

    async def listing(
        self, *, site: str | None, status: str | None, search_key: bytes | None, after: str, limit: int
    ) -> list[tuple[str, Head]]:
        found = [
            (stream_id, replace(head, search_key=None))
            for (study, stream_id), head in sorted(self._in.heads.items())
            if study == self._study and after < stream_id != study and self._sees(head)
            and site in (None, head.site_id) and status in (None, head.summary.get("status"))
            and search_key in (None, head.search_key)
        ]  # fmt: skip
        return found[:limit]

    async def feed(self, *, sites: Sequence[str], after: tuple[str, int], limit: int) -> list[Event]:
        found = [
            event
            for (study, stream_id), events in sorted(self._in.events.items())
            for event in events
            if study == self._study != stream_id and (stream_id, event.version) > after and event.site_id in sites
            and self._sees(self._in.heads[study, stream_id])
        ]  # fmt: skip
        return found[:limit]

    def _reads(self, event: Event) -> bool:
        """What a site stated it reads, after a transfer too."""
        return event.site_id == self._site or self._sees(self._in.heads[event.study_id, event.stream_id])

    async def snapshot(self, before: str) -> Snapshot:
        return Snapshot(str(len(self._in.log)), "memory", follows=True)

    async def recorded(self, cursor: FeedCursor, *, sites: Sequence[str] | None, limit: int) -> list[tuple[int, Event]]:
        first = max(cursor.last_seq, 0 if cursor.done == NOTHING else int(cursor.done))
        found = [
            (seq, event)
            for seq, event in self._in.log.items()
            if first < seq <= int(cursor.upto) and event.study_id == self._study != event.stream_id
            and (sites is None or event.site_id in sites) and self._reads(event)
        ]  # fmt: skip
        return found[:limit]
