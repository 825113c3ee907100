from __future__ import annotations

import asyncio
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

from infra.local.kafka import LocalKafka, install_kafka
from shared.contracts.cloudevents import Message, encode
from shared.outbox.maintenance import load_shard_status
from shared.outbox.publisher import KafkaPublisher, PublishError, ensure_topics
from shared.outbox.relay import Relay
from shared.testing.append_requests import build_event
from shared.testing.seeded_random import seeded_random
from tests.conftest import ROOT, Database, KafkaServer
from tests.integration.support.relay import (
    TIMEOUT_SECONDS,
    TOPIC,
    RecordingPublisher,
    expected_versions,
    first_deliveries,
    open_study,
    published_events,
    running_relay,
    versions_by_stream,
    wait_until_published,
    write_versions,
)

FAULTS = ("paused after reading", "paused before noting", "crashed before publishing", "crashed after publishing")


class FaultInjector:
    """Seeded bad luck: each kind strikes soon, and then about every twentieth time that there is occasion for it.

    How many occasions there are differs from run to run, and no kind may be missed.
    """

    def __init__(self, seed: int) -> None:
        self._countdown = {kind: seed + index for index, kind in enumerate(FAULTS)}
        self._random = seeded_random(seed)
        self.injected: dict[str, int] = dict.fromkeys(FAULTS, 0)

    def should_inject(self, fault: str) -> bool:
        self._countdown[fault] -= 1
        if self._countdown[fault] > 0:
            return False
        self._countdown[fault] = self._random.randrange(10, 30)
        self.injected[fault] += 1
        return True


class InjectedCrash(Exception):
    pass


@dataclass
class PausingPool:
    """The real pool; at times its user is paused beyond the lease, just after it read or just before it writes."""

    target: asyncpg.Pool[Any]
    faults: FaultInjector
    pause: float

    async def fetch(self, *query: Any) -> list[asyncpg.Record]:
        rows = await self.target.fetch(*query)
        if rows and self.faults.should_inject("paused after reading"):
            await asyncio.sleep(self.pause)
        return rows

    async def execute(self, query: str, *arguments: Any) -> str:
        if "set done" in query and self.faults.should_inject("paused before noting"):
            await asyncio.sleep(self.pause)
        return await self.target.execute(query, *arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.target, name)


@dataclass
class CrashingRecordingPublisher(RecordingPublisher):
    """Crashes at times: nothing is out yet, or the messages are out and the cursor has not moved."""

    faults: FaultInjector = field(default_factory=lambda: FaultInjector(0))

    async def before_publish(self) -> None:
        if self.faults.should_inject("crashed before publishing"):
            raise InjectedCrash

    async def after_publish(self) -> None:
        if self.faults.should_inject("crashed after publishing"):
            raise InjectedCrash


async def run_faulty_relay(database: Database, bootstrap: str, faults: FaultInjector, stop: asyncio.Event) -> None:
    """A relay with bad luck, started again whenever it crashes."""
    lease = 0.3
    pool: Any = PausingPool(database.system, faults, 3 * lease)
    while not stop.is_set():
        publisher = KafkaPublisher(bootstrap)
        try:
            with suppress(InjectedCrash):
                crashing_publisher = CrashingRecordingPublisher(publisher, faults=faults)
                await Relay(pool, crashing_publisher, "enrollment", shards=2, lease_seconds=lease, page_size=25).run(
                    stop
                )
        finally:
            await publisher.close()


@pytest.mark.parametrize("seed", [1, 2])
async def test_events_survive_relay_crashes_and_pauses_beyond_the_lease_in_order(
    fresh_database: Database, kafka: KafkaServer, topics: tuple[str, ...], study_id: str, seed: int
) -> None:
    faults, stop = FaultInjector(seed), asyncio.Event()
    store = fresh_database.store(shards=2)
    names = await open_study(store, study_id, 12)
    async with asyncio.TaskGroup() as relays:
        for _ in range(3):
            relays.create_task(run_faulty_relay(fresh_database, kafka.bootstrap, faults, stop))
        await write_versions(store, study_id, names, 40, pause=0.08)
        await wait_until_published(fresh_database)
        stop.set()
    delivered = versions_by_stream(await published_events(kafka.bootstrap, study_id))
    assert {name: first_deliveries(seen_of) for name, seen_of in delivered.items()} == expected_versions(
        names, 40, study_id
    )
    assert min(faults.injected.values()) > 0, faults.injected
    assert max(shard.epoch for shard in await load_shard_status(fresh_database.system)) > 2


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[LocalKafka]:
    """A broker that may be killed."""
    with LocalKafka(tmp_path, home=install_kafka(lambda _: None)) as broker:
        yield broker


async def try_publish(publisher: KafkaPublisher, message: Message) -> bool:
    try:
        await publisher.publish([message])
    except PublishError:
        return False
    return True


async def test_publisher_gives_up_and_closes_after_the_broker_died(own_kafka: LocalKafka, study_id: str) -> None:
    await ensure_topics(own_kafka.bootstrap, [TOPIC])
    publisher = KafkaPublisher(own_kafka.bootstrap, timeout_seconds=1.0)
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while not await try_publish(publisher, encode(build_event(study_id, study_id, 1))):
            pass
    await asyncio.to_thread(own_kafka.kill)
    async with asyncio.timeout(TIMEOUT_SECONDS):
        for _ in range(2):
            with pytest.raises(PublishError):
                await publisher.publish([encode(build_event(study_id, study_id, 2))])
        await publisher.close()


async def test_restarted_broker_receives_every_event_in_order(
    fresh_database: Database, own_kafka: LocalKafka, study_id: str
) -> None:
    await ensure_topics(own_kafka.bootstrap, [TOPIC])
    store, publisher = fresh_database.store(), KafkaPublisher(own_kafka.bootstrap, timeout_seconds=2.0)
    names = await open_study(store, study_id, 5)
    async with running_relay(fresh_database, publisher, lease_seconds=2.0):
        writing = asyncio.create_task(write_versions(store, study_id, names, 40, pause=0.05))
        await asyncio.sleep(0.7)
        await asyncio.to_thread(own_kafka.kill)
        await writing
        assert any(shard.lag for shard in await load_shard_status(fresh_database.system))
        await asyncio.sleep(2.5)  # the producer gives up
        await asyncio.to_thread(own_kafka.start)
        await wait_until_published(fresh_database)
    await publisher.close()
    delivered = versions_by_stream(await published_events(own_kafka.bootstrap, study_id))
    assert {name: first_deliveries(seen_of) for name, seen_of in delivered.items()} == expected_versions(
        names, 40, study_id
    )


RELAY_SCRIPT = """
import asyncio, sys
from shared.outbox.publisher import KafkaPublisher
from shared.outbox.relay import Relay
from shared.postgres.tenancy import open_pool

async def main(url, bootstrap):
    async with await open_pool(url) as pool:
        await Relay(pool, KafkaPublisher(bootstrap), "enrollment", lease_seconds=0.5, page_size=10).run(asyncio.Event())

asyncio.run(main(*sys.argv[1:]))
"""


@asynccontextmanager
async def relay_process(database: Database, bootstrap: str) -> AsyncIterator[asyncio.subprocess.Process]:
    arguments = ["-c", RELAY_SCRIPT, database.urls["system"], bootstrap]
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=ROOT, stderr=DEVNULL)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def wait_for_later_epoch(database: Database, epoch: int) -> int:
    """Returns the present epoch when a relay has the lease in a later one than `epoch`."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while True:
            for shard in await load_shard_status(database.system):
                if shard.is_leased and shard.epoch > epoch:
                    return shard.epoch
            await asyncio.sleep(0.02)


async def test_killed_and_stopped_relay_processes_are_replaced_without_loss_or_reordering(
    fresh_database: Database, kafka: KafkaServer, topics: tuple[str, ...], study_id: str
) -> None:
    store = fresh_database.store()
    names = await open_study(store, study_id, 10)
    async with relay_process(fresh_database, kafka.bootstrap) as first:
        epoch = await wait_for_later_epoch(fresh_database, 0)
        writing = asyncio.create_task(write_versions(store, study_id, names, 60, pause=0.03))
        async with relay_process(fresh_database, kafka.bootstrap):
            await asyncio.sleep(0.5)
            first.send_signal(signal.SIGSTOP)
            epoch = await wait_for_later_epoch(fresh_database, epoch)
            first.send_signal(signal.SIGCONT)
            await asyncio.sleep(0.5)
        await wait_for_later_epoch(fresh_database, epoch)  # by the first again, after the second was killed
        await writing
        await wait_until_published(fresh_database)
    delivered = versions_by_stream(await published_events(kafka.bootstrap, study_id))
    assert {name: first_deliveries(seen_of) for name, seen_of in delivered.items()} == expected_versions(
        names, 60, study_id
    )
