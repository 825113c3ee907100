"""Computing the tables of facts again from the journal, and the epoch of positions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg

from shared.postgres.named_queries import load_queries

SQL = load_queries(Path(__file__).with_name("rebuild.sql"))


async def begin_epoch(pool: asyncpg.Pool[Any]) -> None:
    """Begins a new epoch of every study, after the database went back in time: positions may name other facts now."""
    await pool.execute(SQL["begin_epoch"])


async def rebuild(pool: asyncpg.Pool[Any]) -> None:
    """Empties the tables of facts and computes them from the journal, in one transaction in the database itself.

    Readers and the projection wait until it is done.
    """
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(SQL["empty_facts"])
        await connection.execute(SQL["replay_facts"])
        await connection.execute(SQL["replay_sites"])
