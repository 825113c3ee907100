"""Two readers that others use, shown to lose, to overtake and to stall, each beside the one that does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from shared.eventstore.postgres_store import PostgresStore
from shared.eventstore.store import UnitOfWork
from shared.outbox.lease import SQL
from shared.postgres.tenancy import Tenant
from shared.testing.append_requests import append_in_unit, build_append
from tests.conftest import Database, PostgresServer

BELOW_XMIN = """
    select seq, xid::text::bigint as xid, stream_id, version from outbox
     where (xid::text::bigint, seq) > ($1, $2) and xid < pg_snapshot_xmin(pg_current_snapshot()) order by xid, seq
"""
Row = tuple[str, int]


class SequenceReader:
    """`seq > last`: takes for gone by what is only not yet visible."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool, self._last = pool, 0

    async def read(self) -> list[Row]:
        rows = await self._pool.fetch(
            "select seq, stream_id, version from outbox where seq > $1 order by seq", self._last
        )
        self._last = max((row["seq"] for row in rows), default=self._last)
        return [(row["stream_id"], row["version"]) for row in rows]


class TransactionReader:
    """`(xid, seq)` below the oldest transaction at work: in the order in which transactions began to write."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool, self._last = pool, (0, 0)

    async def read(self) -> list[Row]:
        rows = await self._pool.fetch(BELOW_XMIN, *self._last)
        if rows:
            self._last = (rows[-1]["xid"], rows[-1]["seq"])
        return [(row["stream_id"], row["version"]) for row in rows]


class SnapshotReader:
    """The relay's reader."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool, self._done = pool, "1:1:"

    async def read(self) -> list[Row]:
        upto = await self._pool.fetchval(SQL["snapshot"])
        rows = await self._pool.fetch(SQL["first_page"], 0, self._done, upto, 0, 1000)
        self._done = upto
        return [(row["stream_id"], row["version"]) for row in rows]


@pytest.fixture
async def store(fresh_database: Database, study_id: str) -> PostgresStore:
    store = fresh_database.store()
    await append_in_unit(store, build_append(study_id, study_id))
    return store


@asynccontextmanager
async def unit_with_earlier_write(store: PostgresStore, study_id: str) -> AsyncIterator[UnitOfWork]:
    """A unit whose transaction has written something before it appends, as one that notes a key first does."""
    async with store.unit(Tenant(study_id)) as unit:
        await unit.append(build_append(study_id, "elsewhere"))
        yield unit


async def read_around_late_commit(
    reader: SequenceReader | TransactionReader | SnapshotReader, store: PostgresStore, study_id: str
) -> tuple[list[Row], list[Row]]:
    """Returns the events read before the first of two appends commits, and those read afterwards."""
    async with store.unit(Tenant(study_id)) as slow_unit:
        await slow_unit.append(build_append(study_id, "slow"))
        await append_in_unit(store, build_append(study_id, "fast"))
        during = await reader.read()
    return during, await reader.read()


async def test_sequence_reader_loses_an_event_that_commits_late(
    fresh_database: Database, store: PostgresStore, study_id: str
) -> None:
    during, after = await read_around_late_commit(SequenceReader(fresh_database.system), store, study_id)
    assert during == [(study_id, 1), ("fast", 1)]
    assert after == []


async def test_snapshot_reader_reads_an_event_that_commits_late(
    fresh_database: Database, store: PostgresStore, study_id: str
) -> None:
    during, after = await read_around_late_commit(SnapshotReader(fresh_database.system), store, study_id)
    assert during == [(study_id, 1), ("fast", 1)]
    assert after == [("slow", 1)]


async def read_until_count(reader: TransactionReader | SnapshotReader, stream_id: str, count: int) -> list[int]:
    """The versions of a stream as read; a reader that waits for others may need several readings."""
    versions: list[int] = []
    async with asyncio.timeout(30):
        while len(versions) < count:
            versions += [version for name, version in await reader.read() if name == stream_id]
    return versions


async def read_overtaken_versions(
    reader: TransactionReader | SnapshotReader, store: PostgresStore, study_id: str
) -> list[int]:
    """Versions of one stream as read, when the later append's transaction began to write before the earlier's."""
    async with unit_with_earlier_write(store, study_id) as unit:
        await append_in_unit(store, build_append(study_id, "stream"))
        await unit.append(build_append(study_id, "stream", 1))
    return await read_until_count(reader, "stream", 2)


async def test_transaction_reader_reads_a_stream_backwards(
    fresh_database: Database, store: PostgresStore, study_id: str
) -> None:
    assert await read_overtaken_versions(TransactionReader(fresh_database.system), store, study_id) == [2, 1]


async def test_snapshot_reader_reads_a_stream_forwards(
    fresh_database: Database, store: PostgresStore, study_id: str
) -> None:
    assert await read_overtaken_versions(SnapshotReader(fresh_database.system), store, study_id) == [1, 2]


async def read_during_foreign_write(
    reader: TransactionReader | SnapshotReader, server: PostgresServer, store: PostgresStore, study_id: str
) -> list[Row]:
    """Returns the events read of an append while a transaction in another database is open."""
    foreign = await asyncpg.connect(server.url())
    try:
        async with foreign.transaction():
            await foreign.execute("select pg_current_xact_id()")
            await append_in_unit(store, build_append(study_id, "stream"))
            return await reader.read()
    finally:
        await foreign.close()


async def test_transaction_reader_waits_for_writers_in_other_databases(
    postgres: PostgresServer, fresh_database: Database, store: PostgresStore, study_id: str
) -> None:
    reader = TransactionReader(fresh_database.system)
    assert ("stream", 1) not in await read_during_foreign_write(reader, postgres, store, study_id)
    assert await read_until_count(reader, "stream", 1) == [1]


async def test_snapshot_reader_waits_for_no_other_writer(
    postgres: PostgresServer, fresh_database: Database, store: PostgresStore, study_id: str
) -> None:
    reader = SnapshotReader(fresh_database.system)
    assert await read_during_foreign_write(reader, postgres, store, study_id) == [(study_id, 1), ("stream", 1)]
    assert await reader.read() == []


async def test_snapshot_reader_pages_through_a_backlog_without_gaps(
    fresh_database: Database, store: PostgresStore, study_id: str
) -> None:
    """The two queries of a backlog return the same as one for all of it, even if events are appended meanwhile."""
    await append_in_unit(store, build_append(study_id, "stream", count=10))
    all_versions = [version for _, version in await SnapshotReader(fresh_database.system).read()]
    upto = await fresh_database.system.fetchval(SQL["snapshot"])
    await append_in_unit(store, build_append(study_id, "stream", 10))
    paged_versions: list[int] = []
    query, last = "first_page", 0
    while rows := await fresh_database.system.fetch(SQL[query], 0, "1:1:", upto, last, 3):
        paged_versions += [row["version"] for row in rows]
        query, last = "next_page", rows[-1]["seq"]
    assert paged_versions == all_versions
