"""From the outbox to Kafka: every event, in the order of its stream, at least once.

What is new is what is visible in a snapshot of now and was not in the snapshot `done`, ordered by `seq`. No reader by
number alone can do that: rows become visible in another order than their numbers were drawn in.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import asyncpg

from shared.contracts.cloudevents import Message, encode
from shared.outbox.bell import CHANNEL
from shared.outbox.lease import SQL, Held, Lease, LeaseLost
from shared.outbox.publisher import NotPublished, Publisher
from shared.outbox.rows import event
from shared.outbox.upkeep import prune, refuse_stranded

BUSY, IDLE = 0.05, 0.25  # seconds between two looks that no bell asked for: after something was there, and at last
AGAIN, MUCH_LATER = 0.1, 2.0  # seconds until another attempt: after the first failure, and after many
TIDY_EVERY = 60.0  # seconds
AWAY = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that was cut in the middle of a conversation
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
)
"""How it shows that a database is away for a while."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Page:
    """A full page may not be the last of what is visible in the snapshot `upto`; an empty one has no `last_seq`."""

    messages: Sequence[Message]
    upto: str
    last_seq: int | None
    full: bool


class Relay:
    """Relays the shards that no other relay has the lease of; any number may run.

    `pool` is the system role's and must have two connections more than there are shards. `bell` may be set by who
    appends in the same process; other processes ring through `Bell`. `doubt` is asked whenever a lease begins, for then
    another database may be there than before: it raises RestoredDatabase. `lease` is in seconds, `page` in events.
    """

    def __init__(
        self,
        pool: asyncpg.Pool[Any],
        publisher: Publisher,
        service: str,
        bell: asyncio.Event | None = None,
        *,
        doubt: Callable[[], Coroutine[Any, Any, None]] | None = None,
        shards: int = 1,
        lease: float = 10.0,
        page: int = 1_000,
    ) -> None:
        self._pool, self._publisher, self._service, self._page = pool, publisher, service, page
        self._bell, self._doubt = bell or asyncio.Event(), doubt
        owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
        self._leases = [Lease(pool, shard, owner, lease) for shard in range(shards)]
        self._rung = [asyncio.Event() for _ in range(shards)]
        self._breaks = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set. Outages are waited for. Raises RestoredDatabase or Stranded."""
        working = {asyncio.create_task(self._work(lease, stop)) for lease in self._leases}
        beside = {asyncio.create_task(each) for each in (self._listen(), self._tidy(), self._pass_on(), _until(stop))}
        every = working | beside
        try:
            while working:
                done, _ = await asyncio.wait(working | beside, return_when=asyncio.FIRST_COMPLETED)
                for each in done:
                    each.result()
                working, beside = working - done, beside - done
                self._ring()
        finally:
            for each in every:
                each.cancel()
            await asyncio.gather(*every, return_exceptions=True)

    def _ring(self, *_: object) -> None:
        for rung in self._rung:
            rung.set()

    async def _pass_on(self) -> None:
        while True:
            await self._bell.wait()
            self._bell.clear()
            self._ring()

    async def _listen(self) -> None:
        while True:
            with suppress(*AWAY):
                await self._listen_on_one_connection()
            self._breaks += 1
            await asyncio.sleep(MUCH_LATER)

    async def _listen_on_one_connection(self) -> None:
        ended = asyncio.Event()
        async with self._pool.acquire() as connection:
            connection.add_termination_listener(lambda _: ended.set())
            await connection.add_listener(CHANNEL, self._ring)
            try:
                await ended.wait()
            finally:
                await connection.remove_listener(CHANNEL, self._ring)

    async def _tidy(self) -> None:
        while True:
            with suppress(*AWAY):
                await refuse_stranded(self._pool, len(self._leases))
                await prune(self._pool)
            await asyncio.sleep(TIDY_EVERY)

    async def _work(self, lease: Lease, stop: asyncio.Event) -> None:
        pause = AGAIN
        while not stop.is_set():
            try:
                if held := await lease.acquire():
                    await self._relay(lease, held, stop)
                    pause = AGAIN
                else:
                    await _rest(stop, lease.seconds / 5)
            except LeaseLost as lost:
                _log.warning("another relay has taken over: %s", lost)
            except (*AWAY, NotPublished) as failure:
                _log.warning("shard %s could not be published, trying again in %.1f s: %s", lease.shard, pause, failure)
                await _rest(stop, pause)
                pause = min(2 * pause, MUCH_LATER)

    async def _relay(self, lease: Lease, held: Held, stop: asyncio.Event) -> None:
        """Publish what comes for as long as the lease is ours, and the database certainly the one that it began on."""
        pause, begun = BUSY, self._breaks
        try:
            if self._doubt:
                await _keeping(lease, held, stop, self._doubt())
            while not stop.is_set() and self._breaks == begun:
                self._rung[lease.shard].clear()
                before, held = held, await self._step(lease, held, stop)
                pause = BUSY if held != before else min(2 * pause, IDLE)
                if held.upto is None:
                    await _rest(self._rung[lease.shard], pause)
        finally:
            with suppress(*AWAY):
                await lease.release(held)

    async def _step(self, lease: Lease, held: Held, stop: asyncio.Event) -> Held:
        """What is new by now: each page published, and only then noted in the cursor, while the next one is read."""
        reading = asyncio.create_task(self._read(held))
        try:
            while True:
                page = await reading
                moved = held.past(page.upto, page.last_seq, full=page.full)
                if page.full:
                    reading = asyncio.create_task(self._read(moved))
                if page.messages:
                    await _keeping(lease, held, stop, self._publisher.publish(page.messages))
                await (lease.keep(held) if moved == held else lease.move(moved))
                held = moved
                if not page.full or stop.is_set():
                    return held
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(self, held: Held) -> _Page:
        query = SQL["next_page" if held.upto else "first_page"]
        upto = held.upto or str(await self._pool.fetchval(SQL["snapshot"]))
        rows = await self._pool.fetch(query, held.shard, held.done, upto, held.last_seq, self._page)
        messages = [encode(event(self._service, row)) for row in rows]
        return _Page(messages, upto, rows[-1]["seq"] if rows else None, len(rows) == self._page)


async def _keeping(lease: Lease, held: Held, stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Wait for it, with the lease kept. Raises LeaseLost when that was over before; NotPublished when told to stop."""
    working = asyncio.create_task(work)
    try:
        while not (await asyncio.wait({working}, timeout=min(lease.seconds / 3, 1.0)))[0]:
            await lease.keep(held)
            if stop.is_set():
                raise NotPublished("the relay is stopped")
        await working
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def _rest(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)


async def _until(stop: asyncio.Event) -> None:
    await stop.wait()
