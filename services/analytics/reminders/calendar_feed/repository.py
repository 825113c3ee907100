"""Addresses of calendars, the visits that they have, and their events as they were published."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg

from services.analytics.reminders.calendar import (
    CANCELLED_DAYS,
    FUTURE_DAYS,
    PAST_DAYS,
    CalendarEvent,
    CalendarVisit,
    EventContent,
)
from services.analytics.reminders.subscriptions.subscription import subscription_end
from shared.postgres.named_queries import load_queries
from shared.postgres.tenancy import PooledConnection
from shared.protocol.visit_status import VisitState

SQL = load_queries(Path(__file__).with_name("repository.sql"))
_OVER: list[VisitState] = ["done", "done_late", "not_applicable"]
_CONTENT_COLUMNS = ("uid", "site_id", "participant_id", "schedule", "number", "part", "starts", "ends", "cancelled_on")


class CalendarOwner(NamedTuple):
    """The member whose calendar an address opens, and the generation of the address."""

    study_id: str
    member: str
    generation: int


@dataclass(frozen=True, slots=True)
class CodedVisit:
    """A visit with the code of its schedule's word."""

    site_id: str
    participant_id: str
    schedule: int
    number: int
    opens: date
    target: date
    closes: date

    def with_words(self, words: Mapping[int, str]) -> CalendarVisit:
        return CalendarVisit(
            site_id=self.site_id,
            participant_id=self.participant_id,
            schedule=words[self.schedule],
            number=self.number,
            opens=self.opens,
            target=self.target,
            closes=self.closes,
        )


async def find_owner(connection: PooledConnection, secret_hash: bytes, now: datetime) -> CalendarOwner | None:
    """Returns the owner of a calendar; None for a secret that is unknown, replaced, not wanted or has ended."""
    row = await connection.fetchrow(SQL["find_owner"], secret_hash)
    if row is None or subscription_end(row["renewed_at"]) <= now:
        return None
    return CalendarOwner(row["study_id"], row["member"], row["generation"])


async def lock_events(connection: PooledConnection, study_id: str) -> None:
    """Waits until no other transaction revises the events of the study, and keeps others waiting until the commit."""
    await connection.execute(SQL["lock_events"], study_id)


async def load_visits(
    connection: PooledConnection, study_id: str, todays: Mapping[str, date], longest_window: timedelta, limit: int
) -> list[CodedVisit]:
    """Returns the visits of the connection's tenant that await a contact, nearest to today in both directions.

    There are at most `limit` whose windows are open or ahead, and as many whose windows have closed. `todays`: the
    calendar day at each site. `longest_window`: at least the days of every window.
    """
    earliest, latest = min(todays.values()), max(todays.values())
    arguments = (study_id, list(todays), list(todays.values()))
    last = latest + timedelta(days=FUTURE_DAYS) + longest_window
    rows = await connection.fetch(SQL["closing_visits"], *arguments, earliest, last, _OVER, limit)
    first = earliest - timedelta(days=PAST_DAYS)
    rows += await connection.fetch(SQL["closed_visits"], *arguments, first, earliest, _OVER, limit)
    return [CodedVisit(**row) for row in rows]


async def load_visits_of(
    connection: PooledConnection, study_id: str, todays: Mapping[str, date], participant_ids: Collection[str]
) -> list[CodedVisit]:
    """Returns all visits of these participants of the connection's tenant that await a contact, whenever they are."""
    rows = await connection.fetch(
        SQL["visits_of_participants"], study_id, list(todays), list(todays.values()), list(participant_ids), _OVER
    )
    return [CodedVisit(**row) for row in rows]


async def load_events(
    connection: PooledConnection, study_id: str, todays: Mapping[str, date], contents: Iterable[EventContent]
) -> list[CalendarEvent]:
    """Returns the published events with the ids of these contents, at every site, and the others of the sites.

    The others are those within the days of a calendar, and those that were cancelled lately.
    """
    earliest, latest = min(todays.values()), max(todays.values())
    rows = await connection.fetch(
        SQL["events"],
        study_id,
        [content.uid for content in contents],
        list(todays),
        earliest - timedelta(days=PAST_DAYS),
        latest + timedelta(days=FUTURE_DAYS),
        earliest - timedelta(days=CANCELLED_DAYS),
    )
    return [_event_from_row(row) for row in rows]


def _event_from_row(row: asyncpg.Record) -> CalendarEvent:
    columns: dict[str, Any] = {name: row[name] for name in _CONTENT_COLUMNS}
    return CalendarEvent(
        content=EventContent(**columns),
        sequence=row["sequence"],
        changed_at=row["changed_at"],
        digest=row["digest"],
        text=row["text"],
    )


async def save_events(connection: PooledConnection, study_id: str, events: Sequence[CalendarEvent]) -> None:
    await connection.executemany(
        SQL["save_event"],
        [
            (
                study_id,
                *(getattr(event.content, name) for name in _CONTENT_COLUMNS),
                event.sequence,
                event.digest,
                event.changed_at,
                event.text,
            )
            for event in events
        ],
    )
