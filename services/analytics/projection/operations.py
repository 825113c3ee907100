"""What an operator looks at: streams of a study that stand still, and participants who were never screened here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg

from shared.eventstore.sql import queries
from shared.security.tenancy import Tenant, transaction

SQL = queries(Path(__file__).with_name("operations.sql"))


@dataclass(frozen=True, slots=True)
class Parked:
    """A stream that was applied up to `version`; `waiting` messages are kept behind that."""

    source: str
    subject: str
    version: int
    reason: str
    since: datetime
    waiting: int


@dataclass(frozen=True, slots=True)
class Unscreened:
    """Of whom facts stand, from these services, but no screening: in no figure until one arrives."""

    participant_id: str
    services: tuple[str, ...]
    facts: int
    since: datetime


async def parked(app: asyncpg.Pool[Any], system: asyncpg.Pool[Any], study_id: str) -> list[Parked]:
    """The longest waiting first. Which streams is seen as the study's tenant, how much waits is counted."""
    async with transaction(app, Tenant(study_id)) as connection:
        streams = await connection.fetch(SQL["parked"], study_id)
    waiting = {(row["source"], row["subject"]): row["messages"] for row in await system.fetch(SQL["waiting"], study_id)}
    return [Parked(**row, waiting=waiting.get((row["source"], row["subject"]), 0)) for row in streams]


async def unreadable(system: asyncpg.Pool[Any]) -> int:
    """Messages of which nobody can tell the study, let alone the stream."""
    count: int = await system.fetchval(SQL["unreadable"])
    return count


async def unscreened(app: asyncpg.Pool[Any], study_id: str) -> list[Unscreened]:
    """Who was heard of first comes first."""
    async with transaction(app, Tenant(study_id)) as connection:
        rows = await connection.fetch(SQL["unscreened"], study_id)
    return [Unscreened(row["subject"], tuple(row["services"]), row["facts"], row["since"]) for row in rows]


async def unscreened_by_study(system: asyncpg.Pool[Any]) -> dict[str, int]:
    """How many there are, of every study that is known here."""
    rows = await system.fetch(SQL["unscreened_by_study"])
    return {row["study_id"]: row["participants"] for row in rows}
