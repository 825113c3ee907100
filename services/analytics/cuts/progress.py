"""States in the database how far a sealing is, beside its transaction, for pages and commands that wait for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from services.analytics.cuts.repository import delete_progress, write_progress
from services.analytics.snapshot.seals import SealStage
from shared.progress import ReportProgress
from shared.retry import wait_for_event

WRITE_INTERVAL_SECONDS = 1.0
_log = logging.getLogger(__name__)


@asynccontextmanager
async def state_progress(
    pool: asyncpg.Pool[Any], study_id: str, name: str, stage: SealStage
) -> AsyncIterator[ReportProgress]:
    """Yields a function, for any thread, that takes how many files of a data cut are made, and of how many.

    The newest numbers are written once a second, also unchanged ones, so that a process that is killed can be told
    from one that works. They are removed at the end of the block, however it ends. Progress is no part of a seal: what
    cannot be written is logged, once in a sealing, and fails nothing.
    """
    statement, stop = _ProgressStatement(pool, study_id, name, stage), asyncio.Event()
    writer = asyncio.create_task(statement.write_until(stop))
    try:
        yield statement.report
    finally:
        stop.set()
        await writer  # before the row is removed, or it could come back
        await statement.remove()


class _ProgressStatement:
    """The newest progress of one stage of sealing a data cut, and its row in the database."""

    def __init__(self, pool: asyncpg.Pool[Any], study_id: str, name: str, stage: SealStage) -> None:
        self._pool, self._key, self._has_failed = pool, (study_id, name, stage), False
        self._newest: tuple[int, int] | None = None
        self._written: tuple[int, int] | None = None

    def report(self, done: int, of: int) -> None:
        """Notes how far the sealing is; the next write has it. One assignment, so any thread may call it."""
        self._newest = (done, of)

    async def write_until(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            if newest := self._newest:
                await self._attempt(write_progress(self._pool, *self._key, *newest, notify=newest != self._written))
                self._written = newest
            await wait_for_event(stop, WRITE_INTERVAL_SECONDS)

    async def remove(self) -> None:
        await self._attempt(delete_progress(self._pool, *self._key))

    async def _attempt(self, write: Awaitable[None]) -> None:
        try:
            await write
        except Exception:  # of any kind: the seal does not depend on it
            if not self._has_failed:
                _log.warning("progress of sealing cannot be stated", exc_info=True, extra={"study_id": self._key[0]})
            self._has_failed = True
