"""Publishes the events of the outbox to Kafka, each at least once, in the order of its stream.

New events are those visible in a current snapshot and not in the snapshot `done`, ordered by `seq`. A reader that goes
by `seq` alone would lose events, because rows become visible in another order than their numbers were drawn.
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
from shared.outbox.append_notifier import CHANNEL
from shared.outbox.event_rows import event_from_row
from shared.outbox.lease import SQL, Lease, LeaseLost, LeaseState
from shared.outbox.maintenance import prune, require_no_orphaned_shard
from shared.outbox.publisher import Publisher, PublishError
from shared.postgres.errors import UNAVAILABLE
from shared.retry import Backoff, wait_for_event

POLL_BUSY_SECONDS, POLL_IDLE_SECONDS = 0.05, 0.25
"""Pauses between two reads without a notification: after the last new event, and after many empty reads."""
RETRY_MIN_SECONDS, RETRY_MAX_SECONDS = 0.1, 2.0
PRUNE_INTERVAL_SECONDS = 60.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Page:
    """Messages of one read as of snapshot `upto`. More may follow a full page; an empty one has no `last_seq`."""

    messages: Sequence[Message]
    upto: str
    last_seq: int | None
    is_full: bool


class Relay:
    """Publishes the shards whose leases it can acquire; any number of relays may run.

    `pool` is the system role's and needs two connections more than there are shards. `local_appends` is set by code
    that appends in the same process; other processes use an `AppendNotifier`. `restore_check` runs whenever a lease
    begins, since the database may have been replaced before: it raises RestoredDatabase. `page_size` is in events.
    """

    def __init__(
        self,
        pool: asyncpg.Pool[Any],
        publisher: Publisher,
        service: str,
        local_appends: asyncio.Event | None = None,
        *,
        restore_check: Callable[[], Coroutine[Any, Any, None]] | None = None,
        shards: int = 1,
        lease_seconds: float = 10.0,
        page_size: int = 1_000,
    ) -> None:
        self._pool, self._publisher, self._service, self._page_size = pool, publisher, service, page_size
        self._local_appends, self._restore_check = local_appends or asyncio.Event(), restore_check
        owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
        self._leases = [Lease(pool, shard, owner, lease_seconds) for shard in range(shards)]
        self._wakeups = [asyncio.Event() for _ in range(shards)]
        self._connection_losses = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Publishes until `stop` is set, through outages. Raises RestoredDatabase or OrphanedShard."""
        shard_tasks = {asyncio.create_task(self._run_shard(lease, stop)) for lease in self._leases}
        service_tasks = {
            asyncio.create_task(task)
            for task in (
                self._listen(),
                self._prune_periodically(),
                self._forward_local_notifications(),
                _wait_until_set(stop),
            )
        }
        all_tasks = shard_tasks | service_tasks
        try:
            while shard_tasks:
                finished, _ = await asyncio.wait(shard_tasks | service_tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in finished:
                    task.result()
                shard_tasks, service_tasks = shard_tasks - finished, service_tasks - finished
                self._wake_shards()
        finally:
            for task in all_tasks:
                task.cancel()
            await asyncio.gather(*all_tasks, return_exceptions=True)

    def _wake_shards(self, *_: object) -> None:
        for wakeup in self._wakeups:
            wakeup.set()

    async def _forward_local_notifications(self) -> None:
        while True:
            await self._local_appends.wait()
            self._local_appends.clear()
            self._wake_shards()

    async def _listen(self) -> None:
        while True:
            with suppress(*UNAVAILABLE):
                await self._listen_on_one_connection()
            self._connection_losses += 1
            await asyncio.sleep(RETRY_MAX_SECONDS)

    async def _listen_on_one_connection(self) -> None:
        connection_lost = asyncio.Event()
        async with self._pool.acquire() as connection:
            connection.add_termination_listener(lambda _: connection_lost.set())
            await connection.add_listener(CHANNEL, self._wake_shards)
            try:
                await connection_lost.wait()
            finally:
                await connection.remove_listener(CHANNEL, self._wake_shards)

    async def _prune_periodically(self) -> None:
        while True:
            with suppress(*UNAVAILABLE):
                await require_no_orphaned_shard(self._pool, len(self._leases))
                await prune(self._pool)
            await asyncio.sleep(PRUNE_INTERVAL_SECONDS)

    async def _run_shard(self, lease: Lease, stop: asyncio.Event) -> None:
        backoff = Backoff(RETRY_MIN_SECONDS, RETRY_MAX_SECONDS)
        while not stop.is_set():
            try:
                if state := await lease.acquire():
                    await self._publish_while_leased(lease, state, stop)
                    backoff.reset()
                else:
                    await wait_for_event(stop, lease.seconds / 5)
            except LeaseLost as error:
                _log.warning("another relay has taken over: %s", error)
            except (*UNAVAILABLE, PublishError) as failure:
                _log.warning(
                    "shard %s could not be published, trying again in %.1f s: %s", lease.shard, backoff.seconds, failure
                )
                await backoff.wait(stop)

    async def _publish_while_leased(self, lease: Lease, state: LeaseState, stop: asyncio.Event) -> None:
        """Publishes until the lease is lost, or a lost connection makes it uncertain that the database is the same."""
        poll, initial_losses = Backoff(POLL_BUSY_SECONDS, POLL_IDLE_SECONDS), self._connection_losses
        try:
            if self._restore_check:
                await _with_lease_renewal(lease, state, stop, self._restore_check())
            while not stop.is_set() and self._connection_losses == initial_losses:
                self._wakeups[lease.shard].clear()
                previous, state = state, await self._publish_new_events(lease, state, stop)
                if state != previous:
                    poll.reset()
                if state.upto is None:
                    await poll.wait(self._wakeups[lease.shard])
        finally:
            with suppress(*UNAVAILABLE):
                await lease.release(state)

    async def _publish_new_events(self, lease: Lease, state: LeaseState, stop: asyncio.Event) -> LeaseState:
        """Publishes the new events page by page; stores the cursor after each page, while the next one is read."""
        reading = asyncio.create_task(self._read_page(state))
        try:
            while True:
                page = await reading
                next_state = state.advance(page.upto, page.last_seq, full=page.is_full)
                if page.is_full:
                    reading = asyncio.create_task(self._read_page(next_state))
                if page.messages:
                    await _with_lease_renewal(lease, state, stop, self._publisher.publish(page.messages))
                await (lease.renew_idle(state) if next_state == state else lease.store_cursor(next_state))
                state = next_state
                if not page.is_full or stop.is_set():
                    return state
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read_page(self, state: LeaseState) -> _Page:
        query = SQL["next_page" if state.upto else "first_page"]
        upto = state.upto or str(await self._pool.fetchval(SQL["snapshot"]))
        rows = await self._pool.fetch(query, state.shard, state.done, upto, state.last_seq, self._page_size)
        messages = [encode(event_from_row(self._service, row)) for row in rows]
        return _Page(messages, upto, rows[-1]["seq"] if rows else None, len(rows) == self._page_size)


async def _with_lease_renewal(
    lease: Lease, state: LeaseState, stop: asyncio.Event, work: Coroutine[Any, Any, None]
) -> None:
    """Runs `work` and renew the lease meanwhile. Raises LeaseLost, or PublishError when `stop` is set."""
    task = asyncio.create_task(work)
    try:
        while not (await asyncio.wait({task}, timeout=min(lease.seconds / 3, 1.0)))[0]:
            await lease.renew(state)
            if stop.is_set():
                raise PublishError("the relay is stopped")
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _wait_until_set(event: asyncio.Event) -> None:
    await event.wait()
