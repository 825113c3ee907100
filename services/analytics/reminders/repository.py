"""The log of reminders in the database, and the derived rows that it follows from. Only the system writes it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from pydantic_core import to_json

from services.analytics.derivation.rows import NEVER
from services.analytics.reminders.events import describe_change
from services.analytics.reminders.log import Reminder, ScheduledVisit
from services.analytics.reminders.steps import VisitOnDay
from shared.contracts.event import Event
from shared.eventstore.postgres_store import shard_of
from shared.kernel.ids import new_event_id
from shared.postgres.named_queries import load_queries
from shared.postgres.tenancy import PooledConnection
from shared.protocol.protocol import ReminderPlan
from shared.protocol.schedule import Visit
from shared.protocol.visit_status import END_REASONS

SQL = load_queries(Path(__file__).with_suffix(".sql"))
VisitKey = tuple[str, str, int]
"""A participant, a schedule and the number of a visit."""


class Progress(NamedTuple):
    """The day up to which the visits of a site were looked at, and the derivation of their rows then.

    `plan`: the plans of reminders then, as JSON; None if they were not stored.
    """

    seen_on: date
    revision: int
    plan: str | None


class AppliedPosition(NamedTuple):
    """The position up to which facts of a study have been applied, and its epoch; 0 and None without any."""

    position: int
    epoch: UUID | None


class DerivationState(NamedTuple):
    """The position and epoch of the rows of a study, and the number of their last derivation."""

    position: int
    epoch: UUID
    revision: int


class StudyOverview(NamedTuple):
    """A study, the state of its derived rows, and whether a member of it wants digests."""

    study_id: str
    state: DerivationState
    has_subscribers: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteDay:
    """A site on a day of its own. `seen_until`: the last day on which its visits were looked at; None for never."""

    site_id: str
    zone: str
    country: str
    today: date
    plan: ReminderPlan
    seen_until: date | None = None


async def list_studies(connection: PooledConnection) -> list[StudyOverview]:
    """Returns the studies with derived rows, as the system sees them."""
    return [
        StudyOverview(study_id, DerivationState(*state), has_subscribers)
        for study_id, *state, has_subscribers in await connection.fetch(SQL["studies"])
    ]


async def lock_study(connection: PooledConnection, study_id: str) -> bool:
    """Returns whether this transaction is the only one that plans reminders of the study, until it ends."""
    return bool(await connection.fetchval(SQL["lock_study"], study_id))


async def load_derivation_state(connection: PooledConnection, study_id: str) -> DerivationState | None:
    """Returns the state of the study's rows; None before the first derivation."""
    row = await connection.fetchrow(SQL["derived_state"], study_id)
    return DerivationState(**row) if row else None


async def load_applied_position(connection: PooledConnection, study_id: str) -> AppliedPosition:
    """Returns the position up to which facts of the study have been applied, and its epoch."""
    row = await connection.fetchrow(SQL["applied_position"], study_id)
    return AppliedPosition(**row) if row else AppliedPosition(0, None)


async def load_progress(connection: PooledConnection, study_id: str) -> dict[str, Progress]:
    rows = await connection.fetch(SQL["progress"], study_id)
    return {row["site_id"]: Progress(row["seen_on"], row["revision"], row["plan"]) for row in rows}


async def store_progress(
    connection: PooledConnection, study_id: str, sites: Sequence[SiteDay], plans: Sequence[str], revision: int
) -> None:
    """Stores that the visits of sites were looked at today. `plans`: of each site, as JSON."""
    site_ids, days = [site.site_id for site in sites], [site.today for site in sites]
    await connection.execute(SQL["store_progress"], study_id, site_ids, days, plans, revision)


async def load_begun_participants(
    connection: PooledConnection, study_id: str, sites: Sequence[SiteDay], escalate_after_days: int
) -> set[str]:
    """Returns the participants of whose visits the day of a step has begun since the sites were looked at.

    Of a visit that is not awaited any more this is the day after the slot, and the first other step.
    """
    begun = await connection.fetch(
        SQL["begun_visits"],
        study_id,
        min(site.seen_until or date.min for site in sites),
        max(site.today for site in sites),
        escalate_after_days,
    )
    over = [(row["participant_id"], row["number"], row["has_ended"]) for row in begun if not row["is_awaited"]]
    columns = [list(column) for column in zip(*over, strict=True)] or [[], [], []]
    unexplained = await connection.fetch(SQL["unexplained_participants"], study_id, *columns)
    return {row["participant_id"] for row in (*unexplained, *(row for row in begun if row["is_awaited"]))}


async def load_participants_in_slots(connection: PooledConnection, study_id: str, sites: Sequence[SiteDay]) -> set[str]:
    """Returns the participants with a visit at one of the sites whose slot runs today."""
    site_ids, days = [site.site_id for site in sites], [site.today for site in sites]
    rows = await connection.fetch(SQL["participants_in_slots"], study_id, site_ids, days)
    return {row["participant_id"] for row in rows}


async def load_changed_participants(connection: PooledConnection, study_id: str, revision: int) -> set[str]:
    """Returns the participants whose rows were derived anew after a revision."""
    return {row["participant_id"] for row in await connection.fetch(SQL["changed_participants"], study_id, revision)}


async def load_unsettled_participants(connection: PooledConnection, study_id: str) -> set[str]:
    """Returns the participants with reminders of which a later day may say something else."""
    return {row["participant_id"] for row in await connection.fetch(SQL["unsettled_participants"], study_id)}


async def load_not_current(connection: PooledConnection, study_id: str, ids: Sequence[str]) -> set[str]:
    """Returns those of the participants whose rows may not say all that is known about them."""
    return {row["participant_id"] for row in await connection.fetch(SQL["not_current"], study_id, ids)}


async def load_unscheduled(connection: PooledConnection, study_id: str, ids: Sequence[str]) -> dict[str, bool]:
    """Returns those of the participants who have no visits, and of each whether it is excluded from analyses."""
    rows = await connection.fetch(SQL["excluded"], study_id, ids)
    return {row["participant_id"]: row["is_excluded"] for row in rows}


async def load_occasions(
    connection: PooledConnection, study_id: str, sites: Sequence[SiteDay], ids: Sequence[str]
) -> dict[VisitKey, VisitOnDay]:
    """Returns the visits of participants whose slot runs or has just ended, or that reminders await."""
    rows = await connection.fetch(
        SQL["visits"],
        study_id,
        [site.site_id for site in sites],
        [site.today for site in sites],
        ids,
        END_REASONS.index("lost") + 1,
    )
    not_current = await load_not_current(connection, study_id, ids)
    return {
        (row["participant_id"], row["schedule"], row["number"]): VisitOnDay(
            visit=Visit(row["number"], row["opens"], row["target"], row["closes"], row["slot_ends"]),
            site_id=row["site_id"],
            today=row["today"],
            state=row["state"],
            end_reason=END_REASONS[row["ended_as"] - 1] if row["ended_as"] else None,
            is_declared_missed=row["is_declared_missed"],
            declared_on=_day(row["declared_on"]),
            scheduled_on=_day(row["scheduled_on"]),
            snoozed_until=_day(row["snoozed_until"]),
            is_acknowledged=row["is_acknowledged"],
            is_current=row["participant_id"] not in not_current,
        )
        for row in rows
    }


def _day(day: date) -> date | None:
    return None if day == NEVER else day


async def load_reminders(
    connection: PooledConnection, study_id: str, ids: Sequence[str], visits: Collection[VisitKey]
) -> dict[VisitKey, list[Reminder]]:
    """Returns the reminders of visits, and the unsettled ones of the participants, by visit."""
    keys = [list(column) for column in zip(*visits, strict=True)] or [[], [], []]
    reminders = dict[VisitKey, list[Reminder]]()
    for row in await connection.fetch(SQL["reminders"], study_id, ids, *keys):
        reminder = Reminder(**row)
        reminders.setdefault((reminder.participant_id, reminder.schedule, reminder.visit), []).append(reminder)
    return reminders


def join_visits(
    study_id: str, occasions: Mapping[VisitKey, VisitOnDay], reminders: Mapping[VisitKey, Sequence[Reminder]]
) -> list[ScheduledVisit]:
    """Returns the visits with their reminders."""
    return [
        ScheduledVisit(
            study_id=study_id,
            participant_id=key[0],
            schedule=key[1],
            occasion=occasion,
            rows=reminders.get(key, ()),
        )
        for key, occasion in occasions.items()
    ]


async def store_reminders(
    connection: PooledConnection,
    study_id: str,
    reminders: Sequence[Reminder],
    now: datetime,
    *,
    shards: int,
    recipients: int = 0,
) -> None:
    """Stores new and changed reminders, and appends an event of each to the outbox."""
    if not reminders:
        return
    await _upsert(connection, reminders, now)
    events = [describe_change(row, recipients) for row in reminders]
    await connection.execute(
        SQL["append_events"],
        study_id,
        [row.participant_id for row in reminders],
        [row.site_id for row in reminders],
        [new_event_id() for _ in reminders],
        [event.type_name for event in events],
        [event.model_dump_json() for event in events],
        [f'{{"recorded_on": "{row.changed_on}"}}' for row in reminders],
        [shard_of(row.participant_id, shards) for row in reminders],
        now,
    )
    await connection.execute(SQL["notify_relay"], study_id)


async def restore_event(connection: PooledConnection, event: Event) -> None:
    """Stores a published event that the database lacks. Raises UniqueViolationError if another one has its place."""
    await connection.execute(
        SQL["restore_event"],
        event.study_id,
        event.stream_id,
        event.version,
        event.site_id,
        event.event_id,
        event.type,
        event.schema_version,
        event.data,
        to_json(event.meta).decode(),
        event.recorded_at,
    )


async def restore_reminder(connection: PooledConnection, reminder: Reminder, changed_at: datetime) -> None:
    """Stores a reminder as its last event left it."""
    await _upsert(connection, [reminder], changed_at)


async def _upsert(connection: PooledConnection, reminders: Sequence[Reminder], changed_at: datetime) -> None:
    columns = [
        (
            row.reminder_id,
            row.study_id,
            row.participant_id,
            row.schedule,
            row.visit,
            row.step,
            row.audience,
            row.addressee,
            row.site_id,
            row.target,
            row.day,
            row.state,
            row.reason or None,
            row.changed_on,
        )
        for row in reminders
    ]
    await connection.execute(SQL["store_reminders"], *map(list, zip(*columns, strict=True)), changed_at)
