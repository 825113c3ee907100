"""Reads the list of participants. Row-level security limits it to the participants of the connection's tenant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import asyncpg

from services.analytics.derivation.rows import NEVER
from shared.contracts.participation import ParticipationStatus
from shared.postgres.named_queries import load_queries
from shared.postgres.tenancy import PooledConnection

SQL = load_queries(Path(__file__).with_name("repository.sql"))
_MILESTONES: tuple[tuple[str, ParticipationStatus], ...] = (
    ("enrolled_on", "enrolled"),
    ("screen_failed_on", "screen_failed"),
    ("consented_on", "consented"),
)
"""The columns with the days of milestones and the status from then on, the last milestone first."""


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
    """Returns the status of a participant by all days, those to come included: the first that holds."""
    if row["dead_from"] < NEVER:
        return "died"
    if row["participation_ends_on"] < NEVER:
        return "withdrawn"
    if row["is_lost"]:
        return "lost"
    return next((status for column, status in _MILESTONES if row[column] < NEVER), "screening")
