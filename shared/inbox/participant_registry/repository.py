"""Enrollment's facts about studies and participants, as far as this service has received them."""

from __future__ import annotations

from typing import Any

import asyncpg

from shared.eventstore.study_cache import FactsLoader, StudyCache
from shared.inbox.repository import Connection
from shared.inbox.standing_facts import StandingFactRow, load_standing
from shared.kernel.record import Record, current_record
from shared.postgres.tenancy import Tenant, transaction


class ReplicatedStudies(StudyCache):
    """The studies' own facts, received from Kafka. Facts of types that are unknown today are left out."""

    def __init__(self, pool: asyncpg.Pool[Any], *, cache_size: int = 200) -> None:
        super().__init__(cache_size=cache_size)
        self._pool = pool

    async def _load(self, study_id: str) -> tuple[int, FactsLoader]:
        async with transaction(self._pool, Tenant(study_id)) as connection:
            rows = await load_standing(connection, study_id, subject=study_id)
        version = rows[-1].version if rows else 0
        return version, lambda: [row.to_stated_fact(study_id) for row in rows if _is_readable(row, study_id)]


async def load_study(connection: Connection, study_id: str) -> Record:
    """Returns the study's own facts that stand, as far as this service has received them."""
    rows = await load_standing(connection, study_id, subject=study_id)
    return current_record(row.to_stated_fact(study_id) for row in rows if _is_readable(row, study_id))


async def load_participant(connection: Connection, study_id: str, participant_id: str) -> Record:
    """Returns the participant's current facts of enrollment, as far as the connection's tenant may see them."""
    rows = await load_standing(connection, study_id, subject=participant_id)
    return Record(tuple(row.to_stated_fact(study_id) for row in rows if _is_readable(row, study_id)))


def _is_readable(row: StandingFactRow, study_id: str) -> bool:
    return row.type in row.stream(study_id).facts
