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

CHANNEL = "quartal_bell"
AT_MOST_EVERY = 0.01  # seconds
_log = logging.getLogger(__name__)


class Bell:
    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool
        self._rung: set[str] = set()
        self._ringing: asyncio.Task[None] | None = None

    def ring(self, study_id: str) -> None:
        """Returns at once. Rings within 10 ms of each other are one notification per study."""
        self._rung.add(study_id)
        if self._ringing is None or self._ringing.done():
            self._ringing = asyncio.create_task(self._ring())

    async def _ring(self) -> None:
        while self._rung:
            studies, self._rung = sorted(self._rung), set()
            try:
                await self._pool.execute(SQL["ring"], studies)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as failure:
                _log.warning("the relay could not be notified of new events: %s", failure)
            await asyncio.sleep(AT_MOST_EVERY)

    async def close(self) -> None:
        """Rings what is still to be rung."""
        if self._ringing:
            await self._ringing
