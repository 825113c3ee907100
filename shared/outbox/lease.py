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

from shared.postgres.named_queries import load_queries

SQL = load_queries(Path(__file__).with_name("queries.sql"))


class LeaseLost(Exception):
    """Another one has the shard by now."""


class RestoredDatabase(Exception):
    """The database is not the one that was relayed last, or not its latest state. It says what to do."""


@dataclass(frozen=True, slots=True)
class LeaseState:
    """A lease: what is visible in snapshot `done` was published, and of what `upto` adds to it all through `last_seq`.

    `upto` is None except between the pages of a backlog.
    """

    shard: int
    epoch: int
    done: str
    upto: str | None
    last_seq: int

    def advanced(self, upto: str, last_seq: int | None, *, full: bool) -> LeaseState:
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

    async def acquire(self) -> LeaseState | None:
        """None while another one has it. Raises RestoredDatabase."""
        await self._pool.execute(SQL["make_cursor"], self.shard)
        row = await self._pool.fetchrow(SQL["acquire"], self.shard, self._owner, self.seconds)
        if row is None:
            return None
        state = LeaseState(row["shard"], row["epoch"], row["done"], row["upto"], row["last_seq"])
        if not row["same_database"]:
            await self.release(state)
            raise RestoredDatabase(
                f"shard {self.shard}: the relay's cursor belongs to another database; run `quartal relay resync`"
            )
        self._note_renewal()
        return state

    async def renew(self, state: LeaseState) -> None:
        """Renew when a third of the time is over. Raises LeaseLost."""
        if asyncio.get_running_loop().time() >= self._renew_at:
            await self._update_fenced("renew", state)

    async def store_cursor(self, state: LeaseState) -> None:
        """Write the cursor down. Raises LeaseLost, and then nothing is written."""
        await self._update_fenced("move", state, state.done, state.upto, state.last_seq)

    async def release(self, state: LeaseState) -> None:
        await self._pool.execute(SQL["release"], state.shard, state.epoch)

    async def _update_fenced(self, query: str, state: LeaseState, *cursor: object) -> None:
        if await self._pool.execute(SQL[query], state.shard, state.epoch, self.seconds, *cursor) != "UPDATE 1":
            raise LeaseLost(f"shard {state.shard} is no longer leased to this one (epoch {state.epoch})")
        self._note_renewal()

    def _note_renewal(self) -> None:
        self._renew_at = asyncio.get_running_loop().time() + self.seconds / 3
