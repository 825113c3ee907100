"""Reads of what enrollment has published of studies and participants, as far as it has come here."""

from __future__ import annotations

from typing import Any

import asyncpg

from shared.eventstore.studies import Facts, RememberedStudies
from shared.inbox.apply import Connection
from shared.inbox.facts import Standing, standing
from shared.kernel.record import Record
from shared.security.tenancy import Tenant, transaction


class KnownStudies(RememberedStudies):
    """A study's own facts, as this service has them from Kafka. What today's language does not have is passed over."""

    def __init__(self, pool: asyncpg.Pool[Any], *, most: int = 200) -> None:
        super().__init__(most=most)
        self._pool = pool

    async def _read(self, study_id: str) -> tuple[int, Facts]:
        async with transaction(self._pool, Tenant(study_id)) as connection:
            rows = await standing(connection, study_id, subject=study_id)
        version = rows[-1].version if rows else 0
        return version, lambda: [row.stated(study_id) for row in rows if _is_known(row, study_id)]


async def participant(connection: Connection, study_id: str, participant_id: str) -> Record:
    """The facts that stand of a participant, as far as the connection's tenant sees them."""
    rows = await standing(connection, study_id, subject=participant_id)
    return Record(tuple(row.stated(study_id) for row in rows if _is_known(row, study_id)))


def _is_known(row: Standing, study_id: str) -> bool:
    return row.type in row.stream(study_id).facts
