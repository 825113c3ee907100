"""Around the relay: how far behind it is, what it no longer needs, and a new beginning after a restore."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import asyncpg

from shared.contracts.cloudevents import encode
from shared.outbox.lease import SQL
from shared.outbox.publisher import Publisher
from shared.outbox.rows import event

PRUNED_AT_ONCE = 5_000
PAGE = 500
_LOOKS_EVERY = 0.2  # seconds


@dataclass(frozen=True, slots=True)
class ShardStatus:
    """`lag`: rows not yet published; `oldest`: age in seconds of the oldest of them; `held`: someone has the lease."""

    shard: int
    owner: str | None
    epoch: int
    held: bool
    lag: int
    oldest: float | None


async def status(pool: asyncpg.Pool[Any]) -> list[ShardStatus]:
    """Of every shard that was ever relayed. `pool` is the system role's, here and below."""
    rows = await pool.fetch(SQL["status"])
    return [
        ShardStatus(row["shard"], row["owner"], row["epoch"], row["held"], row["rows"], row["oldest"]) for row in rows
    ]


class Stranded(Exception):
    """Rows wait in a shard that this relay does not look at: it was started with fewer than there were."""


async def refuse_stranded(pool: asyncpg.Pool[Any], shards: int) -> None:
    """Raises Stranded: nobody would publish those rows, and later events of their streams would wait for them."""
    if (shard := await pool.fetchval(SQL["stranded"], shards)) is not None:
        raise Stranded(f"events wait in shard {shard}; relay at least {shard + 1} shards until they are published")


class RelayAtWork(Exception):
    """A relay has the lease of a shard, and publishes."""


async def refuse_relay_at_work(pool: asyncpg.Pool[Any], *, within: float) -> None:
    """Raises RelayAtWork where a relay still has a lease after `within` seconds; a killed one's ends by itself."""
    deadline = asyncio.get_running_loop().time() + within
    while held := [shard for shard in await status(pool) if shard.held]:
        if asyncio.get_running_loop().time() > deadline:
            raise RelayAtWork(f"a worker publishes now ({held[0].owner}); stop it, and run this again")
        await asyncio.sleep(_LOOKS_EVERY)


async def count_events(pool: asyncpg.Pool[Any]) -> int:
    """How many events the service has recorded, in all studies."""
    count: int = await pool.fetchval(SQL["count_events"])
    return count


async def prune(pool: asyncpg.Pool[Any], *, most: int = 100 * PRUNED_AT_ONCE) -> int:
    """Delete outbox rows that every snapshot from the cursor on sees as published; return how many, at most `most`."""
    pruned = 0
    while pruned < most:
        size = min(PRUNED_AT_ONCE, most - pruned)
        deleted = int((await pool.execute(SQL["prune"], size)).split()[1])
        pruned += deleted
        if deleted < size:
            break
    return pruned


async def resync(pool: asyncpg.Pool[Any], publisher: Publisher, service: str, *, shards: int = 1) -> int:
    """Publish every event again, in the order of their recording, and begin anew from there; how many there were.

    What is appended meanwhile is left to the relay. Ended half-way it has changed nothing: run it again.
    """
    async with pool.acquire() as connection:
        snapshot = await connection.fetchval(SQL["snapshot"])
        async with connection.transaction():
            published, history = 0, await connection.cursor(SQL["history"])
            while rows := await history.fetch(PAGE):
                await publisher.publish([encode(event(service, row)) for row in rows])
                published += len(rows)
            await connection.execute(SQL["forget"], snapshot)
            await connection.execute(SQL["begin_anew"], shards, snapshot)
    return published
