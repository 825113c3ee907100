"""The table of facts, one row for each content that was current, and the table of each participant's current site.

A fact opens a row at a position. A correction closes the row and, unless it voids the fact, opens another one that
keeps the event's identity (id, type, site, version, time of recording) with the new content and the day by which this
was known. Rows are never deleted: the facts at a position are those opened at or before it and not closed by
then.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from operator import attrgetter
from typing import Any
from uuid import UUID

from shared.contracts import catalogue
from shared.contracts.event import Event
from shared.inbox.batch import PoisonEvent
from shared.inbox.repository import SQL, Connection
from shared.kernel.fact import Correction, Fact, StatedFact, Stream
from shared.kernel.record import NO_SUCH_EVENT, OTHER_TYPE

PositionedEvent = tuple[Event, int]
"""An event and its position: in the study's journal, or, in a service without one, its version in its stream."""

_SITE_CHANGING_TYPES = {"participant.screened", "participant.transferred"}


@dataclass(slots=True)
class FactRow:
    """A row of the table `fact`. `to_position` is None while the fact is current; `data` is JSON.

    `known_on` is the study's day when the content was recorded; None for an event that does not say it.
    """

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
    known_on: date | None = None


_COLUMNS = tuple(attrgetter(name) for name in FactRow.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class StandingFactRow:
    """A current fact: its event's identity, and the content that it has since `from_position`. `data` is JSON."""

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
        return catalogue.find_stream(self.service, is_study=self.subject == study_id)

    def to_stated_fact(self, study_id: str) -> StatedFact[Fact]:
        """Returns the fact in today's schema. Raises KeyError or ValueError if there is no such fact today."""
        return self.stream(study_id).stated_fact(self.event_id, self.type, self.schema_version, self.data)


async def load_standing(connection: Connection, study_id: str, *, subject: str | None = None) -> list[StandingFactRow]:
    """Returns the current facts of a study, or of one subject, that the connection's tenant may see.

    They are ordered by stream and version.
    """
    rows = await connection.fetch(SQL["load_standing"], study_id, subject)
    return [StandingFactRow(**row) for row in rows]


async def apply_by_version(connection: Connection, events: Sequence[Event]) -> None:
    """Applies events in a service without a journal: a fact's position is its version in its stream."""
    await apply_to_facts(connection, [(event, event.version) for event in events])


async def apply_to_facts(connection: Connection, positioned_events: Sequence[PositionedEvent]) -> None:
    """Writes the changes that the events make. Raises PoisonEvent for a correction of an event of another stream."""
    changes = _FactChanges(await _load_originals(connection, positioned_events))
    for event, position in positioned_events:
        changes.apply(event, position)
    if changes.closing_positions:
        await connection.execute(
            SQL["close_facts"], list(changes.closing_positions), list(changes.closing_positions.values())
        )
    if changes.opened_rows:
        await connection.execute(
            SQL["open_facts"], *([column(row) for row in changes.opened_rows] for column in _COLUMNS)
        )
    if changes.moved_subjects:
        moved_subjects = sorted(changes.moved_subjects)
        columns = [study for study, _ in moved_subjects], [subject for _, subject in moved_subjects]
        await connection.execute(SQL["delete_subject_sites"], *columns)
        await connection.execute(SQL["upsert_subject_sites"], *columns)


class _FactChanges:
    """Rows to open and to close. `latest_rows`: the last row of each event, whether the fact is current or voided."""

    def __init__(self, originals: Iterable[FactRow]) -> None:
        self.latest_rows = {row.event_id: row for row in originals}
        self._open_event_ids = {row.event_id for row in self.latest_rows.values() if row.to_position is None}
        self.opened_rows: list[FactRow] = []
        self.closing_positions: dict[UUID, int] = {}
        self.moved_subjects: set[tuple[str, str]] = set()

    def apply(self, event: Event, position: int) -> None:
        if event.type == Correction.type_name:
            row = self._apply_correction(event, position)
        else:
            row = _row_from_event(event, position)
            self._open_row(row)
        if row.type in _SITE_CHANGING_TYPES:
            self.moved_subjects.add((row.study_id, row.subject))

    def _open_row(self, row: FactRow) -> None:
        self.latest_rows[row.event_id] = row
        self.opened_rows.append(row)

    def _apply_correction(self, event: Event, position: int) -> FactRow:
        correction = event.content
        original = self.latest_rows.get(UUID(correction["event_id"]))
        if original is None or (original.study_id, original.service, original.subject) != _stream_of(event):
            raise PoisonEvent(NO_SUCH_EVENT.code)
        self._close_row(original, position)
        if replacement := correction["replacement"]:
            if replacement["type"] != original.type:
                raise PoisonEvent(OTHER_TYPE.code)
            self._open_row(_corrected_row(original, replacement, position, event.recorded_on))
        return original

    def _close_row(self, row: FactRow, position: int) -> None:
        if row.event_id in self._open_event_ids:
            self._open_event_ids.discard(row.event_id)
            self.closing_positions[row.event_id] = position
        if row.to_position is None:
            row.to_position = position


def _stream_of(event: Event) -> tuple[str, str, str]:
    return event.study_id, event.service, event.stream_id


def _row_from_event(event: Event, position: int) -> FactRow:
    return FactRow(
        event_id=event.event_id,
        study_id=event.study_id,
        service=event.service,
        type=event.type,
        subject=event.stream_id,
        site_id=event.site_id,
        version=event.version,
        recorded_at=event.recorded_at,
        from_position=position,
        schema_version=event.schema_version,
        data=event.data,
        known_on=event.recorded_on,
    )


def _corrected_row(original: FactRow, replacement: dict[str, Any], position: int, known_on: date | None) -> FactRow:
    return replace(
        original,
        from_position=position,
        to_position=None,
        schema_version=replacement["schema_version"],
        data=json.dumps(replacement["data"]),
        known_on=known_on,
    )


async def _load_originals(connection: Connection, positioned_events: Sequence[PositionedEvent]) -> list[FactRow]:
    corrected_ids = [
        UUID(event.content["event_id"]) for event, _ in positioned_events if event.type == Correction.type_name
    ]
    if not corrected_ids:
        return []
    return [FactRow(**row) for row in await connection.fetch(SQL["load_original_facts"], corrected_ids)]
