"""The event store on PostgreSQL, under row-level security."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any

import asyncpg
from pydantic_core import to_json

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
from shared.kernel.errors import DatabaseNotConfirmed
from shared.kernel.record import Record
from shared.postgres.named_queries import load_queries
from shared.postgres.tenancy import PooledConnection, Tenant, open_snapshot, transaction

SQL = load_queries(Path(__file__).with_name("queries.sql"))

ForeignFactsReader = Callable[[PooledConnection, str, str], Awaitable[Record]]
"""Loads a participant's record in enrollment; takes a connection, a study's and a participant's id."""


class PostgresStore:
    """The store of one service.

    `shards` is the number of relay cursors that the outbox is spread over. `foreign_facts_reader` is given in services
    whose participants are registered by enrollment.
    """

    def __init__(
        self,
        service: str,
        pool: asyncpg.Pool[Any],
        *,
        shards: int = 1,
        foreign_facts_reader: ForeignFactsReader | None = None,
    ) -> None:
        self.service, self._pool, self._shards, self._foreign_facts_reader = service, pool, shards, foreign_facts_reader

    @asynccontextmanager
    async def unit(self, tenant: Tenant) -> AsyncIterator[UnitOfWork]:
        async with transaction(self._pool, tenant) as connection:
            yield self._unit(tenant, connection)

    @asynccontextmanager
    async def snapshot(self, tenants: Sequence[Tenant]) -> AsyncIterator[AsyncIterable[tuple[Tenant, UnitOfWork]]]:
        async with open_snapshot(self._pool, tenants) as snapshot:
            yield ((tenant, self._unit(tenant, connection)) async for tenant, connection in snapshot.by_tenant())

    def _unit(self, tenant: Tenant, connection: PooledConnection) -> UnitOfWork:
        return _PostgresUnitOfWork(self.service, tenant, connection, self._shards, self._foreign_facts_reader)

    async def append(self, tenant: Tenant, request: AppendRequest) -> None:
        await _append(self._pool, tenant, request, self._shards)


class _PostgresUnitOfWork:
    def __init__(
        self,
        service: str,
        tenant: Tenant,
        connection: PooledConnection,
        shards: int,
        foreign_facts_reader: ForeignFactsReader | None = None,
    ) -> None:
        self._service, self._tenant, self._study_id = service, tenant, tenant.study_id
        self._connection, self._shards, self._foreign_facts_reader = connection, shards, foreign_facts_reader

    async def load_stream(
        self, stream_id: str, *, key: str | None = None, clear_key: str | None = None, key_site: str = "*"
    ) -> LoadedStream:
        rows = await self._connection.fetch(SQL["load_stream"], self._study_id, stream_id, key, key_site, clear_key)
        first_row = rows[0]
        head = _head_from_row(first_row)
        if head.version != sum(row["event_id"] is not None for row in rows):
            head, rows = StreamHead(), []
        outcome = (
            IdempotentResult(first_row["fingerprint"], json.loads(first_row["outcome"]))
            if first_row["fingerprint"]
            else None
        )
        events = tuple(self._event(stream_id, row) for row in rows if row["event_id"])
        # Read after the head, so they are at least as new as the head says. The append detects newer ones.
        read_foreign_facts = self._foreign_facts_reader if head.enrollment_version else None
        foreign_facts = (
            await read_foreign_facts(self._connection, self._study_id, stream_id) if read_foreign_facts else None
        )
        return LoadedStream(
            study_version=first_row["study_version"] or 0,
            head=head,
            events=events,
            outcome=outcome,
            foreign_facts=foreign_facts,
        )

    def _event(self, stream_id: str, row: asyncpg.Record) -> Event:
        return Event.from_row(
            row,
            study_id=self._study_id,
            service=self._service,
            stream_id=stream_id,
            meta=json.loads(row["meta"]),
            sealed=row["sealed"],
        )

    async def find_opened_study(self, opening_key: str) -> str | None:
        study_id: str | None = await self._connection.fetchval(SQL["opened_study"], opening_key)
        return study_id

    async def data_key(self, stream_id: str) -> bytes | None:
        wrapped: bytes | None = await self._connection.fetchval(SQL["data_key"], self._study_id, stream_id)
        return wrapped

    async def append(self, request: AppendRequest) -> None:
        await _append(self._connection, self._tenant, request, self._shards)

    async def list_streams(
        self, *, site: str | None, status: str | None, search_key: bytes | None, after: str, limit: int
    ) -> list[tuple[str, StreamHead]]:
        rows = await self._connection.fetch(SQL["list_streams"], self._study_id, after, site, status, search_key, limit)
        return [(row["stream_id"], _head_from_row(row)) for row in rows]

    async def list_events(self, *, sites: Sequence[str], after: tuple[str, int], limit: int) -> list[Event]:
        rows = await self._connection.fetch(SQL["list_events"], self._study_id, *after, list(sites), limit)
        return [self._event(row["stream_id"], row) for row in rows]

    async def list_member_events(self, member: str, day: date, *, of_study: bool, limit: int) -> list[Event]:
        rows = await self._connection.fetch(
            SQL["list_member_events"], self._study_id, member, day.isoformat(), of_study, limit
        )
        return [self._event(row["stream_id"], row) for row in rows]

    async def list_streams_stating(
        self, type_name: str, content: Mapping[str, Any], *, site: str, limit: int
    ) -> list[str]:
        rows = await self._connection.fetch(
            SQL["list_streams_stating"], self._study_id, site, type_name, _to_json(content), limit
        )
        return [row["stream_id"] for row in rows]

    async def current_snapshot(self, previous: str) -> FeedSnapshot:
        (row,) = await self._connection.fetch(SQL["current_snapshot"], previous)
        return FeedSnapshot(row["text"], row["database"], row["follows"])

    async def list_recorded_events(
        self, cursor: FeedCursor, *, sites: Sequence[str] | None, limit: int
    ) -> list[tuple[int, Event]]:
        is_incremental = not cursor.last_seq and cursor.read_until != EMPTY_SNAPSHOT
        query = SQL["recorded_since" if is_incremental else "recorded_behind"]
        site_ids = None if sites is None else list(sites)
        window = cursor.read_until, cursor.backlog_until, cursor.last_seq
        rows = await self._connection.fetch(query, self._study_id, *window, limit, site_ids)
        return [(row["seq"], self._event(row["stream_id"], row)) for row in rows]


async def _append(
    connection: PooledConnection | asyncpg.Pool[Any], tenant: Tenant, request: AppendRequest, shards: int
) -> None:
    """Appends with one statement, which sets the tenant itself and outside of a transaction is one."""
    arguments = _append_arguments(tenant, request, shards)
    try:
        if request.opening_key:
            await connection.execute(SQL["append_opening"], *arguments, request.opening_key)
        else:
            await connection.execute(SQL["append"], *arguments)
    except asyncpg.PostgresError as error:
        raise _translate_error(error, request) from error


def _append_arguments(tenant: Tenant, request: AppendRequest, shards: int) -> tuple[Any, ...]:
    first_event, head, events = request.events[0], request.head, request.events
    return (
        tenant.study_id,
        first_event.stream_id,
        request.expected_version,
        request.study_version,
        head.site_id,
        head.search_key,
        _to_json(head.summary),
        request.data_key,
        [event.event_id for event in events],
        [event.type for event in events],
        [event.schema_version for event in events],
        first_event.site_id,
        [event.data for event in events],
        [event.sealed for event in events],
        [_to_json(event.meta) for event in events],
        first_event.recorded_at,
        shard_of(first_event.stream_id, shards),
        request.key,
        request.key_site,
        request.outcome and request.outcome.fingerprint,
        request.outcome and _to_json(request.outcome.answer),
        tenant.site_id,
        head.enrollment_version,
        request.clear_key,
        request.drops_search_key_if_taken,
    )


def _head_from_row(row: asyncpg.Record) -> StreamHead:
    if row["stream_version"] is None:
        return StreamHead()
    return StreamHead(
        version=row["stream_version"],
        site_id=row["stream_site"],
        search_key=row["search_key"],
        summary=json.loads(row["summary"]),
        enrollment_version=row["known"],
    )


def _to_json(value: Mapping[str, Any]) -> str:
    return to_json(value).decode()


def shard_of(stream_id: str, shards: int) -> int:
    """Returns the outbox shard of a stream, from 0 to `shards - 1`."""
    return sum(stream_id.encode()) % shards


def _translate_error(error: asyncpg.PostgresError, request: AppendRequest) -> Exception:
    match error.sqlstate:
        case "QR001":
            return StreamVersionConflict()
        case "QR002":
            return StudyVersionConflict()
        case "QR003":
            return IdempotencyKeyConflict()
        case "QR004":
            return DatabaseNotConfirmed()
        case "23505" if getattr(error, "constraint_name", "") == "streams_search_key":
            # Where it may be dropped, it was taken a moment ago: the next attempt drops it.
            return StreamVersionConflict() if request.drops_search_key_if_taken else SearchKeyConflict()
        case "23505" if getattr(error, "constraint_name", "") == "opened_study_pkey":
            return IdempotencyKeyConflict()
        case _:
            return error
