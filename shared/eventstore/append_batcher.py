"""Appends that arrive together are sent together: several of them cost one conversation and one commit.

Nothing waits for company. While the database works on what was sent, what arrives gathers; it goes as soon as one of
its study's lanes is free. All of a sending is one transaction; when the database refuses it, nothing of it was kept,
and each append is tried by itself, so that it alone meets what is in its way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg

MAX_IN_FLIGHT = 2
"""Sendings of a study under way at a time: while one is in the database, what goes into the next is decided here."""
MIN_BATCH = 4
"""So many go together at once; of more, half, so that both lanes have something to carry."""
_SINGLE_APPEND_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError)
"""What may be the fault of one of them: its rows, or an argument that cannot be sent."""


@dataclass(frozen=True, slots=True)
class _PendingAppend:
    stream_id: str
    arguments: tuple[Any, ...]
    completed: asyncio.Future[None]

    def complete(self, error: BaseException | None = None) -> None:
        if self.completed.done():  # who asked has gone
            return
        if error is None:
            self.completed.set_result(None)
        else:
            self.completed.set_exception(error)


@dataclass(eq=False, slots=True)
class _StudyQueue:
    pending: list[_PendingAppend] = field(default_factory=list)
    in_flight: int = 0


class AppendBatcher:
    """Runs one statement for many callers, whose first two arguments are the study and the stream.

    A study that is locked holds up its own appends only, and one transaction is of one study.
    """

    def __init__(self, pool: asyncpg.Pool[Any], statement: str) -> None:
        self._pool, self._statement = pool, statement
        self._queues: dict[str, _StudyQueue] = {}
        self._tasks: set[asyncio.Task[None]] = set()  # a loop alone would not keep them

    async def append(self, study_id: str, stream_id: str, *further_arguments: Any) -> None:
        """Return when it is kept. Raises what the database says of this one, or that the connection was lost."""
        pending_append = _PendingAppend(
            stream_id, (study_id, stream_id, *further_arguments), asyncio.get_running_loop().create_future()
        )
        queue = self._queues.setdefault(study_id, _StudyQueue())
        queue.pending.append(pending_append)
        if queue.in_flight < MAX_IN_FLIGHT:
            queue.in_flight += 1
            task = asyncio.create_task(self._drain(study_id, queue))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        await pending_append.completed

    async def _drain(self, study_id: str, queue: _StudyQueue) -> None:
        try:
            while queue.pending:
                batch_size = max(MIN_BATCH, len(queue.pending) // 2)
                batch, queue.pending = queue.pending[:batch_size], queue.pending[batch_size:]
                await self._flush(batch)
        finally:  # in the step that found nothing waiting: who comes after it sees a free lane
            queue.in_flight -= 1
            if not queue.in_flight:
                self._queues.pop(study_id, None)

    async def _flush(self, batch: Sequence[_PendingAppend]) -> None:
        try:
            async with self._pool.acquire() as connection:
                if len(batch) == 1 or not await self._append_batch(connection, batch):
                    await self._append_one_by_one(connection, batch)
        except BaseException as error:  # whatever it is, it is theirs who asked
            for pending_append in batch:
                pending_append.complete(error)
            if not isinstance(error, Exception):
                raise

    async def _append_batch(self, connection: Any, batch: Sequence[_PendingAppend]) -> bool:
        """Streams are locked in one order by everybody. Keys are not: a cycle of those is broken by the database."""
        argument_rows = [
            pending_append.arguments for pending_append in sorted(batch, key=lambda asked: asked.stream_id)
        ]
        try:
            await connection.executemany(self._statement, argument_rows)
        except _SINGLE_APPEND_ERRORS:
            return False
        for asked in batch:
            asked.complete()
        return True

    async def _append_one_by_one(self, connection: Any, batch: Sequence[_PendingAppend]) -> None:
        for pending_append in batch:
            try:
                await connection.execute(self._statement, *pending_append.arguments)
            except _SINGLE_APPEND_ERRORS as error:
                pending_append.complete(error)
            else:
                pending_append.complete()
