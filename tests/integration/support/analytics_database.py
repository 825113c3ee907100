"""An analytics database for the tests of the projection, and reads of its content for one study."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from services.analytics.projection.projector import apply_events
from shared.inbox.batch import BatchResult, EventHandler, apply_batch
from shared.inbox.standing_facts import StandingFactRow, load_standing
from shared.inbox.stream_cursor import KafkaMessage
from shared.postgres.tenancy import Tenant, transaction
from tests.conftest import Database, PostgresServer, database_copy, migrated_template, open_database

SELECT_FACTS_AT_POSITION = """
    select event_id, service, type, subject, site_id, version, recorded_at, schema_version, data, from_position
      from fact
     where study_id = $1 and from_position <= $2 and (to_position is null or to_position > $2)
     order by subject, service, version
"""


@asynccontextmanager
async def own_analytics_database(server: PostgresServer) -> AsyncIterator[Database]:
    """Opens an empty database with the schema of analytics, for one test alone."""
    template = await migrated_template(server, "analytics")
    async with (
        database_copy(server, template, "analytics") as name,
        open_database(server, name, "analytics") as database,
    ):
        yield database


async def project_messages(
    pool: asyncpg.Pool[Any], messages: Sequence[KafkaMessage], handler: EventHandler = apply_events
) -> BatchResult:
    async with pool.acquire() as connection:
        return await apply_batch(connection, messages, handler)


async def journal_rows(pool: asyncpg.Pool[Any], study_id: str) -> list[asyncpg.Record]:
    return await pool.fetch("select * from journal where study_id = $1 order by position", study_id)


async def fact_rows(pool: asyncpg.Pool[Any], study_id: str) -> list[asyncpg.Record]:
    """Returns every row, current or not."""
    return await pool.fetch("select * from fact where study_id = $1 order by event_id, from_position", study_id)


async def read_standing_facts(
    pool: asyncpg.Pool[Any], study_id: str, *, site: str = "*", at: int | None = None, subject: str | None = None
) -> list[StandingFactRow]:
    async with transaction(pool, Tenant(study_id, site)) as connection:
        if at is None:
            return await load_standing(connection, study_id, subject=subject)
        rows = await connection.fetch(SELECT_FACTS_AT_POSITION, study_id, at)
        return [StandingFactRow(**row) for row in rows if subject in (None, row["subject"])]


def without_positions(rows: Sequence[StandingFactRow]) -> list[tuple[Any, ...]]:
    """Returns the content of rows without their positions, in an order that does not depend on them."""
    return sorted((row.event_id, row.type, row.subject, row.site_id, row.version, row.data) for row in rows)


async def stream_states(pool: asyncpg.Pool[Any], study_id: str) -> dict[str, tuple[int, str | None]]:
    """Returns for every subject the version that was applied, and the reason why it is parked."""
    rows = await pool.fetch("select subject, version, parked from inbox_stream where study_id = $1", study_id)
    return {row["subject"]: (row["version"], row["parked"]) for row in rows}
