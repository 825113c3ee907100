from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from infra.local.kafka import LocalKafka, install
from shared.outbox.publisher import KafkaPublisher, ensure_topics
from shared.outbox.relay import Relay
from shared.outbox.upkeep import status
from tests.conftest import Database, KafkaServer
from tests.integration.relaying import (
    TOPIC,
    Watched,
    arrived,
    complete,
    first_deliveries,
    nothing_left,
    open_study,
    relaying,
    versions,
    write,
)


class Chance:
    """Seeded bad luck, the same in every run."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - chance, no secret
        self.struck: dict[str, int] = defaultdict(int)

    def strikes(self, what: str, probability: float) -> bool:
        strikes = self._random.random() < probability
        self.struck[what] += strikes
        return strikes


class Crash(Exception):
    pass


@dataclass
class SleepyPool:
    """The real pool; at times its user is paused beyond the lease, just after it read or just before it writes."""

    to: asyncpg.Pool[Any]
    chance: Chance
    pause: float

    async def fetch(self, *query: Any) -> list[asyncpg.Record]:
        rows = await self.to.fetch(*query)
        if rows and self.chance.strikes("paused after reading", 0.05):
            await asyncio.sleep(self.pause)
        return rows

    async def execute(self, query: str, *arguments: Any) -> str:
        if "set done" in query and self.chance.strikes("paused before noting", 0.05):
            await asyncio.sleep(self.pause)
        return await self.to.execute(query, *arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.to, name)


@dataclass
class Unlucky(Watched):
    """Crashes at times: the messages are out, the cursor has not moved."""

    chance: Chance = field(default_factory=lambda: Chance(0))

    async def after(self) -> None:
        if self.chance.strikes("crashed after publishing", 0.05):
            raise Crash


async def unsteady(database: Database, bootstrap: str, chance: Chance, stop: asyncio.Event) -> None:
    """A relay with bad luck, started again whenever it crashes."""
    lease = 0.3
    pool: Any = SleepyPool(database.system, chance, 3 * lease)
    while not stop.is_set():
        publisher = KafkaPublisher(bootstrap)
        try:
            with suppress(Crash):
                luck = Unlucky(publisher, chance=chance)
                await Relay(pool, luck, "enrollment", shards=2, lease=lease, page=25).run(stop)
        finally:
            await publisher.close()


@pytest.mark.parametrize("seed", [1, 2])
async def test_nothing_is_lost_or_overtaken_when_relays_crash_and_are_paused_beyond_their_lease(
    fresh_database: Database, kafka: KafkaServer, topics: tuple[str, ...], study_id: str, seed: int
) -> None:
    chance, stop = Chance(seed), asyncio.Event()
    store = fresh_database.store(shards=2)
    names = await open_study(store, study_id, 12)
    async with asyncio.TaskGroup() as relays:
        for _ in range(3):
            relays.create_task(unsteady(fresh_database, kafka.bootstrap, chance, stop))
        await write(store, study_id, names, 40, pause=0.08)
        await nothing_left(fresh_database)
        stop.set()
    delivered = versions(await arrived(kafka.bootstrap, study_id))
    assert {name: first_deliveries(seen_of) for name, seen_of in delivered.items()} == complete(names, 40, study_id)
    assert min(chance.struck.values()) > 0, chance.struck
    assert max(shard.epoch for shard in await status(fresh_database.system)) > 2


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[LocalKafka]:
    """A broker that may be killed."""
    with LocalKafka(tmp_path, home=install(lambda _: None)) as broker:
        yield broker


async def test_a_broker_that_is_killed_and_comes_back_has_everything_in_order(
    fresh_database: Database, own_kafka: LocalKafka, study_id: str
) -> None:
    await ensure_topics(own_kafka.bootstrap, [TOPIC])
    store, publisher = fresh_database.store(), KafkaPublisher(own_kafka.bootstrap, patience=2.0)
    names = await open_study(store, study_id, 5)
    async with relaying(fresh_database, publisher, lease=2.0):
        writing = asyncio.create_task(write(store, study_id, names, 40, pause=0.05))
        await asyncio.sleep(0.7)
        await asyncio.to_thread(own_kafka.kill)
        await writing
        assert any(shard.lag for shard in await status(fresh_database.system))
        await asyncio.sleep(2.5)  # the producer gives up
        await asyncio.to_thread(own_kafka.start)
        await nothing_left(fresh_database)
    await publisher.close()
    delivered = versions(await arrived(own_kafka.bootstrap, study_id))
    assert {name: first_deliveries(seen_of) for name, seen_of in delivered.items()} == complete(names, 40, study_id)
