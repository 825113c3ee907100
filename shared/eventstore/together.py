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

LANES = 2
"""Sendings of a study under way at a time: while one is in the database, what goes into the next is decided here."""
FEW = 4
"""So many go together at once; of more, half, so that both lanes have something to carry."""
_OF_ONE = (asyncpg.PostgresError, asyncpg.InterfaceError)
"""What may be the fault of one of them: its rows, or an argument that cannot be sent."""


@dataclass(frozen=True, slots=True)
class _Asked:
    stream_id: str
    arguments: tuple[Any, ...]
    kept: asyncio.Future[None]

    def settle(self, failure: BaseException | None = None) -> None:
        if self.kept.done():  # who asked has gone
            return
        if failure is None:
            self.kept.set_result(None)
        else:
            self.kept.set_exception(failure)


@dataclass(eq=False, slots=True)
class _Study:
    waiting: list[_Asked] = field(default_factory=list)
    sending: int = 0


class Together:
    """Runs one statement for many callers, whose first two arguments are the study and the stream.

    A study that is locked holds up its own appends only, and one transaction is of one study.
    """

    def __init__(self, pool: asyncpg.Pool[Any], statement: str) -> None:
        self._pool, self._statement = pool, statement
        self._studies: dict[str, _Study] = {}
        self._sendings: set[asyncio.Task[None]] = set()  # a loop alone would not keep them

    async def run(self, study_id: str, stream_id: str, *more: Any) -> None:
        """Return when it is kept. Raises what the database says of this one, or that the connection was lost."""
        asked = _Asked(stream_id, (study_id, stream_id, *more), asyncio.get_running_loop().create_future())
        study = self._studies.setdefault(study_id, _Study())
        study.waiting.append(asked)
        if study.sending < LANES:
            study.sending += 1
            sending = asyncio.create_task(self._send(study_id, study))
            self._sendings.add(sending)
            sending.add_done_callback(self._sendings.discard)
        await asked.kept

    async def _send(self, study_id: str, study: _Study) -> None:
        try:
            while study.waiting:
                many = max(FEW, len(study.waiting) // 2)
                batch, study.waiting = study.waiting[:many], study.waiting[many:]
                await self._settle(batch)
        finally:  # in the step that found nothing waiting: who comes after it sees a free lane
            study.sending -= 1
            if not study.sending:
                self._studies.pop(study_id, None)

    async def _settle(self, batch: Sequence[_Asked]) -> None:
        try:
            async with self._pool.acquire() as connection:
                if len(batch) == 1 or not await self._kept_together(connection, batch):
                    await self._keep_each(connection, batch)
        except BaseException as failure:  # whatever it is, it is theirs who asked
            for asked in batch:
                asked.settle(failure)
            if not isinstance(failure, Exception):
                raise

    async def _kept_together(self, connection: Any, batch: Sequence[_Asked]) -> bool:
        """Streams are locked in one order by everybody. Keys are not: a cycle of those is broken by the database."""
        every = [asked.arguments for asked in sorted(batch, key=lambda asked: asked.stream_id)]
        try:
            await connection.executemany(self._statement, every)
        except _OF_ONE:
            return False
        for asked in batch:
            asked.settle()
        return True

    async def _keep_each(self, connection: Any, batch: Sequence[_Asked]) -> None:
        for asked in batch:
            try:
                await connection.execute(self._statement, *asked.arguments)
            except _OF_ONE as failure:
                asked.settle(failure)
            else:
                asked.settle()
