"""Reads back from the topic what a restored database lacks: the events of reminders, and their state in the log.

A restored database would otherwise plan and send again what was sent after its backup. Members and messages of digests
are not on the topic; a reminder that was sent stays sent without them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import asyncpg

from services.analytics.reminders import repository
from services.analytics.reminders.log import STUDY_ADDRESSEE, Reminder, ReminderState
from shared.contracts.event import Event
from shared.contracts.reminders import ReminderEvent, ReminderFailed, ReminderPlanned, ReminderSent, ReminderSuppressed
from shared.outbox.confirmation import confirm_within
from shared.outbox.lease import RestoredDatabase
from shared.outbox.restore_guard import read_missing_events
from shared.protocol.schedule import INDEX_SCHEDULE

_STATES: Mapping[type[ReminderEvent], ReminderState] = {
    ReminderPlanned: "planned",
    ReminderSent: "sent",
    ReminderSuppressed: "suppressed",
    ReminderFailed: "failed",
}


async def restore_reminders(pool: asyncpg.Pool[Any], bootstrap: str, topic: str) -> int:
    """Stores the events of the topic that the database lacks, and confirms it. Returns their number.

    `pool` connects as the system. Raises RestoredDatabase if the database has other events in their place, PublishError
    if Kafka is unavailable.
    """
    missing = await read_missing_events(pool, bootstrap, topic)
    try:
        async with pool.acquire() as connection, connection.transaction():
            await confirm_within(connection)
            for event in missing:
                await repository.restore_event(connection, event)
            for reminder, event in _last_states(missing):
                await repository.restore_reminder(connection, reminder, event.recorded_at)
    except asyncpg.UniqueViolationError as error:
        raise RestoredDatabase(f"{topic} has other events than this database in the same places") from error
    return len(missing)


def _last_states(events: Sequence[Event]) -> list[tuple[Reminder, Event]]:
    """Returns the reminders as the last of their events left them, each with that event."""
    return list({(reminder := _reminder(event)).reminder_id: (reminder, event) for event in events}.values())


def _reminder(event: Event) -> Reminder:
    fact = event.stated_fact().fact
    if not isinstance(fact, ReminderEvent):
        raise TypeError(f"{fact.type_name} is no event of a reminder")
    changed_on = fact.sent_on if isinstance(fact, ReminderSent) else event.recorded_on or date.min
    site_id = event.site_id or ""
    return Reminder(
        reminder_id=fact.reminder_id,
        study_id=event.study_id,
        participant_id=event.stream_id,
        schedule=fact.course_id or INDEX_SCHEDULE,
        visit=fact.visit,
        step=fact.step,
        audience=fact.audience,
        addressee=site_id if fact.audience == "site" else STUDY_ADDRESSEE,
        site_id=site_id,
        target=fact.target,
        day=fact.day,
        state=_STATES[type(fact)],
        reason=_reason(fact),
        changed_on=changed_on,
    )


def _reason(fact: ReminderEvent) -> str:
    match fact:
        case ReminderSuppressed(reason=reason):
            return reason
        case ReminderFailed(code=code):
            return code
        case _:
            return ""
