"""Every fact of every study in the order in which it was applied here, and the facts that stand, drawn from it.

A position counts a study's applied facts: 1, 2, 3 … The journal is the record of that order and is kept as long as the
study; the fact tables can be thrown away and drawn again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg

from shared.contracts.event import Event
from shared.inbox.batch import Connection
from shared.inbox.standing_facts import PositionedEvent, apply_to_facts
from shared.postgres.named_queries import load_queries

SQL = load_queries(Path(__file__).with_name("projector.sql"))


async def apply_events(connection: Connection, events: Sequence[Event]) -> None:
    """The effect of events here. From taking the positions to the commit nobody else writes these studies.

    With the commit who listens to `quartal_live` is told `study:position:version` of each, where the version is that of
    the study's own facts.
    """
    positions = await _take_positions(connection, events)
    positioned = _assign_positions(events, {study: position for study, (position, _) in positions.items()})
    await connection.execute(
        SQL["write_journal"], *_columns(positioned, {study: applied_at for study, (_, applied_at) in positions.items()})
    )
    await apply_to_facts(connection, positioned)


async def begin_epoch(pool: asyncpg.Pool[Any]) -> None:
    """Positions that were given out before may name other facts now: after the database went back in time."""
    await pool.execute(SQL["begin_epoch"])


async def rebuild(pool: asyncpg.Pool[Any]) -> None:
    """Throw the fact tables away and draw them from the journal, in one transaction in the database itself.

    Readers and the projection wait until it is done.
    """
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("truncate fact, subject_site")
        await connection.execute(SQL["replay_facts"])
        await connection.execute(SQL["replay_sites"])


async def _take_positions(connection: Connection, events: Sequence[Event]) -> dict[str, tuple[int, datetime]]:
    """Study → the position of its last event in the batch, and the time."""
    counts = Counter(event.study_id for event in events)
    rows = await connection.fetch(SQL["take_positions"], list(counts), list(counts.values()))
    return {row["study_id"]: (row["position"], row["applied_at"]) for row in rows}


def _assign_positions(events: Sequence[Event], last_positions: dict[str, int]) -> list[PositionedEvent]:
    remaining = Counter(event.study_id for event in events)
    positioned = []
    for event in events:
        remaining[event.study_id] -= 1
        positioned.append((event, last_positions[event.study_id] - remaining[event.study_id]))
    return positioned


def _columns(positioned: Sequence[PositionedEvent], applied_at: dict[str, datetime]) -> list[list[Any]]:
    rows = (
        (
            event.study_id,
            position,
            event.source,
            event.stream_id,
            event.version,
            event.event_id,
            event.type,
            event.schema_version,
            event.site_id,
            event.data,
            json.dumps(dict(event.meta)),
            event.recorded_at,
            applied_at[event.study_id],
        )
        for event, position in positioned
    )
    return [list(column) for column in zip(*rows, strict=True)]
