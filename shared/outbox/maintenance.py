"""Around the relay: how far behind it is, what it no longer needs, and a new beginning after a restore."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import asyncpg

from shared.contracts.cloudevents import encode
from shared.outbox.event_rows import event_from_row
from shared.outbox.lease import SQL
from shared.outbox.publisher import Publisher

PRUNE_BATCH_SIZE = 5_000
RESYNC_PAGE_SIZE = 500
_POLL_INTERVAL_SECONDS = 0.2  # seconds


@dataclass(frozen=True, slots=True)
class ShardStatus:
    """`lag`: rows not yet published; `oldest`: age in seconds of the oldest of them; `held`: someone has the lease."""

    shard: int
    owner: str | None
    epoch: int
    is_leased: bool
    lag: int
    oldest: float | None


async def load_shard_status(pool: asyncpg.Pool[Any]) -> list[ShardStatus]:
    """Of every shard that was ever relayed. `pool` is the system role's, here and below."""
    rows = await pool.fetch(SQL["status"])
    return [
        ShardStatus(row["shard"], row["owner"], row["epoch"], row["held"], row["rows"], row["oldest"]) for row in rows
    ]


class OrphanedShard(Exception):
    """Rows wait in a shard that this relay does not look at: it was started with fewer than there were."""


async def require_no_orphaned_shard(pool: asyncpg.Pool[Any], shards: int) -> None:
    """Raises Stranded: nobody would publish those rows, and later events of their streams would wait for them."""
    if (shard := await pool.fetchval(SQL["stranded"], shards)) is not None:
        raise OrphanedShard(f"events wait in shard {shard}; relay at least {shard + 1} shards until they are published")


class RelayRunning(Exception):
    """A relay has the lease of a shard, and publishes."""


async def require_no_running_relay(pool: asyncpg.Pool[Any], *, timeout_seconds: float) -> None:
    """Raises RelayAtWork where a relay still has a lease after `within` seconds; a killed one's ends by itself."""
    deadline = asyncio.get_running_loop().time() + timeout_seconds
    while leased_shards := [shard for shard in await load_shard_status(pool) if shard.is_leased]:
        if asyncio.get_running_loop().time() > deadline:
            raise RelayRunning(f"a worker publishes now ({leased_shards[0].owner}); stop it, and run this again")
        await asyncio.sleep(_POLL_INTERVAL_SECONDS)


async def count_events(pool: asyncpg.Pool[Any]) -> int:
    """How many events the service has recorded, in all studies."""
    count: int = await pool.fetchval(SQL["count_events"])
    return count


async def prune(pool: asyncpg.Pool[Any], *, max_rows: int = 100 * PRUNE_BATCH_SIZE) -> int:
    """Delete outbox rows that every snapshot from the cursor on sees as published; return how many, at most `most`."""
    pruned_rows = 0
    while pruned_rows < max_rows:
        size = min(PRUNE_BATCH_SIZE, max_rows - pruned_rows)
        deleted = int((await pool.execute(SQL["prune"], size)).split()[1])
        pruned_rows += deleted
        if deleted < size:
            break
    return pruned_rows


async def resync(pool: asyncpg.Pool[Any], publisher: Publisher, service: str, *, shards: int = 1) -> int:
    """Publish every event again, in the order of their recording, and begin anew from there; how many there were.

    What is appended meanwhile is left to the relay. Ended half-way it has changed nothing: run it again.
    """
    async with pool.acquire() as connection:
        snapshot = await connection.fetchval(SQL["snapshot"])
        async with connection.transaction():
            published_count, event_cursor = 0, await connection.cursor(SQL["history"])
            while rows := await event_cursor.fetch(RESYNC_PAGE_SIZE):
                await publisher.publish([encode(event_from_row(service, row)) for row in rows])
                published_count += len(rows)
            await connection.execute(SQL["forget"], snapshot)
            await connection.execute(SQL["begin_anew"], shards, snapshot)
    return published_count
