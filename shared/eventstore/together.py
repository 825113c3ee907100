"""Appends that arrive together are sent together: several of them cost one conversation and one commit.

Nothing waits for company. While the database works on what was sent, what arrives gathers; it goes as soon as one of
the lanes is free. All of a sending is one transaction; when the database refuses it, nothing of it was kept, and each
append is tried by itself, so that it alone meets what is in its way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

LANES = 2
"""Sendings under way at a time: while one is in the database, this process decides what goes into the next."""
FEW = 4
"""So many go together at once; of more, half, so that both lanes have something to carry."""
_OF_ONE = (asyncpg.PostgresError, asyncpg.InterfaceError)
"""What may be the fault of one of them: its rows, or an argument that cannot be sent."""


@dataclass(frozen=True, slots=True)
class _Asked:
    arguments: tuple[Any, ...]
    kept: asyncio.Future[None]

    def settle(self, failure: BaseException | None = None) -> None:
        if self.kept.done():  # who asked has gone
            return
        if failure is None:
            self.kept.set_result(None)
        else:
            self.kept.set_exception(failure)


class Together:
    """Runs one statement for many callers. Arguments begin with what says the order in which rows are locked."""

    def __init__(self, pool: asyncpg.Pool[Any], statement: str, *, ordered_by: int) -> None:
        self._pool, self._statement, self._ordered_by = pool, statement, ordered_by
        self._waiting: list[_Asked] = []
        self._sending: set[asyncio.Task[None]] = set()

    async def run(self, *arguments: Any) -> None:
        """Return when it is kept. Raises what the database says of this one, or that the connection was lost."""
        asked = _Asked(arguments, asyncio.get_running_loop().create_future())
        self._waiting.append(asked)
        if len(self._sending) < LANES:
            sending = asyncio.create_task(self._send())
            self._sending.add(sending)
            sending.add_done_callback(self._sending.discard)
        await asked.kept

    async def _send(self) -> None:
        while self._waiting:
            many = max(FEW, len(self._waiting) // 2)
            batch, self._waiting = self._waiting[:many], self._waiting[many:]
            try:
                async with self._pool.acquire() as connection:
                    await self._keep(connection, batch)
            except Exception as failure:  # whatever it is, it is theirs who asked
                for asked in batch:
                    asked.settle(failure)

    async def _keep(self, connection: Any, batch: Sequence[_Asked]) -> None:
        if len(batch) > 1 and await self._kept_together(connection, batch):
            for asked in batch:
                asked.settle()
        else:
            await self._keep_each(connection, batch)

    async def _kept_together(self, connection: Any, batch: Sequence[_Asked]) -> bool:
        """Everybody locks rows in one order, so that two sendings do not wait for each other."""
        every = sorted((asked.arguments for asked in batch), key=lambda arguments: arguments[: self._ordered_by])
        try:
            await connection.executemany(self._statement, every)
        except _OF_ONE:
            return False
        return True

    async def _keep_each(self, connection: Any, batch: Sequence[_Asked]) -> None:
        for asked in batch:
            try:
                await connection.execute(self._statement, *asked.arguments)
            except _OF_ONE as failure:
                asked.settle(failure)
            else:
                asked.settle()
