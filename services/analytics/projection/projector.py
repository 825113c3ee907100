"""The projector: takes the positions of a batch of events, writes the journal, and updates the current facts.

A position counts the applied facts of a study: 1, 2, 3 … The journal records the order of application and is kept as
long as the study; the tables of facts can be emptied and computed again from it (`services/analytics/rebuild`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from shared.contracts.event import Event
from shared.inbox.repository import Connection
from shared.inbox.standing_facts import PositionedEvent, apply_to_facts
from shared.postgres.named_queries import load_queries

SQL = load_queries(Path(__file__).with_name("projector.sql"))


async def apply_events(connection: Connection, events: Sequence[Event]) -> None:
    """Applies events in the transaction of the connection, which locks their studies until its commit.

    The commit notifies the channel `quartal_projected` of `study:position:version` of each study, with the version of
    the study's own facts.
    """
    positions = await _take_positions(connection, events)
    positioned = _assign_positions(events, {study: position for study, (position, _) in positions.items()})
    await connection.execute(
        SQL["write_journal"], *_columns(positioned, {study: applied_at for study, (_, applied_at) in positions.items()})
    )
    await apply_to_facts(connection, positioned)


async def _take_positions(connection: Connection, events: Sequence[Event]) -> dict[str, tuple[int, datetime]]:
    """Returns for every study the position of its last event in the batch, and the time of application."""
    counts = Counter(event.study_id for event in events)
    rows = await connection.fetch(SQL["take_positions"], list(counts), list(counts.values()))
    return {row["study_id"]: (row["position"], row["applied_at"]) for row in rows}


def _assign_positions(events: Sequence[Event], last_positions: dict[str, int]) -> list[PositionedEvent]:
    """Returns the events with their positions: those of a study count up to its last position."""
    remaining = Counter(event.study_id for event in events)
    positioned = []
    for event in events:
        remaining[event.study_id] -= 1
        positioned.append((event, last_positions[event.study_id] - remaining[event.study_id]))
    return positioned


def _columns(positioned: Sequence[PositionedEvent], applied_at: dict[str, datetime]) -> list[list[Any]]:
    """Returns the columns of the journal's new rows, in the order of `write_journal`."""
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
            event.recorded_on,
        )
        for event, position in positioned
    )
    return [list(column) for column in zip(*rows, strict=True)]
