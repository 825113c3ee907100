"""Rows of sessions and of the keys that sign their tokens, in enrollment's database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from shared.postgres.named_queries import load_queries
from shared.ui.session import SESSION_MAX_AGE, SESSION_MAX_IDLE

MIN_RENEWAL_INTERVAL = timedelta(seconds=30)
"""The provider is not asked again within this time: the windows of a browser renew one session together."""
CLAIM_MAX_AGE = timedelta(seconds=15)
"""A claim is void after this time. No request asks the provider for so long, so the one that claimed has ended."""
_QUERIES = load_queries(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session that has not ended.

    `seconds_left`: until it ends if nobody is active. `seconds_until_end`: until it ends in any case. `sealed` is what
    the provider gave. `is_fresh`: it was renewed a moment before.
    """

    subject: str
    seconds_left: float
    seconds_until_end: float
    sealed: bytes
    is_fresh: bool


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key pair. The private key is sealed. `is_known_everywhere`: every service has read the public key."""

    kid: str
    public_key: str
    sealed: bytes
    made_at: datetime
    is_known_everywhere: bool


MakeKey = Callable[[], tuple[str, str, bytes]]
"""Makes a key: its id, its public JWK, and its sealed private key."""


class SessionRepository:
    """Sessions by the hash of their handle."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool

    async def begin(self, handle_hash: bytes, subject: str, sealed: bytes) -> None:
        """Adds a session, and deletes those that have ended by themselves."""
        await self._pool.execute(_QUERIES["delete_ended_sessions"], SESSION_MAX_AGE, SESSION_MAX_IDLE)
        await self._pool.execute(_QUERIES["begin_session"], handle_hash, subject, sealed)

    async def find(self, handle_hash: bytes) -> SessionRow | None:
        """Returns the session; None if there is none or it has ended."""
        row = await self._pool.fetchrow(
            _QUERIES["find_session"], handle_hash, SESSION_MAX_AGE, SESSION_MAX_IDLE, MIN_RENEWAL_INTERVAL
        )
        if row is None:
            return None
        seconds = float(row["seconds_left"]), float(row["seconds_until_end"])
        return SessionRow(row["subject"], *seconds, row["sealed"], row["is_fresh"])

    async def claim_renewal(self, handle_hash: bytes) -> bool:
        """Claims the renewal for this request. Returns False if another request has claimed it."""
        return bool(await self._pool.fetchval(_QUERIES["claim_renewal"], handle_hash, CLAIM_MAX_AGE))

    async def release_claim(self, handle_hash: bytes) -> None:
        """Ends the claim of a renewal that failed."""
        await self._pool.execute(_QUERIES["release_claim"], handle_hash)

    async def finish_renewal(self, handle_hash: bytes, sealed: bytes) -> None:
        """Stores what the provider gave, and ends the claim."""
        await self._pool.execute(_QUERIES["finish_renewal"], handle_hash, sealed)

    async def replace_sealed(self, handle_hash: bytes, sealed: bytes) -> None:
        """Stores what is left after a renewal that the provider refused, and ends the claim."""
        await self._pool.execute(_QUERIES["replace_sealed"], handle_hash, sealed)

    async def note_activity(self, handle_hash: bytes, idle: timedelta) -> None:
        """Notes that the person was last active `idle` ago, from which the time to the end of the session counts."""
        await self._pool.execute(_QUERIES["note_activity"], handle_hash, idle)

    async def end(self, handle_hash: bytes) -> bytes | None:
        """Deletes a session; returns what was sealed in it."""
        sealed: bytes | None = await self._pool.fetchval(_QUERIES["end_session"], handle_hash)
        return sealed


class KeyRepository:
    """The keys that were made within `max_age`; after `propagation_time` every service has read them."""

    def __init__(self, pool: asyncpg.Pool[Any], *, max_age: timedelta, propagation_time: timedelta) -> None:
        self._pool, self._max_age, self._propagation_time = pool, max_age, propagation_time

    async def keys(self) -> Sequence[KeyRow]:
        """Returns the keys, the newest first."""
        return [
            KeyRow(**row)
            for row in await self._pool.fetch(_QUERIES["signing_keys"], self._max_age, self._propagation_time)
        ]

    async def add(self, make_key: MakeKey, *, newest: str | None) -> None:
        """Adds a key unless another process has added one since `newest` was the newest; deletes the oldest ones."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_QUERIES["lock_signing_keys"])
            row = await connection.fetchrow(_QUERIES["signing_keys"], self._max_age, self._propagation_time)
            if (row["kid"] if row else None) == newest:
                await connection.execute(_QUERIES["add_signing_key"], *make_key())
                await connection.execute(_QUERIES["delete_old_keys"], self._max_age)
