from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import NodeNotReadyError

from infra.local.kafka import LocalKafka, install_kafka
from shared.contracts.cloudevents import Message, encode
from shared.contracts.event import Event
from shared.inbox.batch import EventHandler, OffsetGap
from shared.inbox.consumer import consume, rewind_group, stored_offsets
from shared.inbox.repository import Connection
from shared.inbox.standing_facts import apply_by_version
from shared.outbox.publisher import KafkaPublisher, ensure_topics
from shared.testing.builders.events import EventStream
from shared.testing.builders.facts import lesion_registered, participant_enrolled
from shared.testing.builders.participant_history import participant_stream
from tests.conftest import Database, KafkaServer, PostgresServer
from tests.integration.support.analytics_database import own_analytics_database, read_standing_facts, stream_states
from tests.polling import wait_until

TIMEOUT_SECONDS = 40.0  # seconds until a promise counts as broken


@pytest.fixture
async def own_database(postgres: PostgresServer, databases: Mapping[str, str]) -> AsyncIterator[Database]:
    async with own_analytics_database(postgres) as database:
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


def participant_streams(study_id: str, size: int) -> list[EventStream]:
    return [
        participant_stream(study_id, lesion_registered("L1"), lesion_registered("L2"), participant_enrolled())
        for _ in range(size)
    ]


def encode_streams(topic: str, streams: Sequence[EventStream]) -> list[Message]:
    encoded = [encode(event) for stream in streams for event in stream.events]
    return [Message(topic, message.key, message.headers, message.value) for message in encoded]


@asynccontextmanager
async def running_consumer(
    database: Database, bootstrap: str, group: str, topics: Collection[str], handler: EventHandler = apply_by_version
) -> AsyncIterator[asyncio.Task[None]]:
    stop = asyncio.Event()
    consumer = asyncio.create_task(
        consume(database.system, bootstrap=bootstrap, group=group, topics=topics, handler=handler, stop=stop)
    )
    try:
        yield consumer
    finally:
        stop.set()
        finished, _ = await asyncio.wait({consumer}, timeout=TIMEOUT_SECONDS)
    assert finished, "it does not end when it is told to stop"


async def wait_until_applied(database: Database, streams: Sequence[EventStream]) -> None:
    """Waits until every stream was applied to its end."""
    ends = {stream.stream_id: (len(stream.events), None) for stream in streams}

    async def is_applied() -> bool:
        return await stream_states(database.system, streams[0].study_id) == ends

    await wait_until(is_applied)


async def is_applied_exactly_once(database: Database, streams: Sequence[EventStream]) -> bool:
    rows = await read_standing_facts(database.system, streams[0].study_id)
    events = [event.event_id for stream in streams for event in stream.events]
    return sorted(row.event_id for row in rows) == sorted(events)


async def committed_offsets(bootstrap: str, group: str, topic: str) -> dict[TopicPartition, int]:
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False) as consumer:
        partitions = [TopicPartition(topic, number) for number in range(16)]
        return {partition: offset for partition in partitions if (offset := await consumer.committed(partition))}


async def test_published_events_are_applied_and_offsets_stored_in_database_and_group(
    own_database: Database, kafka: KafkaServer, publisher: KafkaPublisher, topic: str, group: str, study_id: str
) -> None:
    streams = participant_streams(study_id, 40)
    await publisher.publish(encode_streams(topic, streams))
    async with running_consumer(own_database, kafka.bootstrap, group, [topic]) as consumer:
        await wait_until_applied(own_database, streams)
    assert consumer.exception() is None
    assert await is_applied_exactly_once(own_database, streams)
    offsets = await stored_offsets(own_database.system, [topic])
    assert sum(offsets.values()) == 200
    assert await committed_offsets(kafka.bootstrap, group, topic) == offsets


async def test_new_database_under_the_same_group_is_filled_from_the_beginning(
    own_database: Database,
    postgres: PostgresServer,
    kafka: KafkaServer,
    publisher: KafkaPublisher,
    topic: str,
    group: str,
    study_id: str,
) -> None:
    streams = participant_streams(study_id, 10)
    await publisher.publish(encode_streams(topic, streams))
    async with running_consumer(own_database, kafka.bootstrap, group, [topic]):
        await wait_until_applied(own_database, streams)
    async with own_analytics_database(postgres) as empty_database:
        async with running_consumer(empty_database, kafka.bootstrap, group, [topic]):
            await wait_until_applied(empty_database, streams)
        assert await is_applied_exactly_once(empty_database, streams)


async def test_consumers_joining_and_leaving_apply_each_event_exactly_once(
    own_database: Database, kafka: KafkaServer, publisher: KafkaPublisher, topic: str, group: str, study_id: str
) -> None:
    streams = participant_streams(study_id, 60)
    async with running_consumer(own_database, kafka.bootstrap, group, [topic]) as second:
        async with running_consumer(own_database, kafka.bootstrap, group, [topic]) as first:
            await publisher.publish(encode_streams(topic, streams[:20]))
            await wait_until_applied(own_database, streams[:20])
            await publisher.publish(encode_streams(topic, streams[20:40]))
        await publisher.publish(encode_streams(topic, streams[40:]))
        await wait_until_applied(own_database, streams)
    assert (first.exception(), second.exception()) == (None, None)
    assert await is_applied_exactly_once(own_database, streams)


async def test_consumer_waits_for_a_killed_broker_to_return(
    own_database: Database, tmp_path: Path, group: str, study_id: str
) -> None:
    streams = participant_streams(study_id, 20)
    with LocalKafka(tmp_path, home=install_kafka(lambda _: None)) as broker:
        await ensure_topics(broker.bootstrap, ["own.enrollment.v1"])
        async with running_consumer(own_database, broker.bootstrap, group, ["own.enrollment.v1"]) as consumer:
            before = KafkaPublisher(broker.bootstrap)
            await before.publish(encode_streams("own.enrollment.v1", streams[:10]))
            await before.close()
            await wait_until_applied(own_database, streams[:10])
            broker.kill()
            await asyncio.to_thread(broker.start)
            after = KafkaPublisher(broker.bootstrap)
            await after.publish(encode_streams("own.enrollment.v1", streams[10:]))
            await after.close()
            await wait_until_applied(own_database, streams)
        assert consumer.exception() is None
    assert await is_applied_exactly_once(own_database, streams)


async def raise_closed_handler(*args: object) -> bool:
    raise RuntimeError("the handler is closed")  # as uvloop says it of a connection that was just lost


@pytest.fixture
def created_consumers(monkeypatch: pytest.MonkeyPatch) -> list[AIOKafkaConsumer]:
    """The clients that a consumer makes, one after another."""
    consumers: list[AIOKafkaConsumer] = []

    class TrackedConsumer(AIOKafkaConsumer):  # type: ignore[misc] # aiokafka has no types
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, **kwargs)
            consumers.append(self)

    monkeypatch.setattr("shared.inbox.consumer.AIOKafkaConsumer", TrackedConsumer)
    return consumers


def open_activities(consumer: AIOKafkaConsumer) -> list[object]:
    """Returns open connections and running tasks of a client."""
    coordinator, fetcher = consumer._coordinator, consumer._fetcher
    tasks = (coordinator._coordination_task, coordinator._heartbeat_task, fetcher._fetch_task, *fetcher._pending_tasks)
    connected = [connection for connection in consumer._client._conns.values() if connection.connected()]
    return [task for task in tasks if task and not task.done()] + connected


async def test_consumer_whose_client_stops_refreshing_metadata_is_replaced(
    own_database: Database,
    kafka: KafkaServer,
    publisher: KafkaPublisher,
    topic: str,
    group: str,
    study_id: str,
    created_consumers: list[AIOKafkaConsumer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    streams = participant_streams(study_id, 20)
    async with running_consumer(own_database, kafka.bootstrap, group, [topic]) as consumer:
        await publisher.publish(encode_streams(topic, streams[:10]))
        await wait_until_applied(own_database, streams[:10])
        monkeypatch.setattr(created_consumers[0]._client, "_metadata_update", raise_closed_handler)
        created_consumers[0]._fetcher._pending_tasks.add(
            asyncio.create_task(asyncio.sleep(TIMEOUT_SECONDS))
        )  # as after a failed fetch
        monkeypatch.setattr(created_consumers[0]._client, "coordinator_lookup", raise_no_coordinator)
        created_consumers[0]._client.force_metadata_update()
        created_consumers[0]._coordinator.coordinator_dead()
        await publisher.publish(encode_streams(topic, streams[10:]))
        await wait_until_applied(own_database, streams)
        assert not consumer.done()
    assert len(created_consumers) == 2
    assert open_activities(created_consumers[0]) == []
    assert await is_applied_exactly_once(own_database, streams)


async def raise_no_coordinator(*args: object) -> int:
    raise NodeNotReadyError("it was the broker that died")


async def test_consumer_that_stops_fetching_is_replaced(
    own_database: Database,
    kafka: KafkaServer,
    publisher: KafkaPublisher,
    topic: str,
    group: str,
    study_id: str,
    created_consumers: list[AIOKafkaConsumer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    streams = participant_streams(study_id, 20)
    async with running_consumer(own_database, kafka.bootstrap, group, [topic]):
        await publisher.publish(encode_streams(topic, streams[:10]))
        await wait_until_applied(own_database, streams[:10])
        monkeypatch.setattr(created_consumers[0]._fetcher, "_proc_fetch_request", raise_closed_handler)
        await publisher.publish(encode_streams(topic, streams[10:]))
        await wait_until_applied(own_database, streams)
    assert len(created_consumers) == 2
    assert open_activities(created_consumers[0]) == []
    assert await is_applied_exactly_once(own_database, streams)


async def group_is_synchronized(database: Database, bootstrap: str, group: str, topic: str) -> bool:
    return await committed_offsets(bootstrap, group, topic) == await stored_offsets(database.system, [topic])


async def truncate_inbox(database: Database) -> None:
    """Empties the tables of the inbox, as after the restore of an old backup."""
    connection = await asyncpg.connect(database.superuser_url)
    try:
        await connection.execute("truncate fact, subject_site, inbox_stream, inbox_waiting, inbox_offset")
    finally:
        await connection.close()


async def test_consumer_of_a_reset_database_exits_and_its_successor_refills_it(
    own_database: Database, kafka: KafkaServer, publisher: KafkaPublisher, topic: str, group: str, study_id: str
) -> None:
    """The consumer exits, and the next one continues at the offsets of the database."""
    streams = participant_streams(study_id, 20)
    await publisher.publish(encode_streams(topic, streams[:10]))
    async with running_consumer(own_database, kafka.bootstrap, group, [topic]) as consumer:
        await wait_until_applied(own_database, streams[:10])
        await wait_until(lambda: group_is_synchronized(own_database, kafka.bootstrap, group, topic))
        await truncate_inbox(own_database)
        await publisher.publish(encode_streams(topic, streams[10:]))
        await asyncio.wait({consumer}, timeout=TIMEOUT_SECONDS)
    assert isinstance(consumer.exception(), OffsetGap)
    async with running_consumer(own_database, kafka.bootstrap, group, [topic]):
        await wait_until_applied(own_database, streams)
    assert await is_applied_exactly_once(own_database, streams)


async def test_handler_error_ends_the_consumer_and_applies_nothing_of_the_batch(
    own_database: Database, kafka: KafkaServer, publisher: KafkaPublisher, topic: str, group: str, study_id: str
) -> None:
    async def fail(connection: Connection, events: Sequence[Event]) -> None:
        await apply_by_version(connection, events)
        raise ZeroDivisionError

    streams = participant_streams(study_id, 10)
    await publisher.publish(encode_streams(topic, streams))
    async with running_consumer(own_database, kafka.bootstrap, group, [topic], fail) as consumer:
        await asyncio.wait({consumer}, timeout=TIMEOUT_SECONDS)
    assert isinstance(consumer.exception(), ZeroDivisionError)
    assert await read_standing_facts(own_database.system, study_id) == []
    async with running_consumer(own_database, kafka.bootstrap, group, [topic]):
        await wait_until_applied(own_database, streams)
    assert await is_applied_exactly_once(own_database, streams)


async def test_group_ahead_of_the_database_is_rewound_once_all_topics_exist(
    own_database: Database, kafka: KafkaServer, publisher: KafkaPublisher, topic: str, group: str, study_id: str
) -> None:
    await publisher.publish(encode_streams(topic, participant_streams(study_id, 10)))
    committed_before = await commit_all_offsets(kafka.bootstrap, group, topic)
    late_topic = f"test-{secrets.token_hex(4)}.toxicity.v1"
    rewind_count = 0

    async def count_rewind() -> None:
        nonlocal rewind_count
        rewind_count += 1

    rewinding = asyncio.create_task(
        rewind_group(own_database.system, kafka.bootstrap, group, [topic, late_topic], count_rewind)
    )
    done, _ = await asyncio.wait({rewinding}, timeout=1.0)
    assert not done
    assert await committed_offsets(kafka.bootstrap, group, topic) == committed_before
    await ensure_topics(kafka.bootstrap, [late_topic])
    await asyncio.wait_for(rewinding, TIMEOUT_SECONDS)
    assert (rewind_count, await committed_offsets(kafka.bootstrap, group, topic)) == (1, {})
    await rewind_group(own_database.system, kafka.bootstrap, group, [topic, late_topic], count_rewind)
    assert rewind_count == 1


async def commit_all_offsets(bootstrap: str, group: str, topic: str) -> dict[TopicPartition, int]:
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False) as consumer:
        partitions = [TopicPartition(topic, number) for number in range(16)]
        consumer.assign(partitions)
        ends = {partition: end for partition, end in (await consumer.end_offsets(partitions)).items() if end}
        await consumer.commit(ends)
    return ends
