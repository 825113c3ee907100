from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import NodeNotReadyError

from infra.local.kafka import LocalKafka, install
from shared.contracts.cloudevents import Message, encode
from shared.contracts.event import Event
from shared.inbox.apply import Connection, Effect, Skipped
from shared.inbox.consumer import consume, rewind_group, stored_offsets
from shared.inbox.facts import state_by_version
from shared.outbox.publisher import KafkaPublisher, ensure_topics
from tests.conftest import Database, KafkaServer, PostgresServer
from tests.integration.analytics import analytics_of_its_own, lines, stands
from tests.integration.stated import Telling, enrolled, lesion, participant

PATIENCE = 40.0  # seconds until a promise counts as broken


@pytest.fixture
async def own(postgres: PostgresServer, databases: Mapping[str, str]) -> AsyncIterator[Database]:
    async with analytics_of_its_own(postgres) as database:
        yield database


@pytest.fixture
async def topic(kafka: KafkaServer) -> str:
    """A topic of enrollment's that no other test reads."""
    name = f"test-{secrets.token_hex(4)}.enrollment.v1"
    await ensure_topics(kafka.bootstrap, [name])
    return name


@pytest.fixture
def group() -> str:
    return f"group-{secrets.token_hex(4)}"


def crowd(study_id: str, size: int) -> list[Telling]:
    return [participant(study_id, lesion("L1"), lesion("L2"), enrolled()) for _ in range(size)]


def messages(topic: str, tellings: Sequence[Telling]) -> list[Message]:
    said = [encode(event) for telling in tellings for event in telling.events]
    return [Message(topic, each.key, each.headers, each.value) for each in said]


@asynccontextmanager
async def consuming(
    database: Database, bootstrap: str, group: str, topics: Collection[str], effect: Effect = state_by_version
) -> AsyncIterator[asyncio.Task[None]]:
    stop = asyncio.Event()
    consumer = asyncio.create_task(consume(database.system, bootstrap, group, topics, effect, stop))
    try:
        yield consumer
    finally:
        stop.set()
        ended, _ = await asyncio.wait({consumer}, timeout=PATIENCE)
    assert ended, "it does not end when it is told to stop"


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await holds():  # noqa: ASYNC110 - Kafka and another task, which have no event to wait for
            await asyncio.sleep(0.05)


async def told(database: Database, tellings: Sequence[Telling]) -> None:
    """Wait until every stream was applied to its end."""
    ends = {telling.stream_id: (len(telling.events), None) for telling in tellings}

    async def all_there() -> bool:
        return await lines(database.system, tellings[0].study_id) == ends

    await until(all_there)


async def once_each(database: Database, tellings: Sequence[Telling]) -> bool:
    rows = await stands(database.system, tellings[0].study_id)
    events = [event.event_id for telling in tellings for event in telling.events]
    return sorted(row.event_id for row in rows) == sorted(events)


async def committed(bootstrap: str, group: str, topic: str) -> dict[TopicPartition, int]:
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False) as consumer:
        partitions = [TopicPartition(topic, number) for number in range(16)]
        return {each: offset for each in partitions if (offset := await consumer.committed(each))}


async def test_what_is_published_takes_effect_and_database_and_group_know_how_far(
    own: Database, kafka: KafkaServer, publisher: KafkaPublisher, topic: str, group: str, study_id: str
) -> None:
    tellings = crowd(study_id, 40)
    await publisher.publish(messages(topic, tellings))
    async with consuming(own, kafka.bootstrap, group, [topic]) as consumer:
        await told(own, tellings)
    assert consumer.exception() is None
    assert await once_each(own, tellings)
    offsets = await stored_offsets(own.system, [topic])
    assert sum(offsets.values()) == 200
    assert await committed(kafka.bootstrap, group, topic) == offsets


async def test_another_database_under_the_same_group_gets_everything_from_the_beginning(
    own: Database, postgres: PostgresServer, kafka: KafkaServer, publisher: KafkaPublisher, topic: str, group: str,
    study_id: str,
) -> None:  # fmt: skip
    tellings = crowd(study_id, 10)
    await publisher.publish(messages(topic, tellings))
    async with consuming(own, kafka.bootstrap, group, [topic]):
        await told(own, tellings)
    async with analytics_of_its_own(postgres) as empty:
        async with consuming(empty, kafka.bootstrap, group, [topic]):
            await told(empty, tellings)
        assert await once_each(empty, tellings)


async def test_members_that_come_and_go_lose_nothing_and_double_nothing(
    own: Database, kafka: KafkaServer, publisher: KafkaPublisher, topic: str, group: str, study_id: str
) -> None:
    tellings = crowd(study_id, 60)
    async with consuming(own, kafka.bootstrap, group, [topic]) as second:
        async with consuming(own, kafka.bootstrap, group, [topic]) as first:
            await publisher.publish(messages(topic, tellings[:20]))
            await told(own, tellings[:20])
            await publisher.publish(messages(topic, tellings[20:40]))
        await publisher.publish(messages(topic, tellings[40:]))
        await told(own, tellings)
    assert (first.exception(), second.exception()) == (None, None)
    assert await once_each(own, tellings)


async def test_a_broker_that_is_killed_and_comes_back_is_waited_for(
    own: Database, tmp_path: Path, group: str, study_id: str
) -> None:
    tellings = crowd(study_id, 20)
    with LocalKafka(tmp_path, home=install(lambda _: None)) as broker:
        await ensure_topics(broker.bootstrap, ["own.enrollment.v1"])
        async with consuming(own, broker.bootstrap, group, ["own.enrollment.v1"]) as consumer:
            before = KafkaPublisher(broker.bootstrap)
            await before.publish(messages("own.enrollment.v1", tellings[:10]))
            await before.close()
            await told(own, tellings[:10])
            broker.kill()
            await asyncio.to_thread(broker.start)
            after = KafkaPublisher(broker.bootstrap)
            await after.publish(messages("own.enrollment.v1", tellings[10:]))
            await after.close()
            await told(own, tellings)
        assert consumer.exception() is None
    assert await once_each(own, tellings)


async def dies(*asked: object) -> bool:
    raise RuntimeError("the handler is closed")  # as uvloop says it of a connection that was just lost


@pytest.fixture
def members(monkeypatch: pytest.MonkeyPatch) -> list[AIOKafkaConsumer]:
    """The clients that a consumer makes, one after another."""
    made: list[AIOKafkaConsumer] = []

    class Noted(AIOKafkaConsumer):  # type: ignore[misc] # aiokafka has no types
        def __init__(self, *asked: object, **said: object) -> None:
            super().__init__(*asked, **said)
            made.append(self)

    monkeypatch.setattr("shared.inbox.consumer.AIOKafkaConsumer", Noted)
    return made


def at_work(member: AIOKafkaConsumer) -> list[object]:
    """What a client still holds or does."""
    coordinator, fetcher = member._coordinator, member._fetcher
    tasks = (coordinator._coordination_task, coordinator._heartbeat_task, fetcher._fetch_task, *fetcher._pending_tasks)
    connected = [each for each in member._client._conns.values() if each.connected()]
    return [task for task in tasks if task and not task.done()] + connected


async def test_a_client_that_no_longer_learns_of_the_cluster_is_replaced(
    own: Database, kafka: KafkaServer, publisher: KafkaPublisher, topic: str, group: str, study_id: str,
    members: list[AIOKafkaConsumer], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    tellings = crowd(study_id, 20)
    async with consuming(own, kafka.bootstrap, group, [topic]) as consumer:
        await publisher.publish(messages(topic, tellings[:10]))
        await told(own, tellings[:10])
        monkeypatch.setattr(members[0]._client, "_metadata_update", dies)
        members[0]._fetcher._pending_tasks.add(asyncio.create_task(asyncio.sleep(PATIENCE)))  # as after a failed fetch
        monkeypatch.setattr(members[0]._client, "coordinator_lookup", no_coordinator)
        members[0]._client.force_metadata_update()
        members[0]._coordinator.coordinator_dead()
        await publisher.publish(messages(topic, tellings[10:]))
        await told(own, tellings)
        assert not consumer.done()
    assert len(members) == 2
    assert at_work(members[0]) == []
    assert await once_each(own, tellings)


async def no_coordinator(*asked: object) -> int:
    raise NodeNotReadyError("it was the broker that died")


async def test_a_client_that_fetches_no_more_is_replaced(
    own: Database, kafka: KafkaServer, publisher: KafkaPublisher, topic: str, group: str, study_id: str,
    members: list[AIOKafkaConsumer], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    tellings = crowd(study_id, 20)
    async with consuming(own, kafka.bootstrap, group, [topic]):
        await publisher.publish(messages(topic, tellings[:10]))
        await told(own, tellings[:10])
        monkeypatch.setattr(members[0]._fetcher, "_proc_fetch_request", dies)
        await publisher.publish(messages(topic, tellings[10:]))
        await told(own, tellings)
    assert len(members) == 2
    assert at_work(members[0]) == []
    assert await once_each(own, tellings)


async def group_knows(database: Database, bootstrap: str, group: str, topic: str) -> bool:
    return await committed(bootstrap, group, topic) == await stored_offsets(database.system, [topic])


async def set_back(database: Database) -> None:
    """To where it was before anything was taken in, as whoever restores a backup."""
    connection = await asyncpg.connect(database.superuser_url)
    try:
        await connection.execute("truncate fact, subject_site, inbox_stream, inbox_waiting, inbox_offset")
    finally:
        await connection.close()


async def test_a_database_that_is_set_back_under_a_consumer_gets_what_it_lacks(
    own: Database, kafka: KafkaServer, publisher: KafkaPublisher, topic: str, group: str, study_id: str
) -> None:
    """The consumer ends, and the next one goes on from what the database says."""
    tellings = crowd(study_id, 20)
    await publisher.publish(messages(topic, tellings[:10]))
    async with consuming(own, kafka.bootstrap, group, [topic]) as consumer:
        await told(own, tellings[:10])
        await until(lambda: group_knows(own, kafka.bootstrap, group, topic))
        await set_back(own)
        await publisher.publish(messages(topic, tellings[10:]))
        await asyncio.wait({consumer}, timeout=PATIENCE)
    assert isinstance(consumer.exception(), Skipped)
    async with consuming(own, kafka.bootstrap, group, [topic]):
        await told(own, tellings)
    assert await once_each(own, tellings)


async def test_an_error_of_ours_comes_out_and_nothing_of_the_batch_is_taken_for_done(
    own: Database, kafka: KafkaServer, publisher: KafkaPublisher, topic: str, group: str, study_id: str
) -> None:
    async def fails(connection: Connection, events: Sequence[Event]) -> None:
        await state_by_version(connection, events)
        raise ZeroDivisionError

    tellings = crowd(study_id, 10)
    await publisher.publish(messages(topic, tellings))
    async with consuming(own, kafka.bootstrap, group, [topic], fails) as failing:
        await asyncio.wait({failing}, timeout=PATIENCE)
    assert isinstance(failing.exception(), ZeroDivisionError)
    assert await stands(own.system, study_id) == []
    async with consuming(own, kafka.bootstrap, group, [topic]):
        await told(own, tellings)
    assert await once_each(own, tellings)


async def test_a_group_that_is_ahead_of_the_database_is_set_back_once_its_topics_are_there(
    own: Database, kafka: KafkaServer, publisher: KafkaPublisher, topic: str, group: str, study_id: str
) -> None:
    await publisher.publish(messages(topic, crowd(study_id, 10)))
    known = await everything_committed(kafka.bootstrap, group, topic)
    later = f"test-{secrets.token_hex(4)}.toxicity.v1"
    rewound = 0

    async def restored() -> None:
        nonlocal rewound
        rewound += 1

    rewinding = asyncio.create_task(rewind_group(own.system, kafka.bootstrap, group, [topic, later], restored))
    done, _ = await asyncio.wait({rewinding}, timeout=1.0)
    assert not done
    assert await committed(kafka.bootstrap, group, topic) == known
    await ensure_topics(kafka.bootstrap, [later])
    await asyncio.wait_for(rewinding, PATIENCE)
    assert (rewound, await committed(kafka.bootstrap, group, topic)) == (1, {})
    await rewind_group(own.system, kafka.bootstrap, group, [topic, later], restored)
    assert rewound == 1


async def everything_committed(bootstrap: str, group: str, topic: str) -> dict[TopicPartition, int]:
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False) as consumer:
        partitions = [TopicPartition(topic, number) for number in range(16)]
        consumer.assign(partitions)
        ends = {each: end for each, end in (await consumer.end_offsets(partitions)).items() if end}
        await consumer.commit(ends)
    return ends
