"""Parked streams, unreadable messages, participants without a screening, and how far rows are derived."""

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


@dataclass(frozen=True, slots=True)
class FailedRow:
    """A participant whose rows could not be derived at a position; `reason` is the type of the error."""

    participant_id: str
    reason: str
    since: datetime
    position: int


@dataclass(frozen=True, slots=True)
class StudyCounts:
    """The position of the derived rows of a study, applied facts that they lack, and participants who need attention.

    `failed`: participants whose last derivation failed. `unscreened`: participants without a screening.
    """

    study_id: str
    position: int
    behind: int
    failed: int
    unscreened: int


async def load_parked_streams(
    app_pool: asyncpg.Pool[Any], system_pool: asyncpg.Pool[Any], study_id: str
) -> list[ParkedStreamStatus]:
    """Returns the parked streams of a study, the longest parked first, each with the number of its waiting messages."""
    async with transaction(app_pool, Tenant(study_id)) as connection:
        streams = await connection.fetch(SQL["parked"], study_id)
    waiting = {
        (row["source"], row["subject"]): row["messages"] for row in await system_pool.fetch(SQL["waiting"], study_id)
    }
    return [ParkedStreamStatus(**row, waiting=waiting.get((row["source"], row["subject"]), 0)) for row in streams]


async def count_unreadable_messages(system_pool: asyncpg.Pool[Any]) -> int:
    """Returns the number of messages whose study and stream cannot be read."""
    count: int = await system_pool.fetchval(SQL["unreadable"])
    return count


async def load_unscreened(app_pool: asyncpg.Pool[Any], study_id: str) -> list[UnscreenedRow]:
    """Returns the participants without a screening, in the order of their first facts."""
    async with transaction(app_pool, Tenant(study_id)) as connection:
        rows = await connection.fetch(SQL["unscreened"], study_id)
    return [UnscreenedRow(row["participant_id"], tuple(row["services"]), row["facts"], row["since"]) for row in rows]


async def load_failed(app_pool: asyncpg.Pool[Any], study_id: str) -> list[FailedRow]:
    """Returns the participants whose last derivation failed, the longest failing first."""
    async with transaction(app_pool, Tenant(study_id)) as connection:
        return [FailedRow(**row) for row in await connection.fetch(SQL["failed"], study_id)]


async def count_facts_behind(system_pool: asyncpg.Pool[Any], study_id: str) -> int:
    """Returns the number of applied facts that the derived rows of a study do not have yet."""
    return max(0, await system_pool.fetchval(SQL["behind"], study_id) or 0)


async def counts_by_study(system_pool: asyncpg.Pool[Any]) -> list[StudyCounts]:
    """Returns the numbers of every study."""
    return [StudyCounts(**row) for row in await system_pool.fetch(SQL["counts_by_study"])]
