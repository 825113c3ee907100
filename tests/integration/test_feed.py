"""The feed in the order of recording: nothing is left out while others write, where a reader by number loses some."""

from __future__ import annotations

import asyncio
from secrets import SystemRandom
from typing import Any

import asyncpg
import pytest

from shared.eventstore.feed_cursor import FeedCursor
from shared.eventstore.postgres_store import PostgresStore
from shared.postgres.tenancy import Tenant
from shared.testing.append_requests import append_in_unit, build_append
from shared.testing.visibility_contract import read_events_after
from tests.conftest import Database

WRITER_COUNT, VERSIONS_PER_WRITER = 8, 40


class CursorFeedReader:
    """A site's reader, page by page."""

    def __init__(self, store: PostgresStore, study_id: str, site: str) -> None:
        self._store, self._tenant, self._cursor = store, Tenant(study_id, site), FeedCursor()

    async def read(self) -> list[tuple[str, int]]:
        self._cursor, rows = await read_events_after(self._store, self._tenant, self._cursor, limit=7)
        return rows


class SequenceFeedReader:
    """`seq > last`: the reader that everybody writes first."""

    def __init__(self, pool: asyncpg.Pool[Any], study_id: str) -> None:
        self._pool, self._study, self._last = pool, study_id, 0

    async def read(self) -> list[tuple[str, int]]:
        rows = await self._pool.fetch(
            "select seq, stream_id, version from events where study_id = $1 and stream_id <> $1 and seq > $2"
            " order by seq",
            self._study,
            self._last,
        )
        self._last = max((row["seq"] for row in rows), default=self._last)
        return [(row["stream_id"], row["version"]) for row in rows]


@pytest.fixture
async def store(fresh_database: Database, study_id: str) -> PostgresStore:
    store = fresh_database.store()
    await append_in_unit(store, build_append(study_id, study_id))
    return store


async def write_stream(store: PostgresStore, study_id: str, name: str) -> None:
    """One stream, in transactions that stay open for a moment after they drew their numbers."""
    for version in range(VERSIONS_PER_WRITER):
        async with store.unit(Tenant(study_id, "S1")) as unit:
            await unit.append(build_append(study_id, name, version))
            await asyncio.sleep(SystemRandom().uniform(0, 0.004))  # so that commits overtake each other


async def read_while_writing(
    reader: CursorFeedReader | SequenceFeedReader, store: PostgresStore, study_id: str
) -> list[tuple[str, int]]:
    writing = [asyncio.create_task(write_stream(store, study_id, f"p{index}")) for index in range(WRITER_COUNT)]
    rows: list[tuple[str, int]] = []
    while not all(task.done() for task in writing):
        rows += await reader.read()
    await asyncio.gather(*writing)
    return rows + await reader.read()


async def test_feed_omits_and_repeats_nothing_while_others_write(store: PostgresStore, study_id: str) -> None:
    rows = await read_while_writing(CursorFeedReader(store, study_id, "S1"), store, study_id)
    assert len(rows) == WRITER_COUNT * VERSIONS_PER_WRITER
    for index in range(WRITER_COUNT):
        assert [version for name, version in rows if name == f"p{index}"] == list(range(1, VERSIONS_PER_WRITER + 1))


async def test_sequence_reader_misses_events_under_the_same_load(
    fresh_database: Database, store: PostgresStore, study_id: str
) -> None:
    rows = await read_while_writing(SequenceFeedReader(fresh_database.system, study_id), store, study_id)
    assert len(rows) < WRITER_COUNT * VERSIONS_PER_WRITER


async def test_event_that_commits_late_is_read_late(store: PostgresStore, study_id: str) -> None:
    feed = CursorFeedReader(store, study_id, "S1")
    async with store.unit(Tenant(study_id)) as slow_unit:
        await slow_unit.append(build_append(study_id, "slow"))
        await append_in_unit(store, build_append(study_id, "fast"))
        assert await feed.read() == [("fast", 1)]
    assert await feed.read() == [("slow", 1)]
    assert await feed.read() == []


async def test_feed_shows_nothing_of_another_site(store: PostgresStore, study_id: str) -> None:
    await append_in_unit(store, build_append(study_id, "p1"))
    assert await CursorFeedReader(store, study_id, "S2").read() == []


async def explain_plan(database: Database, study_id: str, query: str, *arguments: Any) -> str:
    async with database.app.acquire() as connection, connection.transaction():
        await connection.execute(
            "select set_config('quartal.study', $1, true), set_config('quartal.site', 'S1', true)", study_id
        )
        return "\n".join(row[0] for row in await connection.fetch(f"explain {query}", *arguments))


async def test_feed_queries_use_indexes_instead_of_scanning_the_study(
    fresh_database: Database, store: PostgresStore, study_id: str
) -> None:
    from shared.eventstore.postgres_store import SQL

    for index in range(40):
        await append_in_unit(store, build_append(study_id, f"p{index}", count=50))
    async with await asyncpg.create_pool(fresh_database.superuser_url, min_size=1, max_size=1) as owner:
        await owner.execute("analyze events")
    snapshot = await fresh_database.system.fetchval("select pg_current_snapshot()::text")
    plan_since = await explain_plan(
        fresh_database, study_id, SQL["recorded_since"], study_id, snapshot, snapshot, 0, 10, ["S1"]
    )
    assert "events_study_xid" in plan_since, plan_since
    plan_behind = await explain_plan(
        fresh_database, study_id, SQL["recorded_behind"], study_id, "1:1:", snapshot, 1900, 10, ["S1"]
    )
    assert "events_study_seq" in plan_behind, plan_behind
