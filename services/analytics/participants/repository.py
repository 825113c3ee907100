"""Reads the list of participants. Row-level security limits it to the participants of the connection's tenant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from services.analytics.cohort.participation_status import first_status
from services.analytics.derivation.rows import NEVER
from shared.contracts.participation import MILESTONES, ParticipationStatus
from shared.postgres.named_queries import load_queries
from shared.postgres.tenancy import PooledConnection

SQL = load_queries(Path(__file__).with_name("repository.sql"))
_DAY_COLUMNS: Mapping[ParticipationStatus, str] = {
    "died": "dead_from",
    "withdrawn": "participation_ends_on",
    **{milestone: f"{milestone}_on" for _, milestone in MILESTONES},
}
"""The column with the day from which each status holds."""


@dataclass(frozen=True, slots=True)
class ListedParticipant:
    """A participant with the current site and the participation status."""

    participant_id: str
    site_id: str
    status: ParticipationStatus


async def load_page(connection: PooledConnection, study_id: str, after: str, limit: int) -> list[ListedParticipant]:
    """Returns at most `limit` participants beyond the number `after`, sorted by number, without excluded ones."""
    rows = await connection.fetch(SQL["page"], study_id, after, limit)
    return [ListedParticipant(row["participant_id"], row["site_id"], _status(row)) for row in rows]


def _status(row: asyncpg.Record) -> ParticipationStatus:
    """Returns the status of a participant by all days, those to come included."""
    statuses = {status for status, column in _DAY_COLUMNS.items() if row[column] < NEVER}
    if row["is_lost"]:
        statuses.add("lost")
    return first_status(statuses)
