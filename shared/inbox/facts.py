"""The facts that stand, one row each, in one table whatever they are about; and where each participant is now.

A fact opens a row at a position. A correction closes it and, unless it voids, opens another that keeps the event's
identity (id, type, site, version, time of recording) and has the new content. Rows are never taken away: the facts
that stood at a position are those opened at or before it and not closed by then.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from operator import attrgetter
from typing import Any
from uuid import UUID

import asyncpg

from shared.contracts import catalogue
from shared.contracts.event import Event
from shared.inbox.apply import SQL, Connection, Poison
from shared.kernel.fact import Corrected, Fact, Stated, Stream

Placed = tuple[Event, int]
"""An event and its position: along the study where there is a journal, else its version."""

_MOVES = {"participant.screened", "participant.transferred"}


@dataclass(slots=True)
class Row:
    event_id: UUID
    study_id: str
    service: str
    type: str
    subject: str
    site_id: str | None
    version: int
    recorded_at: datetime
    from_position: int
    to_position: int | None = None
    schema_version: int = 0
    data: str = ""


_COLUMNS = tuple(attrgetter(name) for name in Row.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Standing:
    """A fact as it stands: who stated it when, and what it reads as since `from_position`. `data` is JSON."""

    event_id: UUID
    service: str
    type: str
    subject: str
    site_id: str | None
    version: int
    recorded_at: datetime
    schema_version: int
    data: str
    from_position: int

    def stream(self, study_id: str) -> Stream:
        return catalogue.stream(self.service, of_study=self.subject == study_id)

    def stated(self, study_id: str) -> Stated[Fact]:
        """In today's language; KeyError or ValueError where it has no such fact."""
        return self.stream(study_id).stated(self.event_id, self.type, self.schema_version, self.data)


async def standing(
    connection: Connection,
    study_id: str,
    *,
    types: Collection[str] | None = None,
    subject: str | None = None,
    at: int | None = None,
) -> list[Standing]:
    """What stands of a study, now or at a position, as far as the connection's tenant sees; ordered by stream."""
    only = None if types is None else list(types)
    if at is None:
        rows = await connection.fetch(SQL["standing"], study_id, only, subject)
    else:
        rows = await connection.fetch(SQL["standing_at"], study_id, only, subject, at)
    return [Standing(**{**row, "event_id": UUID(int=row["event_id"].int)}) for row in rows]


async def state_by_version(connection: Connection, events: Sequence[Event]) -> None:
    """The effect for a service that keeps no journal: a fact's position is its version in its stream."""
    await state(connection, [(event, event.version) for event in events])


async def state(connection: Connection, placed: Sequence[Placed]) -> None:
    """Bring the table up to date. Raises Poison for a correction of what the same stream never stated."""
    told = _Told(await _originals(connection, placed))
    for event, position in placed:
        told.take(event, position)
    if told.ended:
        await connection.execute(SQL["close_facts"], list(told.ended), list(told.ended.values()))
    if told.opened:
        await connection.execute(SQL["open_facts"], *([column(row) for row in told.opened] for column in _COLUMNS))
    if told.moved:
        moved = sorted(told.moved)
        columns = [study for study, _ in moved], [subject for _, subject in moved]
        await connection.execute(SQL["forget_sites"], *columns)
        await connection.execute(SQL["know_sites"], *columns)


class _Told:
    """Rows to open and to close. `latest` is the row that each event reads as, whether it stands or was voided."""

    def __init__(self, originals: Iterable[Row]) -> None:
        self.latest = {row.event_id: row for row in originals}
        self._stored = {row.event_id for row in self.latest.values() if row.to_position is None}
        self.opened: list[Row] = []
        self.ended: dict[UUID, int] = {}
        self.moved: set[tuple[str, str]] = set()

    def take(self, event: Event, position: int) -> None:
        if event.type == Corrected.type_name:
            row = self._correct(event, position)
        else:
            row = _row(event, position)
            self._open(row)
        if row.type in _MOVES:
            self.moved.add((row.study_id, row.subject))

    def _open(self, row: Row) -> None:
        self.latest[row.event_id] = row
        self.opened.append(row)

    def _correct(self, event: Event, position: int) -> Row:
        said = event.content
        original = self.latest.get(UUID(said["event_id"]))
        if original is None or (original.study_id, original.service, original.subject) != _stream(event):
            raise Poison("no-such-event")
        self._close(original, position)
        if replacement := said["replacement"]:
            if replacement["type"] != original.type:
                raise Poison("other-type")
            self._open(_restated(original, replacement, position))
        return original

    def _close(self, row: Row, position: int) -> None:
        if row.event_id in self._stored:
            self._stored.discard(row.event_id)
            self.ended[row.event_id] = position
        if row.to_position is None:
            row.to_position = position


def _stream(event: Event) -> tuple[str, str, str]:
    return event.study_id, event.service, event.stream_id


def _row(event: Event, position: int) -> Row:
    return Row(
        event.event_id, event.study_id, event.service, event.type, event.stream_id, event.site_id, event.version,
        event.recorded_at, position, None, event.schema_version, event.data,
    )  # fmt: skip


def _restated(original: Row, replacement: dict[str, Any], position: int) -> Row:
    data = json.dumps(replacement["data"])
    return replace(
        original, from_position=position, to_position=None, schema_version=replacement["schema_version"], data=data
    )


async def _originals(connection: Connection, placed: Sequence[Placed]) -> list[Row]:
    corrected = [UUID(event.content["event_id"]) for event, _ in placed if event.type == Corrected.type_name]
    rows: list[asyncpg.Record] = await connection.fetch(SQL["originals"], corrected) if corrected else []
    return [Row(**{**row, "event_id": UUID(int=row["event_id"].int)}) for row in rows]
