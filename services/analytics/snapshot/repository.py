"""Reads of what the projection keeps: how far it is, a study's own facts, and everybody's facts at a position."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg

from shared.contracts.event import Event, stated_facts
from shared.kernel.record import Record, current_record
from shared.postgres.named_queries import load_queries

SQL = load_queries(Path(__file__).with_name("repository.sql"))
if TYPE_CHECKING:
    Connection = asyncpg.Connection[Any] | asyncpg.Pool[Any]


@dataclass(frozen=True, slots=True)
class ProjectionPosition:
    """How far the projection of a study is, and by when all of that was recorded; position 0: nothing was applied.

    `epoch` changes if the journal is lost.
    """

    position: int
    epoch: str
    recorded_at: datetime | None


async def projection_position(connection: Connection, study_id: str) -> ProjectionPosition:
    row = await connection.fetchrow(SQL["position"], study_id)
    return (
        ProjectionPosition(row["position"], row["epoch"], row["recorded_at"])
        if row
        else ProjectionPosition(0, "", None)
    )


async def recorded_at(connection: Connection, study_id: str, position: int) -> datetime | None:
    """By when everything up to that position was recorded, so that `position_as_of` then leads no less far."""
    timestamp: datetime | None = await connection.fetchval(SQL["recorded_at"], study_id, position)
    return timestamp


async def position_as_of(connection: Connection, study_id: str, moment: datetime) -> int | None:
    """The last position up to which everything was recorded by that moment; None: all that there is."""
    position: int | None = await connection.fetchval(SQL["as_of"], study_id, moment)
    return position


async def named_cut(connection: Connection, study_id: str, name: str) -> tuple[int, date] | None:
    """Position and calendar day of a cut by its name."""
    row = await connection.fetchrow(SQL["cut"], study_id, name)
    return (row["from_position"], date.fromisoformat(json.loads(row["data"])["cut_on"])) if row else None


async def study_record_at(connection: Connection, study_id: str, position: int) -> Record:
    """The study's own facts as they stood at that position."""
    events = _events_from_rows(study_id, await connection.fetch(SQL["study_at"], study_id, position))
    return current_record(stated_facts(event for event in events if event.is_readable))


async def facts_at(connection: Connection, study_id: str, position: int) -> list[Event]:
    """Facts of participants that stood at that position, by participant, service and version."""
    return _events_from_rows(study_id, await connection.fetch(SQL["facts"], study_id, position))


async def exclusion_facts(connection: Connection, study_id: str) -> list[Event]:
    """Withdrawals and voided participants as they stand now, whatever position is looked at."""
    return _events_from_rows(study_id, await connection.fetch(SQL["out"], study_id))


async def facts_of_participants(
    connection: Connection, study_id: str, participant_ids: Sequence[str], position: int
) -> list[Event]:
    """The same of these participants alone."""
    return _events_from_rows(study_id, await connection.fetch(SQL["facts_of"], study_id, participant_ids, position))


async def corrected_event_ids(
    connection: Connection, study_id: str, participant_id: str, position: int
) -> frozenset[UUID]:
    """Events of a participant that read otherwise at an earlier position."""
    rows = await connection.fetch(SQL["restated"], study_id, participant_id, position)
    return frozenset(UUID(int=row["event_id"].int) for row in rows)


async def visible_participants(connection: Connection, study_id: str, after: str, limit: int) -> list[str]:
    """Numbers of the participants that the connection's tenant sees, in order, from the one after `after` on."""
    return [row["subject"] for row in await connection.fetch(SQL["subjects"], study_id, after, limit)]


def _events_from_rows(study_id: str, rows: Sequence[asyncpg.Record]) -> list[Event]:
    return [
        Event(
            study_id,
            row["service"],
            row["subject"],
            row["version"],
            UUID(int=row["event_id"].int),
            row["type"],
            row["schema_version"],
            row["site_id"],
            row["data"],
            row["recorded_at"],
        )
        for row in rows
    ]
