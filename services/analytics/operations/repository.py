"""Parked streams and unreadable messages, and participants with facts but no screening."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg

from shared.inbox.parked import ParkedStreamStatus
from shared.postgres.named_queries import load_queries
from shared.postgres.tenancy import Tenant, transaction

SQL = load_queries(Path(__file__).with_name("repository.sql"))


@dataclass(frozen=True, slots=True)
class UnscreenedRow:
    """A participant with facts from these services but no screening, whom no figure counts."""

    participant_id: str
    services: tuple[str, ...]
    facts: int
    since: datetime


async def load_parked_streams(
    app_pool: asyncpg.Pool[Any], system_pool: asyncpg.Pool[Any], study_id: str
) -> list[ParkedStreamStatus]:
    """The longest waiting first. Which streams is seen as the study's tenant, how much waits is counted."""
    async with transaction(app_pool, Tenant(study_id)) as connection:
        streams = await connection.fetch(SQL["parked"], study_id)
    waiting = {
        (row["source"], row["subject"]): row["messages"] for row in await system_pool.fetch(SQL["waiting"], study_id)
    }
    return [ParkedStreamStatus(**row, waiting=waiting.get((row["source"], row["subject"]), 0)) for row in streams]


async def count_unreadable_messages(system_pool: asyncpg.Pool[Any]) -> int:
    """Number of messages whose study and stream cannot be read."""
    count: int = await system_pool.fetchval(SQL["unreadable"])
    return count


async def load_unscreened(app_pool: asyncpg.Pool[Any], study_id: str) -> list[UnscreenedRow]:
    """Participants without a screening, in the order of their first facts."""
    async with transaction(app_pool, Tenant(study_id)) as connection:
        rows = await connection.fetch(SQL["unscreened"], study_id)
    return [UnscreenedRow(row["subject"], tuple(row["services"]), row["facts"], row["since"]) for row in rows]


async def count_unscreened_by_study(system_pool: asyncpg.Pool[Any]) -> dict[str, int]:
    """Number of participants without a screening, by study."""
    rows = await system_pool.fetch(SQL["unscreened_by_study"])
    return {row["study_id"]: row["participants"] for row in rows}
