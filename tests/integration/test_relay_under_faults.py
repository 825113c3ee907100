from __future__ import annotations

import asyncio
import random
import signal
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from infra.local.kafka import LocalKafka, install
from shared.contracts.cloudevents import Message, encode
from shared.outbox.publisher import KafkaPublisher, NotPublished, ensure_topics
from shared.outbox.relay import Relay
from shared.outbox.upkeep import status
from shared.testing.appends import event
from tests.conftest import ROOT, Database, KafkaServer
from tests.integration.relaying import (
    PATIENCE,
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

MISFORTUNES = ("paused after reading", "paused before noting", "crashed before publishing", "crashed after publishing")


class Chance:
    """Seeded bad luck: each kind strikes soon, and then about every twentieth time that there is occasion for it.

    How many occasions there are differs from run to run, and no kind may be missed.
    """

    def __init__(self, seed: int) -> None:
        self._soon = {kind: seed + place for place, kind in enumerate(MISFORTUNES)}
        self._random = random.Random(seed)  # noqa: S311 - chance, no secret
        self.struck: dict[str, int] = dict.fromkeys(MISFORTUNES, 0)

    def strikes(self, what: str) -> bool:
        self._soon[what] -= 1
        if self._soon[what] > 0:
            return False
        self._soon[what] = self._random.randrange(10, 30)
        self.struck[what] += 1
        return True


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
        if rows and self.chance.strikes("paused after reading"):
            await asyncio.sleep(self.pause)
        return rows

    async def execute(self, query: str, *arguments: Any) -> str:
        if "set done" in query and self.chance.strikes("paused before noting"):
            await asyncio.sleep(self.pause)
        return await self.to.execute(query, *arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.to, name)


@dataclass
class Unlucky(Watched):
    """Crashes at times: nothing is out yet, or the messages are out and the cursor has not moved."""

    chance: Chance = field(default_factory=lambda: Chance(0))

    async def before(self) -> None:
        if self.chance.strikes("crashed before publishing"):
            raise Crash

    async def after(self) -> None:
        if self.chance.strikes("crashed after publishing"):
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


async def published(publisher: KafkaPublisher, message: Message) -> bool:
    try:
        await publisher.publish([message])
    except NotPublished:
        return False
    return True


async def test_a_publisher_gives_up_and_closes_when_the_broker_has_died(own_kafka: LocalKafka, study_id: str) -> None:
    await ensure_topics(own_kafka.bootstrap, [TOPIC])
    publisher = KafkaPublisher(own_kafka.bootstrap, patience=1.0)
    async with asyncio.timeout(PATIENCE):
        while not await published(publisher, encode(event(study_id, study_id, 1))):
            pass
    await asyncio.to_thread(own_kafka.kill)
    async with asyncio.timeout(PATIENCE):
        for _ in range(2):
            with pytest.raises(NotPublished):
                await publisher.publish([encode(event(study_id, study_id, 2))])
        await publisher.close()


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


RELAY = """
import asyncio, sys
from shared.outbox.publisher import KafkaPublisher
from shared.outbox.relay import Relay
from shared.security.tenancy import open_pool

async def main(url, bootstrap):
    async with await open_pool(url) as pool:
        await Relay(pool, KafkaPublisher(bootstrap), "enrollment", lease=0.5, page=10).run(asyncio.Event())

asyncio.run(main(*sys.argv[1:]))
"""


@asynccontextmanager
async def relay_process(database: Database, bootstrap: str) -> AsyncIterator[asyncio.subprocess.Process]:
    arguments = ["-c", RELAY, database.urls["system"], bootstrap]
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=ROOT, stderr=DEVNULL)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def published_past(database: Database, epoch: int) -> int:
    """Returns the present epoch when a relay has the lease in a later one than `epoch`."""
    async with asyncio.timeout(PATIENCE):
        while True:
            for shard in await status(database.system):
                if shard.held and shard.epoch > epoch:
                    return shard.epoch
            await asyncio.sleep(0.02)


async def test_processes_that_are_killed_or_stand_still_are_succeeded_and_nothing_is_lost_or_overtaken(
    fresh_database: Database, kafka: KafkaServer, topics: tuple[str, ...], study_id: str
) -> None:
    store = fresh_database.store()
    names = await open_study(store, study_id, 10)
    async with relay_process(fresh_database, kafka.bootstrap) as first:
        epoch = await published_past(fresh_database, 0)
        writing = asyncio.create_task(write(store, study_id, names, 60, pause=0.03))
        async with relay_process(fresh_database, kafka.bootstrap):
            await asyncio.sleep(0.5)
            first.send_signal(signal.SIGSTOP)
            epoch = await published_past(fresh_database, epoch)
            first.send_signal(signal.SIGCONT)
            await asyncio.sleep(0.5)
        await published_past(fresh_database, epoch)  # by the first again, after the second was killed
        await writing
        await nothing_left(fresh_database)
    delivered = versions(await arrived(kafka.bootstrap, study_id))
    assert {name: first_deliveries(seen_of) for name, seen_of in delivered.items()} == complete(names, 60, study_id)
