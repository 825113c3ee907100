from __future__ import annotations

import asyncio
import json
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from infra.local.kafka import LocalKafka, install
from shared.contracts.cloudevents import Message, decode, encode
from shared.contracts.event import Event
from shared.eventstore.store import PostgresStore
from shared.kernel.ids import new_participant_id
from shared.outbox import relay as relay_module
from shared.outbox.bell import Bell
from shared.outbox.lease import Lease, LeaseLost, RestoredDatabase
from shared.outbox.publisher import KafkaPublisher, NotPublished, Publisher, ensure_topics
from shared.outbox.relay import Relay
from shared.outbox.upkeep import prune, resync, status
from shared.security.tenancy import Tenant
from shared.testing.store_contract import append, keep, seen, shown
from tests.conftest import Database, KafkaServer, PostgresServer, everything_in

TOPIC = "quartal.enrollment.v1"
PATIENCE = 30.0  # seconds until a promise counts as broken


@pytest.fixture
async def publisher(kafka: KafkaServer, topics: tuple[str, ...]) -> AsyncIterator[KafkaPublisher]:
    publisher = KafkaPublisher(kafka.bootstrap)
    yield publisher
    await publisher.close()


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
        while not (shards := await status(database.system)) or any(shard.lag for shard in shards):
            await asyncio.sleep(0.02)


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


async def test_every_event_arrives_once_and_in_the_order_of_its_stream(
    fresh_database: Database, kafka: KafkaServer, publisher: KafkaPublisher, study_id: str
) -> None:
    store = fresh_database.store()
    names = await open_study(store, study_id, 20)
    async with relaying(fresh_database, publisher):
        await write(store, study_id, names, 10)
        await nothing_left(fresh_database)
    assert versions(await arrived(kafka.bootstrap, study_id)) == complete(names, 10, study_id)


async def test_what_arrives_is_what_was_recorded_without_what_is_sealed(
    fresh_database: Database, kafka: KafkaServer, publisher: KafkaPublisher, study_id: str
) -> None:
    store = fresh_database.store()
    names = await open_study(store, study_id, 1)
    await write(store, study_id, names, 1)
    async with relaying(fresh_database, publisher):
        await nothing_left(fresh_database)
    found = {event.stream_id: event for event in await arrived(kafka.bootstrap, study_id)}
    for stream_id in (study_id, *names):
        stored = (await seen(store, Tenant(study_id), stream_id)).events[0]
        message = encode(stored)
        again = decode(message.key, message.headers, message.value)
        assert shown(found[stream_id]) == shown(again)
        assert json.loads(found[stream_id].data) == stored.content


async def test_a_backlog_of_many_pages_arrives_in_order_on_every_shard(
    fresh_database: Database, kafka: KafkaServer, publisher: KafkaPublisher, study_id: str
) -> None:
    store = fresh_database.store(shards=4)
    names = await open_study(store, study_id, 12)
    await write(store, study_id, names, 10)
    async with relaying(fresh_database, publisher, shards=4, page=7):
        await nothing_left(fresh_database)
    assert versions(await arrived(kafka.bootstrap, study_id)) == complete(names, 10, study_id)


async def test_a_relay_that_crashed_in_a_backlog_is_succeeded_where_it_was(
    fresh_database: Database, kafka: KafkaServer, publisher: KafkaPublisher, study_id: str
) -> None:
    class CrashesAtTheSixthPage(Watched):
        async def before(self) -> None:
            if len(self.published) >= 50:
                raise ZeroDivisionError

    store = fresh_database.store()
    names = await open_study(store, study_id, 9)
    await write(store, study_id, names, 11)
    first, second = CrashesAtTheSixthPage(publisher), Watched(publisher)
    with pytest.raises(ZeroDivisionError):
        await Relay(fresh_database.system, first, "enrollment", page=10).run(asyncio.Event())
    async with relaying(fresh_database, second, page=10):
        await nothing_left(fresh_database)
    assert (len(first.published), len(second.published)) == (50, 50)
    assert versions(await arrived(kafka.bootstrap, study_id)) == complete(names, 11, study_id)


async def test_a_ring_wakes_a_relay_that_looks_rarely(
    fresh_database: Database, kafka: KafkaServer, publisher: KafkaPublisher, study_id: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr(relay_module, "BUSY", 2 * PATIENCE)
    monkeypatch.setattr(relay_module, "IDLE", 2 * PATIENCE)
    store, bell, inside = fresh_database.store(), Bell(fresh_database.app), asyncio.Event()
    names = await open_study(store, study_id, 2)
    async with relaying(fresh_database, publisher, bell=inside):
        await nothing_left(fresh_database)
        await write(store, study_id, names[:1], 1)
        inside.set()
        await nothing_left(fresh_database)
        await asyncio.sleep(0.1)  # it rests again
        await write(store, study_id, names[1:], 1)
        for _ in range(100):
            bell.ring(study_id)
        await nothing_left(fresh_database)
    await bell.close()
    assert versions(await arrived(kafka.bootstrap, study_id)) == complete(names, 1, study_id)


async def test_rings_within_a_moment_are_one_notification(fresh_database: Database, study_id: str) -> None:
    heard: list[object] = []

    def hear(*notification: object) -> None:
        heard.append(notification[3])

    bell = Bell(fresh_database.app)
    async with fresh_database.system.acquire() as connection:
        await connection.add_listener("quartal_bell", hear)
        for _ in range(1000):
            bell.ring(study_id)
        await bell.close()
        await connection.execute("select 1")  # what was notified before arrives with the answer
        await connection.remove_listener("quartal_bell", hear)
    assert heard == [study_id]


class Chance:
    """Seeded bad luck, the same in every run."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
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


@pytest.mark.parametrize("where", ["another database", "the same database"])
async def test_a_long_write_transaction_holds_up_nobody_else(
    postgres: PostgresServer,
    fresh_database: Database,
    kafka: KafkaServer,
    publisher: KafkaPublisher,
    study_id: str,
    where: str,
) -> None:
    store = fresh_database.store()
    names = await open_study(store, study_id, 3)
    url = fresh_database.superuser_url if where == "the same database" else postgres.url()
    connection = await asyncpg.connect(url)
    try:
        async with relaying(fresh_database, publisher), connection.transaction():
            await connection.execute("select pg_current_xact_id()")
            await write(store, study_id, names, 5)
            await nothing_left(fresh_database)
            assert versions(await arrived(kafka.bootstrap, study_id)) == complete(names, 5, study_id)
    finally:
        await connection.close()


async def test_what_a_long_transaction_appended_arrives_when_it_commits(
    fresh_database: Database, kafka: KafkaServer, publisher: KafkaPublisher, study_id: str
) -> None:
    store = fresh_database.store()
    late, early = await open_study(store, study_id, 2)
    async with relaying(fresh_database, publisher):
        async with store.unit(Tenant(study_id)) as unit:
            await unit.append(append(study_id, late))
            await write(store, study_id, [early], 3)
            await nothing_left(fresh_database)
            assert late not in versions(await arrived(kafka.bootstrap, study_id))
        await nothing_left(fresh_database)
    assert versions(await arrived(kafka.bootstrap, study_id)) == {study_id: [1], early: [1, 2, 3], late: [1]}


OTHERWISE = {
    "another cluster": "update relay_cursor set system_identifier = 7",
    "a later state": "update relay_cursor set done = '900000000:900000000:'",
    "a later state, in a backlog": "update relay_cursor set upto = '900000000:900000000:'",
    "rows of a later state": "insert into outbox values (-1, '900000000', 0, 's', 'p', 1)",
    "rows of a later state, no cursor": "delete from relay_cursor; insert into outbox values (-1, '900000000', 0, 's', 'p', 1)",
}


@pytest.mark.parametrize("restored", OTHERWISE)
async def test_a_restored_database_is_not_relayed_until_a_resync(
    fresh_database: Database, kafka: KafkaServer, publisher: KafkaPublisher, study_id: str, restored: str
) -> None:
    store = fresh_database.store()
    names = await open_study(store, study_id, 2)
    async with relaying(fresh_database, publisher):
        await write(store, study_id, names, 3)
        await nothing_left(fresh_database)
    owner = await asyncpg.connect(fresh_database.superuser_url)
    await owner.execute(OTHERWISE[restored])
    await owner.close()
    for _ in range(2):
        with pytest.raises(RestoredDatabase):
            await Relay(fresh_database.system, publisher, "enrollment").run(asyncio.Event())
    assert await resync(fresh_database.system, publisher, "enrollment") == 7
    async with relaying(fresh_database, publisher):
        await keep(store, append(study_id, names[0], 3))
        await nothing_left(fresh_database)
    delivered = versions(await arrived(kafka.bootstrap, study_id))
    assert delivered == {study_id: [1, 1], names[0]: [1, 2, 3, 1, 2, 3, 4], names[1]: [1, 2, 3, 1, 2, 3]}
