"""What the projection's tests look at: an analytics database of their own, and what it holds of a study."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from services.analytics.projection.journal import project
from shared.eventstore.migrate import migrate
from shared.inbox.apply import Applied, Effect, apply_batch
from shared.inbox.facts import Standing, standing
from shared.inbox.line import Received
from shared.security.tenancy import Tenant, transaction
from tests.conftest import MIGRATIONS, Database, PostgresServer, Somewhere, on_server, opened, roles_of


@asynccontextmanager
async def made(server: PostgresServer, template: str = "template0") -> AsyncIterator[str]:
    """The name of a migrated database, empty or with all that `template` holds, to which nobody may be connected."""
    name = f"test_{secrets.token_hex(6)}"
    await on_server(server, f"create database {name} owner quartal_analytics_owner template {template}")
    try:
        owned = Somewhere(server=server.url(name))
        await on_server(owned, "alter schema public owner to quartal_analytics_owner", name)
        async with opened(server, name, "analytics") as database:
            await migrate(database.urls["owner"], MIGRATIONS["analytics"], roles_of("analytics"))
        yield name
    finally:
        await on_server(server, f"drop database {name} with (force)")


@asynccontextmanager
async def analytics_of_its_own(server: PostgresServer) -> AsyncIterator[Database]:
    async with made(server) as name, opened(server, name, "analytics") as database:
        yield database


async def apply(pool: asyncpg.Pool[Any], messages: Sequence[Received], effect: Effect = project) -> Applied:
    async with pool.acquire() as connection:
        return await apply_batch(connection, messages, effect)  # type: ignore[arg-type] # the pool's proxy


async def journal(pool: asyncpg.Pool[Any], study_id: str) -> list[asyncpg.Record]:
    return await pool.fetch("select * from journal where study_id = $1 order by position", study_id)


async def facts(pool: asyncpg.Pool[Any], study_id: str) -> list[asyncpg.Record]:
    """Every row, standing or not."""
    return await pool.fetch("select * from fact where study_id = $1 order by event_id, from_position", study_id)


async def stands(
    pool: asyncpg.Pool[Any], study_id: str, *, site: str = "*", at: int | None = None, subject: str | None = None
) -> list[Standing]:
    async with transaction(pool, Tenant(study_id, site)) as connection:
        return await standing(connection, study_id, at=at, subject=subject)


def without_positions(rows: Sequence[Standing]) -> list[tuple[Any, ...]]:
    """What they say, whatever order it was told in."""
    return sorted((row.event_id, row.type, row.subject, row.site_id, row.version, row.data) for row in rows)


async def lines(pool: asyncpg.Pool[Any], study_id: str) -> dict[str, tuple[int, str | None]]:
    """Subject → the version it was applied to, and why it is parked."""
    rows = await pool.fetch("select subject, version, parked from inbox_stream where study_id = $1", study_id)
    return {row["subject"]: (row["version"], row["parked"]) for row in rows}
