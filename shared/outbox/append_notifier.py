"""Notifies the relay of new events, so that it need not wait for its next poll, at most a quarter of a second later.

Sent after the commit and on another connection: a NOTIFY within the appending transaction would halve the rate of
appends.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import asyncpg

from shared.outbox.lease import SQL
from shared.postgres.errors import FAILED_QUERY

CHANNEL = "quartal_bell"
NOTIFY_INTERVAL_SECONDS = 0.01
_log = logging.getLogger(__name__)


class AppendNotifier:
    """Sends notifications from a background task, one per study and interval."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool
        self._pending_studies: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def notify(self, study_id: str) -> None:
        """Schedules a notification and returns at once. Calls within 10 ms become one notification per study."""
        self._pending_studies.add(study_id)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._send_notifications())

    async def _send_notifications(self) -> None:
        while self._pending_studies:
            studies, self._pending_studies = sorted(self._pending_studies), set()
            try:
                await self._pool.execute(SQL["notify"], studies)
            except FAILED_QUERY as failure:
                _log.warning("the relay could not be notified of new events: %s", failure)
            await asyncio.sleep(NOTIFY_INTERVAL_SECONDS)

    async def close(self) -> None:
        """Sends the notifications that are still pending."""
        if self._task:
            await self._task
