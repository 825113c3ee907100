"""Confirms that a database has all published events, so that the service may record facts in it.

A service records only while the confirmation in its database belongs to the present start of the database server; the
database itself refuses otherwise (migration 0008 of the event store). A restored state contains an older confirmation.
"""

from __future__ import annotations

from typing import Any

import asyncpg

from shared.outbox.lease import SQL, RestoredDatabase
from shared.outbox.restore_guard import TAIL_RECORDS, require_published_events
from shared.postgres.tenancy import PooledConnection


async def compare_and_confirm(
    pool: asyncpg.Pool[Any], bootstrap: str, topic: str, *, tail: int | None = TAIL_RECORDS
) -> None:
    """Compares the database with the topic: confirms it, or withdraws the confirmation if an event is missing.

    Raises RestoredDatabase. Raises PublishError if Kafka is unavailable, and leaves the confirmation as it was.
    """
    incarnation = await _incarnation(pool)  # before the comparison: a restart meanwhile makes another incarnation
    try:
        await require_published_events(pool, bootstrap, topic, tail=tail)
    except RestoredDatabase:
        await withdraw_confirmation(pool)
        raise
    await pool.execute(SQL["confirm"], *incarnation)


async def confirm_database(pool: asyncpg.Pool[Any]) -> None:
    """Confirms a database whose topic is known to be empty."""
    await pool.execute(SQL["confirm"], *await _incarnation(pool))


async def confirm_within(connection: PooledConnection) -> None:
    """Confirms the database at the end of a transaction that stores everything that it lacks."""
    [row] = await connection.fetch(SQL["incarnation"])
    await connection.execute(SQL["confirm"], *row)


async def withdraw_confirmation(pool: asyncpg.Pool[Any]) -> None:
    """Stops the service from recording until its database was compared again."""
    await pool.execute(SQL["withdraw"])


async def is_confirmed(pool: asyncpg.Pool[Any]) -> bool:
    """Returns whether the service may record now. `pool` may be of the application's role."""
    return bool(await pool.fetchval(SQL["is_confirmed"]))


async def _incarnation(pool: asyncpg.Pool[Any]) -> tuple[Any, ...]:
    """Returns server start, database and table of events, in the order of the parameters of `confirm`."""
    [row] = await pool.fetch(SQL["incarnation"])
    return tuple(row)
