"""The doorbell: tells the relay that there is something to read. A lost ring costs a quarter of a second, no more.

Rung after the commit and from another connection: a NOTIFY within the appending transaction would halve the rate at
which a database takes appends.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import asyncpg

from shared.outbox.lease import SQL
from shared.postgres.errors import FAILED_QUERY

CHANNEL = "quartal_bell"
NOTIFY_INTERVAL_SECONDS = 0.01  # seconds
_log = logging.getLogger(__name__)


class AppendNotifier:
    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool
        self._pending_studies: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def notify(self, study_id: str) -> None:
        """Returns at once. Rings within 10 ms of each other are one notification per study."""
        self._pending_studies.add(study_id)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._send_notifications())

    async def _send_notifications(self) -> None:
        while self._pending_studies:
            studies, self._pending_studies = sorted(self._pending_studies), set()
            try:
                await self._pool.execute(SQL["ring"], studies)
            except FAILED_QUERY as failure:
                _log.warning("the relay could not be notified of new events: %s", failure)
            await asyncio.sleep(NOTIFY_INTERVAL_SECONDS)

    async def close(self) -> None:
        """Rings what is still to be rung."""
        if self._task:
            await self._task
