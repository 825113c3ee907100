"""How far a consumer is behind, and what stands still, as whoever shows it can read it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiokafka import TopicPartition

from infra.local.ports import LOOPBACK, free_port
from shared.contracts.cloudevents import Message, encode
from shared.inbox.lag import StandsStill, Still, lags, standstill, watch
from shared.inbox.line import Received
from shared.outbox.publisher import KafkaPublisher, ensure_topics
from tests.conftest import Database, KafkaServer, PostgresServer
from tests.integration.analytics import analytics_of_its_own, apply
from tests.integration.stated import Telling, as_received, lesion, participant

PATIENCE = 40.0  # seconds until a promise counts as broken


@pytest.fixture
async def own(postgres: PostgresServer, databases: Mapping[str, str]) -> AsyncIterator[Database]:
    async with analytics_of_its_own(postgres) as database:
        yield database


@pytest.fixture
async def topic(kafka: KafkaServer) -> str:
    name = f"test-{secrets.token_hex(4)}.enrollment.v1"
    await ensure_topics(kafka.bootstrap, [name])
    return name


@asynccontextmanager
async def watched(database: Database, bootstrap: str, topic: str) -> AsyncIterator[None]:
    watching = asyncio.create_task(watch(database.system, bootstrap, [topic], every=0.05))
    try:
        yield
    finally:
        assert not watching.done()
        watching.cancel()
        await asyncio.wait({watching})


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await holds():  # noqa: ASYNC110 - another task, which has no event to wait for
            await asyncio.sleep(0.02)


async def behind(database: Database, topic: str, wanted: int) -> None:
    """Wait until the application's role is told so."""

    async def so_far() -> bool:
        return {lag.topic: lag.behind for lag in await lags(database.app)} == {topic: wanted}

    await until(so_far)


def messages(topic: str, telling: Telling) -> list[Message]:
    said = [encode(event) for event in telling.events]
    return [Message(topic, each.key, each.headers, each.value) for each in said]


async def test_the_lag_is_what_was_published_and_not_taken_in(
    own: Database, kafka: KafkaServer, publisher: KafkaPublisher, topic: str, study_id: str
) -> None:
    telling = participant(study_id, lesion())
    async with watched(own, kafka.bootstrap, topic):
        await behind(own, topic, 0)
        await publisher.publish(messages(topic, telling))
        await behind(own, topic, 3)
        for partition in range(16):  # each as if it had taken in the first two messages of every partition
            await apply(own.system, [received(telling, topic, partition, 1)])
        await behind(own, topic, 1)
        assert all(lag.age < PATIENCE for lag in await lags(own.app))


async def test_a_worker_that_takes_nothing_in_though_there_is_something_is_told_to_begin_anew(
    own: Database, kafka: KafkaServer, publisher: KafkaPublisher, topic: str, study_id: str
) -> None:
    watching = asyncio.create_task(watch(own.system, kafka.bootstrap, [topic], every=0.05, patience=0.0))
    await behind(own, topic, 0)
    assert not watching.done(), "nothing to take in is no standstill"
    await publisher.publish(messages(topic, participant(study_id, lesion())))
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(StandsStill, match=topic):
            await watching


def test_only_who_moves_no_offset_at_all_though_there_is_more_stands_still() -> None:
    first, second = TopicPartition("told", 0), TopicPartition("told", 1)
    still = Still({first: 5}, 0.0).next({first: 5}, 10.0, done=False)
    assert still.since == 0.0
    assert still.next({first: 5}, 20.0, done=True).since == 20.0
    for moved in ({first: 6}, {first: 5, second: 1}):  # the other waits for its turn
        assert still.next(moved, 30.0, done=False) == Still(moved, 30.0)


def received(telling: Telling, topic: str, partition: int, offset: int) -> Received:
    return replace(as_received(telling.events[0], offset, partition), topic=topic)


async def test_what_stands_still_is_counted_whether_or_not_kafka_answers(own: Database, study_id: str) -> None:
    gapped, whole = participant(study_id, lesion()), participant(study_id)
    nobodys = replace(as_received(whole.events[0], 9), headers=())
    await apply(own.system, [as_received(gapped.events[0]), as_received(gapped.events[2]), nobodys])
    assert await standstill(own.app) is None

    async def counted() -> bool:
        still = await standstill(own.app)
        return still is not None and (still.parked, still.unreadable) == (1, 1) and still.oldest is not None

    async with watched(own, f"{LOOPBACK}:{free_port()}", "nowhere.enrollment.v1"):
        await until(counted)
        await apply(own.system, [as_received(gapped.events[1])])
        await until(lambda: _parked(own, 0))
    assert await lags(own.app) == []


async def _parked(database: Database, streams: int) -> bool:
    still = await standstill(database.app)
    return still is not None and still.parked == streams
