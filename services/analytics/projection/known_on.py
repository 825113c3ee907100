"""The day by which an event was known, for events of releases that did not record it.

Every event says itself on which day of the study it was recorded. For one that does not, the day is determined once, by
the clock as it stands then, and kept in the journal and with the fact: later clocks, zones and sites change nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg

from shared.contracts.study import SiteActivated
from shared.gate.study_timeline import study_day
from shared.inbox.participant_registry.repository import ReplicatedStudies
from shared.kernel.clock import Clock
from shared.kernel.record import Record
from shared.postgres.named_queries import load_queries

SQL = load_queries(Path(__file__).with_name("known_on.sql"))
_EVENTS_PER_TRANSACTION = 5000


async def keep_known_on_everywhere(pool: asyncpg.Pool[Any], clock: Clock) -> None:
    """Calls `keep_known_on` for every study that needs it."""
    for row in await pool.fetch(SQL["studies_without_known_on"]):
        await keep_known_on(pool, clock, row["study_id"])


async def keep_known_on(
    pool: asyncpg.Pool[Any], clock: Clock, study_id: str, *, batch_size: int = _EVENTS_PER_TRANSACTION
) -> None:
    """Keeps the day of each event of the study that has none: the study's day at its site when it was recorded.

    A transaction has `batch_size` events. Events of a site that has not arrived yet are left for the next call, as are
    those that a kill leaves over.
    """
    study = (await ReplicatedStudies(pool).current(study_id)).record
    if study.facts_of(SiteActivated):
        while await _keep_batch(pool, clock, study_id, study, batch_size) == batch_size:
            pass


async def _keep_batch(pool: asyncpg.Pool[Any], clock: Clock, study_id: str, study: Record, batch_size: int) -> int:
    """Keeps the days of the first events without one, and returns their number."""
    sites = [site.site_id for site in study.facts_of(SiteActivated)]
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(SQL["lock_study"], study_id)
        rows = await connection.fetch(SQL["events_without_known_on"], study_id, sites, batch_size)
        days = [study_day(clock, study_id, study, row["site_id"], row["recorded_at"]) for row in rows]
        await connection.execute(SQL["keep_known_on"], study_id, [row["position"] for row in rows], days)
    return len(rows)
