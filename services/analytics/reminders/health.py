"""The state of reminders for monitoring: `/analytics/health/reminders`, and numbers for Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import asyncpg
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from services.analytics.reminders.currency import OBSTACLES
from services.analytics.reminders.repository import SQL
from services.analytics.snapshot.api import StudyResources
from shared.web.container import get_container
from shared.web.metrics import Sample
from shared.web.route_classes import StrictRoute

SILENT_SECONDS = 60.0
"""Seconds without a sign of life after which the worker of reminders is taken for stopped."""
WAITING_SECONDS = 600.0
"""Seconds after which digests that wait are a fault: facts arrive within seconds."""
routes = APIRouter(include_in_schema=False, route_class=StrictRoute)


class ReminderStatus(NamedTuple):
    """The state of a study's reminders.

    `silent_seconds`: since the last sign of life of the worker, in a new study since its last fact. `waits_for`: what
    its digests wait for, since `waiting_seconds`. `planned`: reminders that the next digests have, the oldest since
    `oldest_seconds`. `unreached`: reminders that nobody receives. `sent`, `failed`: numbers of outcomes. `undelivered`:
    mails that were tried more than once; `is_mail_stuck`: the mail server has taken none since.
    """

    study_id: str
    silent_seconds: float
    waits_for: str | None
    waiting_seconds: float
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
            self.waits_for if self.waiting_seconds > WAITING_SECONDS else None,
        )
        return tuple(fault for fault in possible if fault)

    @property
    def fault(self) -> str | None:
        """The weightiest fault; None without one."""
        return next(iter(self.faults), None)


async def load_statuses(system_pool: asyncpg.Pool[Any]) -> list[ReminderStatus]:
    """Returns the state of reminders of every study with derived rows."""
    return [ReminderStatus(**row) for row in await system_pool.fetch(SQL["status"])]


@routes.get("/analytics/health/reminders")
async def reminders_health(request: Request) -> JSONResponse:
    """Returns 200 while reminders of every study are planned and composed, else 503 with every cause.

    With each cause stands the number of studies that it holds up.
    """
    statuses = await load_statuses(get_container(request).get_resources(StudyResources).system_pool)
    faulty = [status.faults for status in statuses if status.faults]
    if not faulty:
        return JSONResponse({"status": "ready"})
    causes = Counter(fault for faults in faulty for fault in faults)
    body = {"status": min(causes), "studies": len(faulty), "causes": dict(sorted(causes.items()))}
    return JSONResponse(body, status_code=503)


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


def _waiting_sample(status: ReminderStatus, cause: str) -> Sample:
    seconds = status.waiting_seconds if status.waits_for == cause else 0
    labels = {"study": status.study_id, "waits_for": cause}
    return Sample("quartal_reminders_waiting_seconds", "Seconds for which digests wait for this", seconds, labels)
