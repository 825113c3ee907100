"""The feed in the order of recording: nothing is left out while others write, where a reader by number loses some."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import asyncpg
import pytest

from shared.eventstore.feed_cursor import FeedCursor
from shared.eventstore.store import PostgresStore
from shared.security.tenancy import Tenant
from shared.testing.appends import append, keep
from shared.testing.store_contract import recorded_after
from tests.conftest import Database

WRITERS, EACH = 8, 40


class Feed:
    """A site's reader, page by page."""

    def __init__(self, store: PostgresStore, study_id: str, site: str) -> None:
        self._store, self._tenant, self._cursor = store, Tenant(study_id, site), FeedCursor()

    async def read(self) -> list[tuple[str, int]]:
        self._cursor, rows = await recorded_after(self._store, self._tenant, self._cursor, limit=7)
        return rows


class ByNumber:
    """`seq > last`: the reader that everybody writes first."""

    def __init__(self, pool: asyncpg.Pool[Any], study_id: str) -> None:
        self._pool, self._study, self._last = pool, study_id, 0

    async def read(self) -> list[tuple[str, int]]:
        rows = await self._pool.fetch(
            "select seq, stream_id, version from events where study_id = $1 and stream_id <> $1 and seq > $2"
            " order by seq", self._study, self._last,
        )  # fmt: skip
        self._last = max((row["seq"] for row in rows), default=self._last)
        return [(row["stream_id"], row["version"]) for row in rows]


@pytest.fixture
async def store(fresh_database: Database, study_id: str) -> PostgresStore:
    store = fresh_database.store()
    await keep(store, append(study_id, study_id))
    return store


async def write(store: PostgresStore, study_id: str, name: str) -> None:
    """One stream, in transactions that stay open for a moment after they drew their numbers."""
    for version in range(EACH):
        async with store.unit(Tenant(study_id, "S1")) as unit:
            await unit.append(append(study_id, name, version))
            await asyncio.sleep(random.uniform(0, 0.004))  # noqa: S311 - so that commits overtake each other


async def read_meanwhile(reader: Feed | ByNumber, store: PostgresStore, study_id: str) -> list[tuple[str, int]]:
    writing = [asyncio.create_task(write(store, study_id, f"p{place}")) for place in range(WRITERS)]
    found: list[tuple[str, int]] = []
    while not all(task.done() for task in writing):
        found += await reader.read()
    await asyncio.gather(*writing)
    return found + await reader.read()


async def test_nothing_is_left_out_or_given_twice_while_others_write(store: PostgresStore, study_id: str) -> None:
    found = await read_meanwhile(Feed(store, study_id, "S1"), store, study_id)
    assert len(found) == WRITERS * EACH
    for place in range(WRITERS):
        assert [version for name, version in found if name == f"p{place}"] == list(range(1, EACH + 1))


async def test_a_reader_by_number_leaves_some_out_in_the_same_test(
    fresh_database: Database, store: PostgresStore, study_id: str
) -> None:
    found = await read_meanwhile(ByNumber(fresh_database.system, study_id), store, study_id)
    assert len(found) < WRITERS * EACH


async def test_what_commits_late_is_read_late(store: PostgresStore, study_id: str) -> None:
    feed = Feed(store, study_id, "S1")
    async with store.unit(Tenant(study_id)) as slow:
        await slow.append(append(study_id, "slow"))
        await keep(store, append(study_id, "fast"))
        assert await feed.read() == [("fast", 1)]
    assert await feed.read() == [("slow", 1)]
    assert await feed.read() == []


async def test_another_site_reads_nothing_of_it(store: PostgresStore, study_id: str) -> None:
    await keep(store, append(study_id, "p1"))
    assert await Feed(store, study_id, "S2").read() == []


async def plan(database: Database, study_id: str, query: str, *arguments: Any) -> str:
    async with database.app.acquire() as connection, connection.transaction():
        await connection.execute(
            "select set_config('quartal.study', $1, true), set_config('quartal.site', 'S1', true)", study_id
        )
        return "\n".join(row[0] for row in await connection.fetch(f"explain {query}", *arguments))


async def test_neither_query_walks_the_whole_study(
    fresh_database: Database, store: PostgresStore, study_id: str
) -> None:
    from shared.eventstore.store import SQL

    for place in range(40):
        await keep(store, append(study_id, f"p{place}", count=50))
    async with await asyncpg.create_pool(fresh_database.superuser_url, min_size=1, max_size=1) as owner:
        await owner.execute("analyze events")
    now = await fresh_database.system.fetchval("select pg_current_snapshot()::text")
    new = await plan(fresh_database, study_id, SQL["recorded_since"], study_id, now, now, 0, 10, ["S1"])
    assert "events_study_xid" in new, new
    behind = await plan(fresh_database, study_id, SQL["recorded_behind"], study_id, "1:1:", now, 1900, 10, ["S1"])
    assert "events_study_seq" in behind, behind
