"""The state of reminders for monitoring: `/analytics/health/reminders`, and numbers for Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import asyncpg
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from services.analytics.reminders.currency import OBSTACLES, Obstacle
from services.analytics.reminders.repository import SQL
from services.analytics.snapshot.api import StudyResources
from shared.web.container import get_container
from shared.web.metrics import Sample
from shared.web.route_classes import StrictRoute

SILENT_SECONDS = 60.0
"""Seconds without a sign of life after which the worker of reminders is taken for stopped."""
WAITING_SECONDS = 600.0
"""Seconds after which digests that wait are a fault: facts arrive within seconds."""
FAULTS = ("stopped", "mail", *OBSTACLES)
"""The faults that keep reminders from being sent, the weightiest first."""
routes = APIRouter(include_in_schema=False, route_class=StrictRoute)


class ReminderStatus(NamedTuple):
    """The state of a study's reminders.

    `silent_seconds`: since the last sign of life of the worker, in a new study since its last fact. `waits`: what its
    digests wait for, the weightiest first, each with the seconds for which it has held them up. `planned`: reminders
    that the next digests have, the oldest since `oldest_seconds`. `unreached`: reminders that nobody receives. `sent`,
    `failed`: numbers of outcomes. `undelivered`: mails that were tried more than once; `is_mail_stuck`: the mail server
    has taken none since.
    """

    study_id: str
    silent_seconds: float
    waits: Mapping[Obstacle, float]
    sent: int
    failed: int
    planned: int
    unreached: int
    oldest_seconds: float
    undelivered: int
    is_mail_stuck: bool

    @property
    def faults(self) -> tuple[str, ...]:
        """The faults that keep reminders from being sent, the weightiest first."""
        possible = (
            "stopped" if self.silent_seconds > SILENT_SECONDS else None,
            "mail" if self.is_mail_stuck else None,
            *(cause for cause, seconds in self.waits.items() if seconds > WAITING_SECONDS),
        )
        return tuple(fault for fault in possible if fault)

    @property
    def fault(self) -> str | None:
        """The weightiest fault; None without one."""
        return next(iter(self.faults), None)


async def load_statuses(system_pool: asyncpg.Pool[Any]) -> list[ReminderStatus]:
    """Returns the state of reminders of every study with derived rows."""
    return [_read_status(row) for row in await system_pool.fetch(SQL["status"])]


def _read_status(row: asyncpg.Record) -> ReminderStatus:
    values = dict(row)
    seconds = dict(zip(values.pop("causes"), values.pop("waiting_seconds"), strict=True))
    return ReminderStatus(**values, waits={cause: seconds[cause] for cause in OBSTACLES if cause in seconds})


@routes.get("/analytics/health/reminders")
async def reminders_health(request: Request) -> JSONResponse:
    """Returns 200 while reminders of every study are planned and composed, else 503 with every cause.

    With each cause stands the number of studies that it holds up.
    """
    statuses = await load_statuses(get_container(request).get_resources(StudyResources).system_pool)
    report = describe_health([status.faults for status in statuses])
    return JSONResponse(report, status_code=503 if "causes" in report else 200)


def describe_health(faults: Sequence[Sequence[str]]) -> dict[str, str | int | dict[str, int]]:
    """Returns the report on studies, given the faults of each: the weightiest fault, and how many studies each has.

    Without any fault it has the status `ready` alone.
    """
    counts = Counter(fault for faults_of_study in faults for fault in faults_of_study)
    if not counts:
        return {"status": "ready"}
    causes = {fault: counts[fault] for fault in FAULTS if fault in counts}
    return {"status": next(iter(causes)), "studies": sum(map(bool, faults)), "causes": causes}


async def collect_reminder_metrics(system_pool: asyncpg.Pool[Any]) -> Sequence[Sample]:
    """Returns the numbers of every study. What its digests do not wait for has 0 seconds."""
    statuses = await load_statuses(system_pool)
    return [
        Sample(f"quartal_reminders_{name}", description, number, {"study": status.study_id})
        for status in statuses
        for name, description, number in (
            ("due", "Reminders that the next digests have", status.planned),
            ("unreached", "Reminders that no member receives", status.unreached),
            ("sent_total", "Reminders that were sent", status.sent),
            ("failed_total", "Reminders that could be sent to nobody", status.failed),
            ("oldest_due_seconds", "Age of the oldest planned reminder", status.oldest_seconds),
            ("undelivered", "Mails that were tried more than once", status.undelivered),
            ("smtp_up", "0 while the mail server takes no mail", 0 if status.is_mail_stuck else 1),
            ("silent_seconds", "Seconds since the last sign of life of the worker", status.silent_seconds),
        )
    ] + [_waiting_sample(status, cause) for status in statuses for cause in OBSTACLES]


def _waiting_sample(status: ReminderStatus, cause: Obstacle) -> Sample:
    seconds = status.waits.get(cause, 0)
    labels = {"study": status.study_id, "waits_for": cause}
    return Sample("quartal_reminders_waiting_seconds", "Seconds for which digests wait for this", seconds, labels)
