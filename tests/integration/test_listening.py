"""Pages hear of what is projected through one connection of their process, which may be lost."""

from __future__ import annotations

import asyncio

from services.analytics.asking import Figures
from services.analytics.listening import listen
from services.analytics.pages.live import Live
from shared.kernel.clock import Clock
from tests.conftest import Database

PATIENCE = 20.0  # seconds until a promise counts as broken
LISTENS = "select pid from pg_stat_activity where datname = current_database() and query like 'LISTEN%quartal_live%'"


async def listener(database: Database, but: int | None = None) -> int:
    async with asyncio.timeout(PATIENCE):
        while (  # noqa: ASYNC110 - another connection, which has no event to wait for
            pid := await database.system.fetchval(f"{LISTENS} and pid is distinct from $1", but)
        ) is None:
            await asyncio.sleep(0.02)
    return int(pid)


async def test_whoever_watches_comes_again_when_the_projection_was_not_heard(analytics_database: Database) -> None:
    live, figures = Live(), Figures(analytics_database.app, analytics_database.system, Clock())
    early = live.stream("study")
    await anext(early)
    listening = asyncio.create_task(listen(analytics_database.urls["system"], figures, live))
    try:
        async with asyncio.timeout(PATIENCE):
            assert [frame async for frame in early] == [], "it hears from now on"
        first = await listener(analytics_database)
        watching = live.stream("study")
        await anext(watching)
        await analytics_database.system.execute("select pg_terminate_backend($1)", first)
        async with asyncio.timeout(PATIENCE):
            assert [frame async for frame in watching] == []
        again = live.stream("study")
        await anext(again)
        await analytics_database.system.execute("select pg_notify('quartal_live', 'study:7')")
        async with asyncio.timeout(PATIENCE):
            assert b"data: 7" in await anext(again)
        live.close()
        assert [frame async for frame in again] == []
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def test_what_is_not_understood_leaves_the_pages_alive(analytics_database: Database) -> None:
    live, figures = Live(), Figures(analytics_database.app, analytics_database.system, Clock())
    listening = asyncio.create_task(listen(analytics_database.urls["system"], figures, live))
    try:
        first = await listener(analytics_database)
        await analytics_database.system.execute("select pg_notify('quartal_live', 'nonsense')")
        await listener(analytics_database, but=first)
        assert not listening.done()
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
