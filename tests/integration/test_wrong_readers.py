"""Two readers that others use, shown to lose, to overtake and to stall, each beside the one that does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from shared.eventstore.store import PostgresStore, Unit
from shared.outbox.lease import SQL
from shared.security.tenancy import Tenant
from shared.testing.appends import append, keep
from tests.conftest import Database, PostgresServer

BELOW_XMIN = """
    select seq, xid::text::bigint as xid, stream_id, version from outbox
     where (xid::text::bigint, seq) > ($1, $2) and xid < pg_snapshot_xmin(pg_current_snapshot()) order by xid, seq
"""
Row = tuple[str, int]


class BySequence:
    """`seq > last`: takes for gone by what is only not yet visible."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool, self._last = pool, 0

    async def read(self) -> list[Row]:
        rows = await self._pool.fetch(
            "select seq, stream_id, version from outbox where seq > $1 order by seq", self._last
        )
        self._last = max((row["seq"] for row in rows), default=self._last)
        return [(row["stream_id"], row["version"]) for row in rows]


class ByTransaction:
    """`(xid, seq)` below the oldest transaction at work: in the order in which transactions began to write."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool, self._last = pool, (0, 0)

    async def read(self) -> list[Row]:
        rows = await self._pool.fetch(BELOW_XMIN, *self._last)
        if rows:
            self._last = (rows[-1]["xid"], rows[-1]["seq"])
        return [(row["stream_id"], row["version"]) for row in rows]


class BySnapshot:
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
    await keep(store, append(study_id, study_id))
    return store


@asynccontextmanager
async def writing_first(store: PostgresStore, study_id: str) -> AsyncIterator[Unit]:
    """A unit whose transaction has written something before it appends, as one that notes a key first does."""
    async with store.unit(Tenant(study_id)) as unit:
        await unit.append(append(study_id, "elsewhere"))
        yield unit


async def lost(
    reader: BySequence | ByTransaction | BySnapshot, store: PostgresStore, study_id: str
) -> tuple[list[Row], list[Row]]:
    """What is read while the first of two appends is not committed yet, and what after it is."""
    async with store.unit(Tenant(study_id)) as slow:
        await slow.append(append(study_id, "slow"))
        await keep(store, append(study_id, "fast"))
        during = await reader.read()
    return during, await reader.read()


async def test_a_reader_by_sequence_loses_what_commits_late(
    fresh_database: Database, store: PostgresStore, study_id: str
) -> None:
    during, after = await lost(BySequence(fresh_database.system), store, study_id)
    assert during == [(study_id, 1), ("fast", 1)]
    assert after == []


async def test_a_reader_by_snapshot_reads_what_commits_late(
    fresh_database: Database, store: PostgresStore, study_id: str
) -> None:
    during, after = await lost(BySnapshot(fresh_database.system), store, study_id)
    assert during == [(study_id, 1), ("fast", 1)]
    assert after == [("slow", 1)]


async def until_there(reader: ByTransaction | BySnapshot, stream_id: str, count: int) -> list[int]:
    """The versions of a stream as read; a reader that waits for others may need several readings."""
    versions: list[int] = []
    async with asyncio.timeout(30):
        while len(versions) < count:
            versions += [version for name, version in await reader.read() if name == stream_id]
    return versions


async def overtaken(reader: ByTransaction | BySnapshot, store: PostgresStore, study_id: str) -> list[int]:
    """Versions of one stream as read, when the later append's transaction began to write before the earlier's."""
    async with writing_first(store, study_id) as unit:
        await keep(store, append(study_id, "stream"))
        await unit.append(append(study_id, "stream", 1))
    return await until_there(reader, "stream", 2)


async def test_a_reader_by_transaction_reads_a_stream_backwards(
    fresh_database: Database, store: PostgresStore, study_id: str
) -> None:
    assert await overtaken(ByTransaction(fresh_database.system), store, study_id) == [2, 1]


async def test_a_reader_by_snapshot_reads_a_stream_forwards(
    fresh_database: Database, store: PostgresStore, study_id: str
) -> None:
    assert await overtaken(BySnapshot(fresh_database.system), store, study_id) == [1, 2]


async def during_a_foreign_write(
    reader: ByTransaction | BySnapshot, server: PostgresServer, store: PostgresStore, study_id: str
) -> list[Row]:
    """What is read of an append while somebody in another database has written and not committed."""
    foreign = await asyncpg.connect(server.url())
    try:
        async with foreign.transaction():
            await foreign.execute("select pg_current_xact_id()")
            await keep(store, append(study_id, "stream"))
            return await reader.read()
    finally:
        await foreign.close()


async def test_a_reader_by_transaction_waits_for_writers_in_other_databases(
    postgres: PostgresServer, fresh_database: Database, store: PostgresStore, study_id: str
) -> None:
    reader = ByTransaction(fresh_database.system)
    assert ("stream", 1) not in await during_a_foreign_write(reader, postgres, store, study_id)
    assert await until_there(reader, "stream", 1) == [1]


async def test_a_reader_by_snapshot_waits_for_nobody(
    postgres: PostgresServer, fresh_database: Database, store: PostgresStore, study_id: str
) -> None:
    reader = BySnapshot(fresh_database.system)
    assert await during_a_foreign_write(reader, postgres, store, study_id) == [(study_id, 1), ("stream", 1)]
    assert await reader.read() == []


async def test_a_reader_by_snapshot_goes_through_a_backlog_page_by_page(
    fresh_database: Database, store: PostgresStore, study_id: str
) -> None:
    """The two queries of one backlog give the same as one reading of all of it, whatever is appended meanwhile."""
    await keep(store, append(study_id, "stream", count=10))
    whole = [version for _, version in await BySnapshot(fresh_database.system).read()]
    upto = await fresh_database.system.fetchval(SQL["snapshot"])
    await keep(store, append(study_id, "stream", 10))
    paged: list[int] = []
    query, last = "first_page", 0
    while rows := await fresh_database.system.fetch(SQL[query], 0, "1:1:", upto, last, 3):
        paged += [row["version"] for row in rows]
        query, last = "next_page", rows[-1]["seq"]
    assert paged == whole
