"""The digests with reminders, in the database: what they have, to whom they go, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from services.analytics.reminders import repository
from services.analytics.reminders.digest import Digest
from services.analytics.reminders.log import Reminder, is_due
from services.analytics.reminders.repository import SQL, SiteDay
from services.analytics.reminders.steps import VisitOnDay
from shared.postgres.tenancy import PooledConnection
from shared.protocol.protocol import ReminderPlan


class DigestVisit(NamedTuple):
    """A reminder that a digest has, with its visit as the row shows it."""

    reminder: Reminder
    occasion: VisitOnDay


class OpenCounts(NamedTuple):
    """Numbers of what awaits something at a site.

    `longest_days`: days since the earliest enrollment without visits; None without one.
    """

    site_id: str
    open_visits: int
    open_queries: int
    without_schedule: int
    longest_days: int | None


class ReminderOutcome(NamedTuple):
    """A reminder on the day of its digests: to how many members they were sent, and with those to whom they may be."""

    reminder: Reminder
    reached: int
    recipients: int


async def load_addressees_with_digests(
    connection: PooledConnection, study_id: str, days: Sequence[tuple[str, date]]
) -> set[str]:
    """Returns the addressees whose digest may have something. `days`: the addressees with their days."""
    columns = [list(column) for column in zip(*days, strict=True)] or [[], []]
    return {row["addressee"] for row in await connection.fetch(SQL["addressees_with_digests"], study_id, *columns)}


async def load_composed_members(connection: PooledConnection, study_id: str, addressee: str, day: date) -> set[str]:
    """Returns the members for whom a digest of the addressee's day was composed."""
    rows = await connection.fetch(SQL["composed_members"], study_id, addressee, day)
    return {row["member"] for row in rows}


async def load_digest_visits(
    connection: PooledConnection,
    study_id: str,
    addressee: str,
    sites: Sequence[SiteDay],
    plan: ReminderPlan,
    day: date,
) -> list[DigestVisit]:
    """Returns what an addressee's digest of a day has, by site and day.

    These are the reminders in the digests of the day that were composed for others, and those that are planned and in
    no digest: of both what is to be sent as the rows are now.
    """
    due_rows = await connection.fetch(SQL["digest_reminders"], study_id, addressee, day)
    if not due_rows:
        return []
    ids, participants = {row["reminder_id"] for row in due_rows}, sorted({row["participant_id"] for row in due_rows})
    occasions = await repository.load_occasions(connection, study_id, sites, participants)
    rows = await repository.load_reminders(connection, study_id, participants, occasions)
    visits = [
        DigestVisit(row, visit.occasion)
        for visit in repository.join_visits(study_id, occasions, rows)
        for row in visit.rows
        if row.reminder_id in ids and is_due(visit, row, plan)
    ]
    return sorted(visits, key=_place)


def _place(visit: DigestVisit) -> tuple[str, date, str, int, str]:
    reminder, occasion = visit
    return occasion.site_id, occasion.visit.closes, reminder.participant_id, reminder.visit, reminder.step


async def load_open_counts(
    connection: PooledConnection, study_id: str, sites: Sequence[SiteDay]
) -> dict[str, OpenCounts]:
    """Returns what awaits something at each site."""
    site_ids, days = [site.site_id for site in sites], [site.today for site in sites]
    rows = await connection.fetch(SQL["open_counts"], study_id, site_ids, days)
    return {row["site_id"]: OpenCounts(**row) for row in rows}


async def add_deliveries(
    connection: PooledConnection, reminder_ids: Sequence[UUID], digest: Digest, message_id: str, now: datetime
) -> None:
    """Stores that the composed digest of a member has these reminders."""
    key = (digest.study_id, digest.member, digest.site_id, digest.day)
    await connection.execute(SQL["add_deliveries"], reminder_ids, *key, message_id, now)


async def end_deliveries(
    connection: PooledConnection,
    study_id: str,
    member: str,
    addressee: str,
    day: date,
    state: str,
    code: str | None,
    at: datetime,
) -> list[UUID]:
    """Stores the outcome of a digest. Returns the reminders in it."""
    rows = await connection.fetch(SQL["end_deliveries"], study_id, member, addressee, day, state, code, at)
    return [row["reminder_id"] for row in rows]


async def load_outcomes(connection: PooledConnection, reminder_ids: Sequence[UUID], day: date) -> list[ReminderOutcome]:
    """Returns reminders with what became of their digests of a day."""
    outcomes = list[ReminderOutcome]()
    for row in await connection.fetch(SQL["outcomes"], reminder_ids, day):
        values = dict(row)
        reached, recipients = values.pop("reached"), values.pop("recipients")
        outcomes.append(ReminderOutcome(Reminder(**values), reached, recipients))
    return outcomes
