"""A relay at work on a real database and a real broker, and what arrives."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from shared.contracts.cloudevents import Message, decode
from shared.contracts.event import Event
from shared.eventstore.store import PostgresStore
from shared.kernel.ids import new_participant_id
from shared.outbox.publisher import Publisher
from shared.outbox.relay import Relay
from shared.outbox.upkeep import status
from shared.testing.appends import append, keep
from tests.conftest import Database, everything_in

TOPIC = "quartal.enrollment.v1"
PATIENCE = 60.0  # seconds until a promise counts as broken


@dataclass
class Watched:
    """The real publisher; counts what went through it, and does what a test wants before or after."""

    to: Publisher
    published: list[Message] = field(default_factory=list)

    async def publish(self, messages: Sequence[Message]) -> None:
        await self.before()
        await self.to.publish(messages)
        self.published += messages
        await self.after()

    async def before(self) -> None: ...

    async def after(self) -> None: ...

    async def close(self) -> None: ...


@asynccontextmanager
async def relaying(database: Database, publisher: Publisher, **settings: Any) -> AsyncIterator[Relay]:
    """A relay at work for the length of the block."""
    stop = asyncio.Event()
    relay = Relay(database.system, publisher, "enrollment", **settings)
    running = asyncio.create_task(relay.run(stop))
    try:
        yield relay
    finally:
        stop.set()
        async with asyncio.timeout(PATIENCE):
            await running


async def nothing_left(database: Database) -> None:
    """Returns when the relay has published all that is committed."""
    async with asyncio.timeout(PATIENCE):
        while await _something_left(database):  # noqa: ASYNC110 - a database has no event for it
            await asyncio.sleep(0.02)


async def at_work(database: Database) -> None:
    """Returns when a relay holds every shard."""
    async with asyncio.timeout(PATIENCE):
        while not await _all_held(database):  # noqa: ASYNC110 - a database has no event for it
            await asyncio.sleep(0.02)


async def _all_held(database: Database) -> bool:
    shards = await status(database.system)
    return bool(shards) and all(shard.held for shard in shards)


async def _something_left(database: Database) -> bool:
    shards = await status(database.system)
    return not shards or any(shard.lag for shard in shards)


async def arrived(bootstrap: str, study_id: str) -> list[Event]:
    """The study's events on the topic, partition by partition, in the order in which they lie there."""
    records = await everything_in(bootstrap, TOPIC)
    events = [decode(record.key, record.headers, record.value) for record in records]
    return [event for event in events if event.study_id == study_id]


def versions(events: Sequence[Event]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for event in events:
        found[event.stream_id].append(event.version)
    return found


def first_deliveries(delivered: Sequence[int]) -> list[int]:
    return list(dict.fromkeys(delivered))


async def open_study(store: PostgresStore, study_id: str, participants: int) -> list[str]:
    await keep(store, append(study_id, study_id))
    return [new_participant_id() for _ in range(participants)]


async def write(store: PostgresStore, study_id: str, names: Sequence[str], count: int, pause: float = 0) -> None:
    """`count` versions of each stream, all streams at once."""

    async def one(name: str) -> None:
        for version in range(count):
            await keep(store, append(study_id, name, version))
            await asyncio.sleep(pause)

    await asyncio.gather(*(one(name) for name in names))


def complete(names: Sequence[str], count: int, study_id: str) -> dict[str, list[int]]:
    return {study_id: [1], **{name: [*range(1, count + 1)] for name in names}}
