"""Relays on a real database and a real broker, and the events that they published."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from shared.contracts.cloudevents import Message, decode
from shared.contracts.event import Event
from shared.eventstore.postgres_store import PostgresStore
from shared.kernel.ids import new_participant_id
from shared.outbox.maintenance import load_shard_status
from shared.outbox.publisher import Publisher
from shared.outbox.relay import Relay
from shared.testing.append_requests import append_in_unit, build_append
from tests.conftest import Database, read_topic
from tests.polling import wait_until

TOPIC = "quartal.enrollment.v1"
TIMEOUT_SECONDS = 60.0  # seconds until a test fails


@dataclass
class RecordingPublisher:
    """A publisher that keeps the messages it passed on, with hooks of a test before and after."""

    target: Publisher
    published: list[Message] = field(default_factory=list)

    async def publish(self, messages: Sequence[Message]) -> None:
        await self.before_publish()
        await self.target.publish(messages)
        self.published += messages
        await self.after_publish()

    async def before_publish(self) -> None: ...

    async def after_publish(self) -> None: ...

    async def close(self) -> None: ...


@asynccontextmanager
async def running_relay(database: Database, publisher: Publisher, **settings: Any) -> AsyncIterator[Relay]:
    """Runs a relay for the length of the block."""
    stop = asyncio.Event()
    relay = Relay(database.system, publisher, "enrollment", **settings)
    running = asyncio.create_task(relay.run(stop))
    try:
        yield relay
    finally:
        stop.set()
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await running


async def wait_until_published(database: Database) -> None:
    """Returns when the relay has published all that is committed."""
    await wait_until(lambda: _is_published(database), TIMEOUT_SECONDS)


async def wait_until_leased(database: Database) -> None:
    """Returns when a relay holds every shard."""
    await wait_until(lambda: _all_shards_leased(database), TIMEOUT_SECONDS)


async def _all_shards_leased(database: Database) -> bool:
    shards = await load_shard_status(database.system)
    return bool(shards) and all(shard.is_leased for shard in shards)


async def _is_published(database: Database) -> bool:
    shards = await load_shard_status(database.system)
    return bool(shards) and not any(shard.lag for shard in shards)


async def published_events(bootstrap: str, study_id: str) -> list[Event]:
    """Returns the events of the study on the topic, partition by partition, in the order of their offsets."""
    records = await read_topic(bootstrap, TOPIC)
    events = [decode(record.key, record.headers, record.value) for record in records]
    return [event for event in events if event.study_id == study_id]


def versions_by_stream(events: Sequence[Event]) -> dict[str, list[int]]:
    by_stream: dict[str, list[int]] = defaultdict(list)
    for event in events:
        by_stream[event.stream_id].append(event.version)
    return by_stream


def first_deliveries(delivered: Sequence[int]) -> list[int]:
    return list(dict.fromkeys(delivered))


async def open_study(store: PostgresStore, study_id: str, participants: int) -> list[str]:
    await append_in_unit(store, build_append(study_id, study_id))
    return [new_participant_id() for _ in range(participants)]


async def write_versions(
    store: PostgresStore, study_id: str, names: Sequence[str], count: int, pause: float = 0
) -> None:
    """`count` versions of each stream, all streams at once."""

    async def write_stream(name: str) -> None:
        for version in range(count):
            await append_in_unit(store, build_append(study_id, name, version))
            await asyncio.sleep(pause)

    await asyncio.gather(*(write_stream(name) for name in names))


def expected_versions(names: Sequence[str], count: int, study_id: str) -> dict[str, list[int]]:
    return {study_id: [1], **{name: [*range(1, count + 1)] for name in names}}
