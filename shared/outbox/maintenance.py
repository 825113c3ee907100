"""Maintenance of the outbox: status of the shards, pruning, and republication after a restore."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import asyncpg

from shared.contracts.cloudevents import encode
from shared.outbox.event_rows import event_from_row
from shared.outbox.lease import SQL
from shared.outbox.publisher import Publisher
from shared.retry import poll_until

PRUNE_BATCH_SIZE = 5_000
RESYNC_PAGE_SIZE = 500
_POLL_INTERVAL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class ShardStatus:
    """Status of a shard. `lag`: number of unpublished events; `oldest`: age in seconds of the oldest of them."""

    shard: int
    owner: str | None
    epoch: int
    is_leased: bool
    lag: int
    oldest: float | None


async def load_shard_status(pool: asyncpg.Pool[Any]) -> list[ShardStatus]:
    """Returns the status of every shard that was ever relayed. `pool` is the system role's, here and below."""
    return [ShardStatus(**row) for row in await pool.fetch(SQL["status"])]


async def load_relay_age(pool: asyncpg.Pool[Any]) -> float | None:
    """Returns the seconds since the relay had published everything; None if it never had. `pool` is the app's."""
    seconds: float | None = await pool.fetchval(SQL["published_seconds"])
    return seconds


class OrphanedShard(Exception):
    """Events wait in a shard that no relay publishes, because the number of shards was reduced."""


async def require_no_orphaned_shard(pool: asyncpg.Pool[Any], shards: int) -> None:
    """Raises OrphanedShard if unpublished events are in a shard beyond `shards`: nothing would publish them."""
    if (shard := await pool.fetchval(SQL["find_orphaned_shard"], shards)) is not None:
        raise OrphanedShard(f"events wait in shard {shard}; relay at least {shard + 1} shards until they are published")


class RelayRunning(Exception):
    """A relay has the lease of a shard and may publish."""


async def require_no_running_relay(pool: asyncpg.Pool[Any], *, timeout_seconds: float) -> None:
    """Raises RelayRunning if a relay has a lease until the timeout. The lease of a killed relay expires by itself."""
    owners: list[str | None] = []

    async def is_unleased() -> bool:
        owners[:] = [shard.owner for shard in await load_shard_status(pool) if shard.is_leased]
        return not owners

    try:
        await poll_until(is_unleased, interval_seconds=_POLL_INTERVAL_SECONDS, timeout_seconds=timeout_seconds)
    except TimeoutError:
        if not owners:
            raise
        raise RelayRunning(f"a worker publishes now ({owners[0]}); stop it, and run this again") from None


async def count_study_events(pool: asyncpg.Pool[Any], study_id: str) -> int:
    """Returns the number of events of a study that the service has recorded."""
    count: int = await pool.fetchval(SQL["count_study_events"], study_id)
    return count


async def count_events(pool: asyncpg.Pool[Any]) -> int:
    """Returns the number of events that the service has recorded, in all studies."""
    count: int = await pool.fetchval(SQL["count_events"])
    return count


async def prune(pool: asyncpg.Pool[Any], *, max_rows: int = 100 * PRUNE_BATCH_SIZE) -> int:
    """Deletes published outbox rows, at most `max_rows`; returns the number of rows deleted."""
    pruned_rows = 0
    while pruned_rows < max_rows:
        size = min(PRUNE_BATCH_SIZE, max_rows - pruned_rows)
        deleted = int((await pool.execute(SQL["prune"], size)).split()[1])
        pruned_rows += deleted
        if deleted < size:
            break
    return pruned_rows


async def resync(pool: asyncpg.Pool[Any], publisher: Publisher, service: str, *, shards: int = 1) -> int:
    """Publishes every event again in the order of recording, and resets the cursors; returns the number of events.

    The relay publishes the events that are appended meanwhile. An interrupted resync changes nothing in the database;
    run it again.
    """
    async with pool.acquire() as connection:
        snapshot = await connection.fetchval(SQL["snapshot"])
        async with connection.transaction():
            published_count, event_cursor = 0, await connection.cursor(SQL["history"])
            while rows := await event_cursor.fetch(RESYNC_PAGE_SIZE):
                await publisher.publish([encode(event_from_row(service, row)) for row in rows])
                published_count += len(rows)
            await connection.execute(SQL["delete_resynced"], snapshot)
            await connection.execute(SQL["reset_cursors"], shards, snapshot)
    return published_count
