"""The event store: what is recorded stays, once, in order, together with its outbox row and its idempotency key.

A `Unit` is one transaction for one tenant. `recall` reads a stream with what the command path needs besides it;
`append` writes all or nothing, or says why not:

Moved
├── StreamMoved      someone else appended to the stream since it was recalled
├── StudyMoved       the study's own facts are not those that the decision was made by
└── KeyTaken         the same idempotency key was used at the same moment; its outcome can be recalled now
SearchKeyTaken       the site has another participant under that reference
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import asyncpg
from pydantic_core import to_json

from shared.contracts.event import Event
from shared.eventstore.feed_cursor import NOTHING, FeedCursor, Snapshot
from shared.eventstore.sql import queries
from shared.eventstore.together import Together
from shared.kernel.record import Record
from shared.kernel.refusal import NotConfirmed
from shared.security.tenancy import Tenant, transaction

SQL = queries(Path(__file__).with_name("queries.sql"))


class Moved(Exception):
    """Decide again on what is there now."""


class StreamMoved(Moved):
    pass


class StudyMoved(Moved):
    pass


class KeyTaken(Moved):
    pass


class SearchKeyTaken(Exception):
    pass


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was answered to the first request under a key, and the fingerprint of that request."""

    fingerprint: bytes
    answer: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Head:
    """A stream as a whole: its version (0: nothing stated here yet), its present site, its view.

    `known`: the version up to which this service knows, from the one that registers them, whom the stream is about.
    """

    version: int = 0
    site_id: str | None = None
    search_key: bytes | None = None
    summary: Mapping[str, Any] = field(default_factory=dict)
    known: int = 0

    @property
    def is_there(self) -> bool:
        """False: there is no such stream, or it is not this tenant's to see."""
        return self.version + self.known > 0


@dataclass(frozen=True, slots=True)
class Recalled:
    """`elsewhere`: what stands of the participant in the service that registers them, at least up to `head.known`.

    `others`: what stands of other participants whom a statement names, as far as the tenant sees them.
    """

    study_version: int
    head: Head
    events: tuple[Event, ...]
    outcome: Outcome | None = None
    elsewhere: Record | None = None
    others: Mapping[str, Record] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Append:
    """Events for versions `expected + 1 …` of one stream, and the stream's head after them.

    `study_version`: that of the study's stream by which was decided; None when the stream is the study's own.
    `key` is the idempotency key as it is stored, `clear_key` as it was stored before keys were hashed.
    `yields`: where the search key is another stream's, this one has none, and nobody is told.
    """

    expected: int
    study_version: int | None
    head: Head
    events: Sequence[Event]
    data_key: bytes | None = None
    key: str | None = None
    clear_key: str | None = None
    key_site: str = "*"
    outcome: Outcome | None = None
    yields: bool = False


class Unit(Protocol):
    async def recall(
        self, stream_id: str, *, key: str | None = None, clear_key: str | None = None, key_site: str = "*"
    ) -> Recalled: ...
    async def data_key(self, stream_id: str) -> bytes | None: ...
    async def append(self, proposal: Append) -> None: ...
    async def listing(
        self, *, site: str | None, status: str | None, search_key: bytes | None, after: str, limit: int
    ) -> list[tuple[str, Head]]: ...
    async def feed(self, *, sites: Sequence[str], after: tuple[str, int], limit: int) -> list[Event]: ...
    async def snapshot(self, before: str) -> Snapshot:
        """What is visible now; `before` is a snapshot that it should come after."""
        ...

    async def recorded(self, cursor: FeedCursor, *, sites: Sequence[str] | None, limit: int) -> list[tuple[int, Event]]:
        """Events of participants in the cursor's backlog, behind its place there, in the order of recording."""
        ...


class Store(Protocol):
    service: str

    def unit(self, tenant: Tenant) -> AbstractAsyncContextManager[Unit]:
        """One transaction: kept if the block ends well, undone if an exception leaves it."""
        ...

    async def append(self, tenant: Tenant, proposal: Append) -> None:
        """The same as a unit's append and nothing else. What others append at the same time may share its commit."""
        ...


Elsewhere = Callable[["asyncpg.Connection[Any]", str, str], Awaitable[Record]]
"""Of a connection, a study and a participant: what stands of them in the service that registers participants."""


class PostgresStore:
    """The store on PostgreSQL, under row-level security; `shards` spreads the outbox over that many relay cursors.

    `elsewhere` is given where participants are registered by another service.
    """

    def __init__(
        self, service: str, pool: asyncpg.Pool[Any], *, shards: int = 1, elsewhere: Elsewhere | None = None
    ) -> None:
        self.service, self._pool, self._shards, self._elsewhere = service, pool, shards, elsewhere
        self._appends = Together(pool, SQL["append"])

    @asynccontextmanager
    async def unit(self, tenant: Tenant) -> AsyncIterator[Unit]:
        async with transaction(self._pool, tenant) as connection:
            yield _PostgresUnit(self.service, tenant, connection, self._shards, self._elsewhere)

    async def append(self, tenant: Tenant, proposal: Append) -> None:
        if proposal.study_version is None:  # it locks its study for itself alone
            async with self.unit(tenant) as unit:
                return await unit.append(proposal)
        try:
            await self._appends.run(*_arguments(tenant, proposal, self._shards))
        except asyncpg.PostgresError as error:
            raise _named(error, proposal) from error


class _PostgresUnit:
    def __init__(
        self, service: str, tenant: Tenant, connection: asyncpg.Connection[Any], shards: int,
        elsewhere: Elsewhere | None = None,
    ) -> None:  # fmt: skip
        self._service, self._tenant, self._study = service, tenant, tenant.study_id
        self._connection, self._shards, self._elsewhere = connection, shards, elsewhere

    async def recall(
        self, stream_id: str, *, key: str | None = None, clear_key: str | None = None, key_site: str = "*"
    ) -> Recalled:
        rows = await self._connection.fetch(SQL["recall"], self._study, stream_id, key, key_site, clear_key)
        first = rows[0]
        head = _head(first)
        if head.version != sum(row["event_id"] is not None for row in rows):
            head, rows = Head(), []
        outcome = Outcome(first["fingerprint"], json.loads(first["outcome"])) if first["fingerprint"] else None
        events = tuple(self._event(stream_id, row) for row in rows if row["event_id"])
        # Read after the head: what is known by then is at least what the head says, and the append finds out the rest.
        reads = self._elsewhere if head.known else None
        known = await reads(self._connection, self._study, stream_id) if reads else None
        return Recalled(first["study_version"] or 0, head, events, outcome, known)

    def _event(self, stream_id: str, row: asyncpg.Record) -> Event:
        return Event(
            self._study, self._service, stream_id, row["version"], UUID(int=row["event_id"].int), row["type"],
            row["schema_version"], row["site_id"], row["data"], row["recorded_at"], json.loads(row["meta"]),
            row["sealed"],
        )  # fmt: skip

    async def data_key(self, stream_id: str) -> bytes | None:
        wrapped: bytes | None = await self._connection.fetchval(SQL["data_key"], self._study, stream_id)
        return wrapped

    async def append(self, proposal: Append) -> None:
        try:
            await self._connection.execute(SQL["append"], *_arguments(self._tenant, proposal, self._shards))
        except asyncpg.PostgresError as error:
            raise _named(error, proposal) from error

    async def listing(
        self, *, site: str | None, status: str | None, search_key: bytes | None, after: str, limit: int
    ) -> list[tuple[str, Head]]:
        rows = await self._connection.fetch(SQL["listing"], self._study, after, site, status, search_key, limit)
        return [(row["stream_id"], _head(row)) for row in rows]

    async def feed(self, *, sites: Sequence[str], after: tuple[str, int], limit: int) -> list[Event]:
        rows = await self._connection.fetch(SQL["feed"], self._study, *after, list(sites), limit)
        return [self._event(row["stream_id"], row) for row in rows]

    async def snapshot(self, before: str) -> Snapshot:
        (row,) = await self._connection.fetch(SQL["snapshot"], before)
        return Snapshot(row["text"], row["database"], row["follows"])

    async def recorded(self, cursor: FeedCursor, *, sites: Sequence[str] | None, limit: int) -> list[tuple[int, Event]]:
        is_short = not cursor.last_seq and cursor.done != NOTHING
        query = SQL["recorded_since" if is_short else "recorded_behind"]
        named = None if sites is None else list(sites)
        window = cursor.done, cursor.upto, cursor.last_seq
        rows = await self._connection.fetch(query, self._study, *window, limit, named)
        return [(row["seq"], self._event(row["stream_id"], row)) for row in rows]


def _arguments(tenant: Tenant, proposal: Append, shards: int) -> tuple[Any, ...]:
    first, head, events = proposal.events[0], proposal.head, proposal.events
    return (
        tenant.study_id, first.stream_id, proposal.expected, proposal.study_version,
        head.site_id, head.search_key, _json(head.summary), proposal.data_key,
        [event.event_id for event in events], [event.type for event in events],
        [event.schema_version for event in events], first.site_id, [event.data for event in events],
        [event.sealed for event in events], [_json(event.meta) for event in events], first.recorded_at,
        shard_of(first.stream_id, shards), proposal.key, proposal.key_site,
        proposal.outcome and proposal.outcome.fingerprint, proposal.outcome and _json(proposal.outcome.answer),
        tenant.site_id, head.known, proposal.clear_key, proposal.yields,
    )  # fmt: skip


def _head(row: asyncpg.Record) -> Head:
    if row["stream_version"] is None:
        return Head()
    summary = json.loads(row["summary"])
    return Head(row["stream_version"], row["stream_site"], row["search_key"], summary, row["known"])


def _json(value: Mapping[str, Any]) -> str:
    return to_json(value).decode()


def shard_of(stream_id: str, shards: int) -> int:
    return sum(stream_id.encode()) % shards


def _named(error: asyncpg.PostgresError, proposal: Append) -> Exception:
    match error.sqlstate:
        case "QR001":
            return StreamMoved()
        case "QR002":
            return StudyMoved()
        case "QR003":
            return KeyTaken()
        case "QR004":
            return NotConfirmed()
        case "23505" if getattr(error, "constraint_name", "") == "streams_search_key":
            return StreamMoved() if proposal.yields else SearchKeyTaken()  # taken a moment ago: it yields the next time
        case _:
            return error
