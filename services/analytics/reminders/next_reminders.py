"""The next reminders of visits on the worklist, as they will be sent if nothing more is recorded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

from services.analytics.derivation.rows import NEVER
from services.analytics.reminders.coming_steps import ComingSteps
from services.analytics.reminders.repository import VisitKey
from services.analytics.reminders.steps import SentStep, VisitOnDay
from services.analytics.schedule.service import NextReminder, ScheduleVisit, VisitRowKey
from services.analytics.schedule.worklist import WorklistVisit
from shared.kernel.record import Record
from shared.postgres.named_queries import load_queries
from shared.postgres.tenancy import PooledConnection
from shared.protocol.schedule import Visit

SQL = load_queries(Path(__file__).with_suffix(".sql"))


class Silence(NamedTuple):
    """A snooze and an acknowledgment of a visit. `until`: the first day on which reminders may be sent again."""

    until: date | None
    is_acknowledged: bool


async def load_next_reminders(
    connection: PooledConnection, study_id: str, study: Record, visits: Sequence[ScheduleVisit]
) -> dict[VisitRowKey, NextReminder]:
    """Returns the next reminder to its site of each of the tenant's visits that has one."""
    coming_steps = ComingSteps.from_study(study, {})
    silenced = await _load_silenced(connection, study_id, visits)
    sent = await _load_sent(connection, study_id, visits)
    reminders = dict[VisitRowKey, NextReminder]()
    for visit, schedule in visits:
        key = (visit.participant_id, visit.sequence)
        if key in silenced:  # and not another tenant's
            sent_steps = sent[visit.participant_id, schedule, visit.number]
            if step := coming_steps.find(_occasion(visit, silenced[key]), sent_steps, audiences=["site"]):
                reminders[key] = NextReminder(step.name, step.day)
    return reminders


def _occasion(visit: WorklistVisit, silence: Silence) -> VisitOnDay:
    return VisitOnDay(
        visit=Visit(visit.number, visit.opens, visit.target, visit.closes, visit.slot_ends),
        site_id=visit.site_id,
        today=visit.today,
        state=visit.state,
        declared_on=visit.declared_on,
        scheduled_on=visit.scheduled_on,
        snoozed_until=silence.until,
        is_acknowledged=silence.is_acknowledged,
    )


async def _load_silenced(
    connection: PooledConnection, study_id: str, visits: Sequence[ScheduleVisit]
) -> dict[VisitRowKey, Silence]:
    keys = [[visit.participant_id for visit, _ in visits], [visit.sequence for visit, _ in visits]]
    rows = await connection.fetch(SQL["silenced"], study_id, *keys)
    return {
        (row["participant_id"], row["sequence"]): Silence(
            None if row["snoozed_until"] == NEVER else row["snoozed_until"], row["is_acknowledged"]
        )
        for row in rows
    }


async def _load_sent(
    connection: PooledConnection, study_id: str, visits: Sequence[ScheduleVisit]
) -> defaultdict[VisitKey, list[SentStep]]:
    ids = sorted({visit.participant_id for visit, _ in visits})
    sent = defaultdict[VisitKey, list[SentStep]](list)
    for row in await connection.fetch(SQL["sent"], study_id, ids):
        key = (row["participant_id"], row["schedule"], row["visit"])
        sent[key].append(SentStep(row["step"], row["audience"], row["addressee"], row["target"]))
    return sent
