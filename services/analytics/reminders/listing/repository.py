"""Reads the log of reminders. Row-level security limits it to the participants of the connection's tenant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Literal, NamedTuple
from uuid import UUID

from services.analytics.derivation.rows import NEVER
from services.analytics.reminders.log import Reminder, ReminderState
from services.analytics.reminders.steps import VisitOnDay
from shared.postgres.named_queries import load_queries
from shared.postgres.tenancy import PooledConnection
from shared.protocol.schedule import Visit

SQL = load_queries(Path(__file__).with_suffix(".sql"))
_LAST_ID = UUID(int=2**128 - 1)
DeliveryState = Literal["planned", "sent", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The digest of a member with a reminder. `code`: why it failed."""

    member: str
    state: DeliveryState
    code: str | None
    message_id: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ReminderSelection:
    """The reminders that a list has; None and no states select everything."""

    study_id: str
    site: str | None = None
    participant: str | None = None
    states: Sequence[ReminderState] = ()


class ComingVisit(NamedTuple):
    """A visit that awaits something. `schedule`: the code of its word. `sequence`: its number in the rows."""

    participant_id: str
    sequence: int
    schedule: int
    occasion: VisitOnDay


async def load_log(
    connection: PooledConnection, selection: ReminderSelection, after: tuple[date, UUID] | None, limit: int
) -> list[Reminder]:
    """Returns at most `limit` reminders after a day and an id, the latest day first."""
    rows = await connection.fetch(
        SQL["log_page"],
        selection.study_id,
        selection.site,
        selection.participant,
        list(selection.states),
        *(after or (NEVER, _LAST_ID)),
        limit,
    )
    return [Reminder(**row) for row in rows]


async def load_deliveries(
    connection: PooledConnection, study_id: str, reminder_ids: Sequence[UUID]
) -> dict[UUID, list[Delivery]]:
    """Returns to whom the digests with each of these reminders went."""
    deliveries = dict[UUID, list[Delivery]]()
    for row in await connection.fetch(SQL["deliveries"], study_id, reminder_ids):
        values = dict(row)
        deliveries.setdefault(values.pop("reminder_id"), []).append(Delivery(**values))
    return deliveries


async def load_coming_visits(
    connection: PooledConnection,
    selection: ReminderSelection,
    todays: Mapping[str, date],
    after: tuple[str, int],
    limit: int,
) -> list[ComingVisit]:
    """Returns at most `limit` visits that await something, after a participant and a sequence. `todays`: by site."""
    rows = await connection.fetch(
        SQL["coming_visits"],
        selection.study_id,
        list(todays),
        list(todays.values()),
        selection.participant,
        *after,
        limit,
    )
    return [
        ComingVisit(
            row["participant_id"],
            row["sequence"],
            row["schedule"],
            VisitOnDay(
                visit=Visit(row["number"], row["opens"], row["target"], row["closes"], row["slot_ends"]),
                site_id=row["site_id"],
                today=row["today"],
                state=row["state"],
                declared_on=_day(row["declared_on"]),
                scheduled_on=_day(row["scheduled_on"]),
                snoozed_until=_day(row["snoozed_until"]),
                is_acknowledged=row["is_acknowledged"],
            ),
        )
        for row in rows
    ]


async def load_reminders_of(connection: PooledConnection, study_id: str, ids: Sequence[str]) -> list[Reminder]:
    """Returns the reminders of participants."""
    return [Reminder(**row) for row in await connection.fetch(SQL["of_visits"], study_id, ids)]


def _day(day: date) -> date | None:
    return None if day == NEVER else day
