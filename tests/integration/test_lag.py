"""Lag of a consumer and counts of parked streams, as pages and metrics read them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiokafka import TopicPartition

from infra.local.ports import LOOPBACK, free_port
from shared.contracts.cloudevents import Message, encode
from shared.inbox.lag import StallDetector, WorkerStalled, load_lags, load_stuck_counts, monitor_lag
from shared.inbox.stream_cursor import KafkaMessage
from shared.outbox.publisher import KafkaPublisher, ensure_topics
from shared.testing.builders.events import EventStream
from shared.testing.builders.facts import lesion_registered
from shared.testing.builders.messages import as_message
from shared.testing.builders.participant_history import participant_stream
from tests.conftest import Database, KafkaServer, PostgresServer
from tests.integration.support.analytics_database import own_analytics_database, project_messages
from tests.polling import wait_until

TIMEOUT_SECONDS = 40.0  # seconds until a promise counts as broken


@pytest.fixture
async def own_database(postgres: PostgresServer, databases: Mapping[str, str]) -> AsyncIterator[Database]:
    async with own_analytics_database(postgres) as database:
        yield database


@pytest.fixture
async def topic(kafka: KafkaServer) -> str:
    name = f"test-{secrets.token_hex(4)}.enrollment.v1"
    await ensure_topics(kafka.bootstrap, [name])
    return name


@asynccontextmanager
async def running_monitor(database: Database, bootstrap: str, topic: str) -> AsyncIterator[None]:
    monitor_task = asyncio.create_task(monitor_lag(database.system, bootstrap, [topic], interval=0.05))
    try:
        yield
    finally:
        assert not monitor_task.done()
        monitor_task.cancel()
        await asyncio.wait({monitor_task})


async def wait_for_lag(database: Database, topic: str, expected: int) -> None:
    """Waits until the application's role reads this lag."""

    async def has_expected_lag() -> bool:
        return {lag.topic: lag.behind for lag in await load_lags(database.app)} == {topic: expected}

    await wait_until(has_expected_lag)


def encode_stream(topic: str, stream: EventStream) -> list[Message]:
    encoded = [encode(event) for event in stream.events]
    return [Message(topic, message.key, message.headers, message.value) for message in encoded]


async def test_lag_counts_published_messages_that_were_not_applied(
    own_database: Database, kafka: KafkaServer, publisher: KafkaPublisher, topic: str, study_id: str
) -> None:
    stream = participant_stream(study_id, lesion_registered())
    async with running_monitor(own_database, kafka.bootstrap, topic):
        await wait_for_lag(own_database, topic, 0)
        await publisher.publish(encode_stream(topic, stream))
        await wait_for_lag(own_database, topic, 3)
        for partition in range(16):  # each as if it had taken in the first two messages of every partition
            await project_messages(own_database.system, [message_in(stream, topic, partition, 1)])
        await wait_for_lag(own_database, topic, 1)
        assert all(lag.age < TIMEOUT_SECONDS for lag in await load_lags(own_database.app))


async def test_monitor_raises_when_a_backlog_makes_no_progress(
    own_database: Database, kafka: KafkaServer, publisher: KafkaPublisher, topic: str, study_id: str
) -> None:
    monitor_task = asyncio.create_task(
        monitor_lag(own_database.system, kafka.bootstrap, [topic], interval=0.05, stall_after=0.0)
    )
    await wait_for_lag(own_database, topic, 0)
    assert not monitor_task.done(), "nothing to take in is no standstill"
    await publisher.publish(encode_stream(topic, participant_stream(study_id, lesion_registered())))
    async with asyncio.timeout(TIMEOUT_SECONDS):
        with pytest.raises(WorkerStalled, match=topic):
            await monitor_task


def test_stall_is_detected_only_when_no_offset_moves_despite_a_backlog() -> None:
    first, second = TopicPartition("told", 0), TopicPartition("told", 1)
    detector = StallDetector({first: 5}, 0.0).observe({first: 5}, 10.0, caught_up=False)
    assert detector.unchanged_since == 0.0
    assert detector.observe({first: 5}, 20.0, caught_up=True).unchanged_since == 20.0
    for offsets in ({first: 6}, {first: 5, second: 1}):  # the other waits for its turn
        assert detector.observe(offsets, 30.0, caught_up=False) == StallDetector(offsets, 30.0)


def message_in(stream: EventStream, topic: str, partition: int, offset: int) -> KafkaMessage:
    return replace(as_message(stream.events[0], offset, partition), topic=topic)


async def test_parked_streams_and_unreadable_messages_are_counted_even_without_kafka(
    own_database: Database, study_id: str
) -> None:
    gapped_stream, complete_stream = participant_stream(study_id, lesion_registered()), participant_stream(study_id)
    unaddressable = replace(as_message(complete_stream.events[0], 9), headers=())
    await project_messages(
        own_database.system, [as_message(gapped_stream.events[0]), as_message(gapped_stream.events[2]), unaddressable]
    )
    assert await load_stuck_counts(own_database.app) is None

    async def is_counted() -> bool:
        counts = await load_stuck_counts(own_database.app)
        return counts is not None and (counts.parked, counts.unreadable) == (1, 1) and counts.oldest is not None

    async with running_monitor(own_database, f"{LOOPBACK}:{free_port()}", "nowhere.enrollment.v1"):
        await wait_until(is_counted)
        await project_messages(own_database.system, [as_message(gapped_stream.events[1])])
        await wait_until(lambda: _has_parked_streams(own_database, 0))
    assert await load_lags(own_database.app) == []


async def _has_parked_streams(database: Database, expected: int) -> bool:
    counts = await load_stuck_counts(database.app)
    return counts is not None and counts.parked == expected
