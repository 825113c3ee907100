"""The epoch of positions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg

from shared.postgres.named_queries import load_queries

SQL = load_queries(Path(__file__).with_name("epoch.sql"))


async def begin_epoch(pool: asyncpg.Pool[Any]) -> None:
    """Begins a new epoch of every study, after the database went back in time: positions may name other facts now."""
    await pool.execute(SQL["begin_epoch"])
