"""Who relays a shard, and how far: one row, that only the holder of its present epoch can change.

A holder that was paused for longer than its lease may still publish what it had read. It repeats, from the same
cursor and in the same order, what its successor publishes; and it cannot move the cursor any more.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import asyncpg

from shared.eventstore.sql import queries

SQL = queries(Path(__file__).with_name("queries.sql"))


class LeaseLost(Exception):
    """Another one has the shard by now."""


class RestoredDatabase(Exception):
    """The database is not the one that was relayed last, or not its latest state. It says what to do."""


@dataclass(frozen=True, slots=True)
class Held:
    """A lease: what is visible in snapshot `done` was published, and of what `upto` adds to it all through `last_seq`.

    `upto` is None except between the pages of a backlog.
    """

    shard: int
    epoch: int
    done: str
    upto: str | None
    last_seq: int

    def past(self, upto: str, last_seq: int | None, *, full: bool) -> Held:
        """After a page was published that ended at `last_seq` (None: an empty one); a full one may not be the last."""
        if full and last_seq is not None:
            return replace(self, upto=upto, last_seq=last_seq)
        if last_seq is not None or self.upto:
            return replace(self, done=upto, upto=None, last_seq=0)
        return self


class Lease:
    """The lease on one shard, for `owner`; it lasts `seconds` unless it is renewed."""

    def __init__(self, pool: asyncpg.Pool[Any], shard: int, owner: str, seconds: float) -> None:
        self.shard, self.seconds = shard, seconds
        self._pool, self._owner = pool, owner
        self._renew_at = 0.0

    async def acquire(self) -> Held | None:
        """None while another one has it. Raises RestoredDatabase."""
        await self._pool.execute(SQL["make_cursor"], self.shard)
        row = await self._pool.fetchrow(SQL["acquire"], self.shard, self._owner, self.seconds)
        if row is None:
            return None
        held = Held(row["shard"], row["epoch"], row["done"], row["upto"], row["last_seq"])
        if not row["same_database"]:
            await self.release(held)
            raise RestoredDatabase(
                f"shard {self.shard}: the relay's cursor belongs to another database; run `quartal relay resync`"
            )
        self._note_renewal()
        return held

    async def keep(self, held: Held) -> None:
        """Renew when a third of the time is over. Raises LeaseLost."""
        if asyncio.get_running_loop().time() >= self._renew_at:
            await self._fenced("renew", held)

    async def move(self, held: Held) -> None:
        """Write the cursor down. Raises LeaseLost, and then nothing is written."""
        await self._fenced("move", held, held.done, held.upto, held.last_seq)

    async def release(self, held: Held) -> None:
        await self._pool.execute(SQL["release"], held.shard, held.epoch)

    async def _fenced(self, query: str, held: Held, *cursor: object) -> None:
        if await self._pool.execute(SQL[query], held.shard, held.epoch, self.seconds, *cursor) != "UPDATE 1":
            raise LeaseLost(f"shard {held.shard} is no longer leased to this one (epoch {held.epoch})")
        self._note_renewal()

    def _note_renewal(self) -> None:
        self._renew_at = asyncio.get_running_loop().time() + self.seconds / 3
