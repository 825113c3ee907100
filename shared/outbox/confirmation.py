"""Confirms that a database has what was published, so that the service may record into it.

A service records only while its database's confirmation is of the present start of its server (migration 0008 of
the event store; the database itself refuses otherwise). A state that was put back brings an older one along.
"""

from __future__ import annotations

from typing import Any

import asyncpg

from shared.outbox.lease import SQL, RestoredDatabase
from shared.outbox.restore_guard import TAIL_RECORDS, require_published_events


async def compare_and_confirm(
    pool: asyncpg.Pool[Any], bootstrap: str, topic: str, *, tail: int | None = TAIL_RECORDS
) -> None:
    """Compare the database with the topic and let the service record, or withdraw that where an event is missing.

    Raises RestoredDatabase, or NotPublished where Kafka is away: then a confirmation stays as it was.
    """
    incarnation = await _incarnation(pool)  # before the comparison: a server that starts anew meanwhile is another
    try:
        await require_published_events(pool, bootstrap, topic, tail=tail)
    except RestoredDatabase:
        await withdraw_confirmation(pool)
        raise
    await pool.execute(SQL["confirm"], *incarnation)


async def confirm_database(pool: asyncpg.Pool[Any]) -> None:
    """Let the service record into a database whose topic is known to be empty."""
    await pool.execute(SQL["confirm"], *await _incarnation(pool))


async def withdraw_confirmation(pool: asyncpg.Pool[Any]) -> None:
    """Let the service record nothing until its database was compared again."""
    await pool.execute(SQL["withdraw"])


async def is_confirmed(pool: asyncpg.Pool[Any]) -> bool:
    """Tell whether the service may record now. `pool` may be the application's."""
    return bool(await pool.fetchval(SQL["is_confirmed"]))


async def _incarnation(pool: asyncpg.Pool[Any]) -> tuple[Any, ...]:
    """The present start of the server, the database and its table, in the order in which `confirm` takes them."""
    [row] = await pool.fetch(SQL["incarnation"])
    return tuple(row)
