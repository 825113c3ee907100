"""Secret addresses of members' calendars: derived from the key of links, and replaced on request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import asyncpg

from services.analytics import urls
from services.analytics.reminders.links import LinksKey
from services.analytics.reminders.subscriptions.repository import own_transaction
from services.analytics.reminders.subscriptions.subscription import may_subscribe
from shared.eventstore.study_cache import Studies, load_rights
from shared.postgres.named_queries import load_queries
from shared.postgres.tenancy import PooledConnection

SQL = load_queries(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True, slots=True)
class CalendarAddress:
    """The address of a member's calendar. `secret_hash`: the SHA-256 of the secret, which is not stored."""

    generation: int
    secret_hash: bytes


class CalendarAddresses:
    """Gives members the addresses of their calendars.

    `pool` sees a member's own address. `links`: None in an installation without a key of links, which has no
    calendars. `public_url`: the address that people reach, without a path.
    """

    def __init__(
        self,
        pool: asyncpg.Pool[Any],
        studies: Studies,
        links: LinksKey | None,
        public_url: str,
        now: Callable[[], datetime],
    ) -> None:
        self._pool, self._studies, self._links = pool, studies, links
        self._public_url, self._now = public_url, now

    async def own_url(self, study_id: str, member: str, *, renews: bool = False) -> str | None:
        """Returns the address of the member's calendar; a new one with `renews`, and the old one opens nothing then.

        Returns None for a member without a subscription that wants a calendar, and without a key of links. Raises
        NotFound, Forbidden for those who cannot subscribe.
        """
        rights, _ = await load_rights(self._studies, study_id, member)
        if not may_subscribe(rights):
            raise rights.refuse_reading()
        if self._links is None:
            return None
        async with own_transaction(self._pool, study_id, member) as connection:
            if not await _wants_calendar(connection, study_id, member):
                return None
            address = await _load_address(connection, study_id, member)
            secret = address and self._links.calendar_secret(study_id, member, address.generation)
            if renews or not secret or not address or hash_secret(secret) != address.secret_hash:  # of another key
                generation = max(int(self._now().timestamp()), address.generation + 1 if address else 0)
                secret = self._links.calendar_secret(study_id, member, generation)
                new_address = CalendarAddress(generation, hash_secret(secret))
                await _save_address(connection, study_id, member, new_address)
        return f"{self._public_url}{urls.calendar_url(secret)}"


def hash_secret(secret: str) -> bytes:
    return sha256(secret.encode()).digest()


async def _wants_calendar(connection: PooledConnection, study_id: str, member: str) -> bool:
    """Returns whether the member has a subscription that wants a calendar."""
    return bool(await connection.fetchval(SQL["wants_calendar"], study_id, member))


async def _load_address(connection: PooledConnection, study_id: str, member: str) -> CalendarAddress | None:
    row = await connection.fetchrow(SQL["load_address"], study_id, member)
    return CalendarAddress(row["generation"], row["secret_hash"]) if row else None


async def _save_address(connection: PooledConnection, study_id: str, member: str, address: CalendarAddress) -> None:
    await connection.execute(SQL["save_address"], study_id, member, address.generation, address.secret_hash)
