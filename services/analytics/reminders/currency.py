"""Waits until everything that stood on the topics at an instant is applied and derived.

A digest is composed from rows that say what was published by its moment. Later facts do not hold it back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, get_args
from uuid import UUID

import asyncpg
from aiokafka.errors import KafkaError

from services.analytics.reminders.repository import load_applied_position, load_derivation_state
from shared.inbox.consumer import Offsets, stored_offsets

Obstacle = Literal["comparison", "kafka", "facts", "derivation"]
"""Why a digest waits: `comparison` (the database may be older than what was published), `kafka` (no answer), `facts`
(not applied), `derivation` (not derived)."""
OBSTACLES: tuple[Obstacle, ...] = get_args(Obstacle)
"""The obstacles, the weightiest first: behind one of them it is not known whether the next ones stand in the way."""
ReadEnds = Callable[[], Awaitable[Offsets]]


@dataclass(slots=True)
class _Mark:
    """The ends of the topics at the moment of a digest, and the position once they were applied."""

    ends: Offsets
    position: int | None = None
    epoch: UUID | None = None
    is_reached: bool = False


class Currency:
    """The wait of digests for the rows: until these say all that stood on the topics when the digest was first due.

    `read_ends` returns the end offset of each partition, and raises KafkaError or OSError. `pool` connects as the
    system.
    """

    def __init__(self, pool: asyncpg.Pool[Any], read_ends: ReadEnds) -> None:
        self._pool, self._read_ends = pool, read_ends
        self._marks: dict[tuple[str, str], tuple[object, _Mark]] = {}

    async def find_obstacle(self, study_id: str, site_id: str, day: date, members: Collection[str]) -> Obstacle | None:
        """Returns what the digests of a site's day wait for; None if they wait for nothing.

        `members`: those to whom they go, if others than before begin a new wait.
        """
        wait_key = day, frozenset(members)
        last_key, mark = self._marks.get((study_id, site_id), (None, None))
        if mark is None or last_key != wait_key:
            try:
                mark = _Mark(await self._read_ends())
            except (KafkaError, OSError):
                return "kafka"
            self._marks[study_id, site_id] = wait_key, mark
        return None if mark.is_reached else await self._advance(mark, study_id)

    async def _advance(self, mark: _Mark, study_id: str) -> Obstacle | None:
        if mark.position is None:
            offsets = await stored_offsets(self._pool, {partition.topic for partition in mark.ends})
            if any(offsets.get(partition, 0) < end for partition, end in mark.ends.items()):
                return "facts"
        async with self._pool.acquire() as connection:
            applied = await load_applied_position(connection, study_id)
            derived = await load_derivation_state(connection, study_id)
        if mark.position is None or mark.epoch != applied.epoch:
            mark.position, mark.epoch = applied.position, applied.epoch
        mark.is_reached = derived is not None and derived.epoch == mark.epoch and derived.position >= mark.position
        return None if mark.is_reached else "derivation"
