"""The lease and the cursor of a shard: one row, which only the relay that acquired its present epoch can change.

A relay that was paused for longer than its lease may still publish what it had read. It then repeats, from the same
cursor and in the same order, what its successor publishes; and it can no longer move the cursor.
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
    """Another relay has acquired the shard."""


class RestoredDatabase(Exception):
    """The database is not the one that the relay published from, or an earlier state. The message says what to do."""


@dataclass(frozen=True, slots=True)
class LeaseState:
    """A lease with its cursor: the events visible in snapshot `done` are published.

    Between the pages of a backlog, the events that snapshot `upto` adds are published up to `last_seq`; otherwise
    `upto` is None.
    """

    shard: int
    epoch: int
    done: str
    upto: str | None
    last_seq: int

    def advance(self, upto: str, last_seq: int | None, *, full: bool) -> LeaseState:
        """Returns the state after a page that ended at `last_seq` (None: an empty page). More may follow a full one."""
        if full and last_seq is not None:
            return replace(self, upto=upto, last_seq=last_seq)
        if last_seq is not None or self.upto:
            return replace(self, done=upto, upto=None, last_seq=0)
        return self


class Lease:
    """The lease of `owner` on one shard. It lasts `seconds` unless it is renewed."""

    def __init__(self, pool: asyncpg.Pool[Any], shard: int, owner: str, seconds: float) -> None:
        self.shard, self.seconds = shard, seconds
        self._pool, self._owner = pool, owner
        self._renew_at = 0.0

    async def acquire(self) -> LeaseState | None:
        """Acquires the lease; returns None while another relay has it. Raises RestoredDatabase."""
        await self._pool.execute(SQL["create_cursor"], self.shard)
        row = await self._pool.fetchrow(SQL["acquire"], self.shard, self._owner, self.seconds)
        if row is None:
            return None
        state = LeaseState(
            shard=row["shard"], epoch=row["epoch"], done=row["done"], upto=row["upto"], last_seq=row["last_seq"]
        )
        if not row["same_database"]:
            await self.release(state)
            raise RestoredDatabase(
                f"shard {self.shard}: the relay's cursor belongs to another database; run `quartal relay resync`"
            )
        self._note_renewal()
        return state

    async def renew(self, state: LeaseState) -> None:
        """Renews the lease if a third of its time has passed. Raises LeaseLost."""
        if asyncio.get_running_loop().time() >= self._renew_at:
            await self._update_fenced("renew", state)

    async def renew_idle(self, state: LeaseState) -> None:
        """Renews the lease in the same way, and notes that the relay has published everything. Raises LeaseLost."""
        if asyncio.get_running_loop().time() >= self._renew_at:
            await self._update_fenced("renew_idle", state)

    async def store_cursor(self, state: LeaseState) -> None:
        """Stores the cursor and renew the lease. Raises LeaseLost, and stores nothing then."""
        await self._update_fenced("store_cursor", state, state.done, state.upto, state.last_seq)

    async def release(self, state: LeaseState) -> None:
        """Ends the lease, so that another relay can acquire it at once."""
        await self._pool.execute(SQL["release"], state.shard, state.epoch)

    async def _update_fenced(self, query: str, state: LeaseState, *cursor: object) -> None:
        if await self._pool.execute(SQL[query], state.shard, state.epoch, self.seconds, *cursor) != "UPDATE 1":
            raise LeaseLost(f"shard {state.shard} is no longer leased to this relay (epoch {state.epoch})")
        self._note_renewal()

    def _note_renewal(self) -> None:
        self._renew_at = asyncio.get_running_loop().time() + self.seconds / 3
