"""Queries of the projection: the position of a study, its own facts, and the facts of its participants."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import numpy as np

from services.analytics.derivation.derive import DERIVATION_VERSION
from services.analytics.snapshot.columns import PARTICIPANT_DTYPE, ParticipantIds
from services.analytics.snapshot.snapshot import DataCut
from shared.contracts.event import Event, stated_facts
from shared.contracts.participation import current_site
from shared.kernel.record import Record, current_record
from shared.postgres.named_queries import load_queries
from shared.postgres.tenancy import PooledConnection

SQL = load_queries(Path(__file__).with_name("repository.sql"))
Connection: TypeAlias = "PooledConnection | asyncpg.Pool[Any]"


@dataclass(frozen=True, slots=True)
class ProjectionPosition:
    """The number of facts of a study that rows are derived from, and the time by which all of them had been recorded.

    Position 0: nothing has been derived. `epoch` changes if the journal is lost. `revision` counts the derivations:
    rows may be derived anew at the same position. `has_current_rows`: false from an upgrade until the rows are derived
    again.
    """

    position: int
    epoch: str
    recorded_at: datetime | None
    revision: int = 0
    has_current_rows: bool = True


async def projection_position(connection: Connection, study_id: str) -> ProjectionPosition:
    """Returns the latest position of a study."""
    row = await connection.fetchrow(SQL["projection_position"], study_id)
    if row is None:
        return ProjectionPosition(0, "", None)
    return ProjectionPosition(
        row["position"],
        row["epoch"],
        row["recorded_at"],
        row["revision"],
        has_current_rows=not row["position"] or row["derivation_version"] == DERIVATION_VERSION,
    )


async def recorded_at(connection: Connection, study_id: str, position: int) -> datetime | None:
    """Returns the time by which every fact up to the position had been recorded; None at position 0.

    `position_as_of` that time is never below the position.
    """
    timestamp: datetime | None = await connection.fetchval(SQL["recorded_at"], study_id, position)
    return timestamp


async def day_of_position(connection: Connection, study_id: str, position: int) -> date | None:
    """Returns the day on which the last fact up to the position was recorded; None at position 0."""
    day: date | None = await connection.fetchval(SQL["day_of_position"], study_id, position)
    return day


async def position_as_of(connection: Connection, study_id: str, recorded_until: datetime) -> int | None:
    """Returns the last position up to which every fact had been recorded by that time; None: the latest position."""
    position: int | None = await connection.fetchval(SQL["position_as_of"], study_id, recorded_until)
    return position


async def months(connection: Connection, study_id: str) -> list[tuple[date, int]]:
    """Returns the first day of each month (UTC) in which a fact was recorded, with the position of the first such fact.

    The last month comes first.
    """
    return [(row["month"], row["position"]) for row in await connection.fetch(SQL["months"], study_id)]


async def named_cut(connection: Connection, study_id: str, name: str) -> tuple[int, date] | None:
    """Returns the position and the calendar day of a named data cut; None if the study has none of that name."""
    row = await connection.fetchrow(SQL["named_cut"], study_id, name)
    return (row["from_position"], date.fromisoformat(json.loads(row["data"])["cut_on"])) if row else None


async def data_cuts(connection: Connection, study_id: str) -> list[DataCut]:
    """Returns the named data cuts of a study in the order in which they were taken."""
    rows = await connection.fetch(SQL["data_cuts"], study_id)
    contents = [(row, json.loads(row["data"])) for row in rows]
    return [
        DataCut(content["name"], date.fromisoformat(content["cut_on"]), row["from_position"], row["recorded_at"])
        for row, content in contents
    ]


async def study_record_at(connection: Connection, study_id: str, position: int) -> Record:
    """Returns the study's own facts that were current at the position."""
    events = _events_from_rows(study_id, await connection.fetch(SQL["study_record_at"], study_id, position))
    return current_record(stated_facts(event for event in events if event.is_readable))


async def facts_at(connection: Connection, study_id: str, position: int) -> list[Event]:
    """Returns the facts of participants that were current at the position, by participant, service and version.

    Row-level security limits them to the participants of the connection's tenant.
    """
    return _events_from_rows(study_id, await connection.fetch(SQL["facts_at"], study_id, position))


async def excluded_participants(connection: Connection, study_id: str) -> frozenset[str]:
    """Returns the participants who are in no analysis today, and so in none of the past."""
    return frozenset(row["participant_id"] for row in await connection.fetch(SQL["excluded_participants"], study_id))


async def changed_participants(connection: Connection, study_id: str, revision: int) -> list[str]:
    """Returns the participants whose rows were derived anew after a revision."""
    return [row["participant_id"] for row in await connection.fetch(SQL["changed_participants"], study_id, revision)]


async def facts_of_participants(
    connection: Connection, study_id: str, participant_ids: Sequence[str], position: int
) -> list[Event]:
    """Returns what `facts_at` returns, of these participants only."""
    rows = await connection.fetch(SQL["facts_of_participants"], study_id, participant_ids, position)
    return _events_from_rows(study_id, rows)


async def corrected_event_ids(
    connection: Connection, study_id: str, participant_id: str, position: int
) -> frozenset[UUID]:
    """Returns the ids of a participant's events that were corrected up to the position."""
    rows = await connection.fetch(SQL["corrected_event_ids"], study_id, participant_id, position)
    return frozenset(row["event_id"] for row in rows)


async def event_position(connection: Connection, source: str, participant_id: str, version: int) -> int | None:
    """Returns the position of an event of a participant; None if the connection's tenant does not see it."""
    position: int | None = await connection.fetchval(SQL["event_position"], source, participant_id, version)
    return position


async def visible_participants(connection: Connection, study_id: str) -> ParticipantIds:
    """Returns the participants that the connection's tenant sees."""
    joined = await connection.fetchval(SQL["visible_participants"], study_id)
    return np.array(joined.encode().split(b",") if joined else [], dtype=PARTICIPANT_DTYPE)


async def words_by_code(connection: Connection, codes: Iterable[int], words: Iterable[str]) -> dict[int, str]:
    """Returns the words of these codes, and these words, by their codes. The role `system` reads words."""
    rows = await connection.fetch(SQL["words"], list(codes), list(words))
    return {row["code"]: row["word"] for row in rows}


async def is_visible(connection: Connection, study_id: str, participant_id: str) -> bool:
    """Returns whether the connection's tenant sees a screened participant who is in analyses."""
    return bool(await connection.fetchval(SQL["is_visible"], study_id, participant_id))


def _events_from_rows(study_id: str, rows: Sequence[asyncpg.Record]) -> list[Event]:
    return [
        Event.from_row(
            row, study_id=study_id, service=row["service"], stream_id=row["subject"], known_on=row["known_on"]
        )
        for row in rows
    ]


async def studies_with_grants(connection: Connection, member: str) -> list[str]:
    """Returns the studies in which a member was granted a role, by id. The grant may have been revoked since."""
    return [row["study_id"] for row in await connection.fetch(SQL["studies_with_grants"], member)]


async def sites_at(connection: Connection, study_id: str, position: int) -> dict[str, str]:
    """Returns the site that followed each participant at a position."""
    rows = await connection.fetch(SQL["sites_at"], study_id, position)
    sites = {}
    for participant_id, own_rows in groupby(rows, key=lambda row: row["subject"]):
        events = [
            Event.from_row(row, study_id=study_id, service=row["service"], stream_id=participant_id) for row in own_rows
        ]
        if site := current_site(current_record(stated_facts(events))):
            sites[participant_id] = site
    return sites
