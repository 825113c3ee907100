"""Writes what became of the reminders in a digest."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime

from services.analytics.reminders import deliveries, repository, status
from services.analytics.reminders.deliveries import ReminderOutcome
from services.analytics.reminders.log import Reminder
from services.analytics.reminders.sender import DigestOutcome
from shared.postgres.tenancy import PooledConnection


async def record_outcome(
    connection: PooledConnection,
    study_id: str,
    member: str,
    site_id: str,
    day: date,
    outcome: DigestOutcome,
    at: datetime,
    *,
    shards: int = 1,
) -> None:
    """Stores the outcome of a member's digest, and the reminders whose state it decides, with their events.

    A reminder is sent once a digest with it was sent to one member, and has failed when none can be any more.
    `site_id`: `*` for a digest of all sites.
    """
    ended = await deliveries.end_deliveries(connection, study_id, member, site_id, day, outcome.state, outcome.code, at)
    outcomes = await deliveries.load_outcomes(connection, ended, day)
    for recipients in sorted({digested.recipients for digested in outcomes}):
        decided = (_decided(digested, outcome, day) for digested in outcomes if digested.recipients == recipients)
        changed = [reminder for reminder in decided if reminder]
        await repository.store_reminders(connection, study_id, changed, at, shards=shards, recipients=recipients)
        sent = sum(reminder.state == "sent" for reminder in changed)
        await status.count_outcomes(connection, study_id, sent=sent, failed=len(changed) - sent)


def _decided(digested: ReminderOutcome, outcome: DigestOutcome, day: date) -> Reminder | None:
    """Returns the reminder as the outcomes of its digests leave it; None if it stays as it is."""
    if digested.reminder.state != "planned":
        return None
    if digested.reached:
        return replace(digested.reminder, state="sent", changed_on=day)
    if digested.recipients:
        return None
    return replace(digested.reminder, state="failed", reason=outcome.code or "unknown", changed_on=day)
