"""Pages are notified of projected facts through one connection of their process, which may be lost."""

from __future__ import annotations

import asyncio

from services.analytics.live.change_listener import listen
from services.analytics.snapshot.study_reader import StudyReader
from shared.kernel.clock import Clock
from shared.ui.live_updates import LiveUpdates
from tests.conftest import Database

TIMEOUT_SECONDS = 20.0  # seconds until a promise counts as broken
LISTENER_PID_QUERY = (
    "select pid from pg_stat_activity where datname = current_database() and query like 'LISTEN%quartal_live%'"
)


async def wait_for_listener(database: Database, except_pid: int | None = None) -> int:
    query = f"{LISTENER_PID_QUERY} and pid is distinct from $1"
    async with asyncio.timeout(TIMEOUT_SECONDS):
        pid = await database.system.fetchval(query, except_pid)
        while pid is None:
            await asyncio.sleep(0.02)
            pid = await database.system.fetchval(query, except_pid)
    return int(pid)


async def test_live_streams_are_closed_when_the_listener_connection_is_lost(analytics_database: Database) -> None:
    live = LiveUpdates()
    reader = StudyReader(analytics_database.app, analytics_database.system, Clock())
    early_stream = live.stream("study")
    await anext(early_stream)
    listener_task = asyncio.create_task(listen(analytics_database.urls["system"], reader, live))
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            assert [frame async for frame in early_stream] == [], "it hears from now on"
        listener_pid = await wait_for_listener(analytics_database)
        open_stream = live.stream("study")
        await anext(open_stream)
        await analytics_database.system.execute("select pg_terminate_backend($1)", listener_pid)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            assert [frame async for frame in open_stream] == []
        new_stream = live.stream("study")
        await anext(new_stream)
        await analytics_database.system.execute("select pg_notify('quartal_live', 'study:7')")
        async with asyncio.timeout(TIMEOUT_SECONDS):
            assert b"data: 7" in await anext(new_stream)
        live.close()
        assert [frame async for frame in new_stream] == []
    finally:
        listener_task.cancel()
        await asyncio.gather(listener_task, return_exceptions=True)


async def test_repair_at_the_same_position_closes_the_streams_so_that_pages_load_again(
    analytics_database: Database,
) -> None:
    live = LiveUpdates()
    reader = StudyReader(analytics_database.app, analytics_database.system, Clock())
    listener_task = asyncio.create_task(listen(analytics_database.urls["system"], reader, live))
    try:
        await wait_for_listener(analytics_database)
        stream = live.stream("study")
        await anext(stream)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            for position in ("7", "8", "8"):
                await analytics_database.system.execute("select pg_notify('quartal_live', $1)", f"study:{position}")
                if position == "7":
                    assert b"data: 7" in await anext(stream)
            assert all(b"data: 8" in frame for frame in [frame async for frame in stream])
        assert live.count_subscribers("study") == 0
    finally:
        listener_task.cancel()
        await asyncio.gather(listener_task, return_exceptions=True)


async def test_malformed_notification_only_restarts_the_listener(analytics_database: Database) -> None:
    live = LiveUpdates()
    reader = StudyReader(analytics_database.app, analytics_database.system, Clock())
    listener_task = asyncio.create_task(listen(analytics_database.urls["system"], reader, live))
    try:
        listener_pid = await wait_for_listener(analytics_database)
        await analytics_database.system.execute("select pg_notify('quartal_live', 'nonsense')")
        await wait_for_listener(analytics_database, except_pid=listener_pid)
        assert not listener_task.done()
    finally:
        listener_task.cancel()
        await asyncio.gather(listener_task, return_exceptions=True)
