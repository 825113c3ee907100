"""The Faust worker continues soon after its broker was killed and started again, and no event is lost."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from infra.local.kafka import LocalKafka, install_kafka
from services.analytics.projection.worker import FATAL_EXIT_CODE
from shared.outbox.publisher import KafkaPublisher, ensure_topics
from shared.testing.builders.events import EventStream
from tests.conftest import TOPICS, Database, PostgresServer
from tests.integration.support.analytics_database import own_analytics_database
from tests.integration.support.faust_workers import (
    FaustWorkerHarness,
    assert_applied_exactly_once,
    participant_streams,
    wait_until_applied,
)
from tests.polling import wait_until

RECOVERY_TIMEOUT_SECONDS = (
    20.0  # seconds from the return of the broker to a new fact: 3 if idle, 60 if the watch must act
)
ATTEMPTS = 5


@pytest.fixture
async def own_database(postgres: PostgresServer, databases: Mapping[str, str]) -> AsyncIterator[Database]:
    async with own_analytics_database(postgres) as database:
        yield database


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[LocalKafka]:
    """A broker for one test, which kills it."""
    with LocalKafka(tmp_path / "kafka", home=install_kafka(lambda _: None)) as running:
        await ensure_topics(running.bootstrap, TOPICS)
        yield running


@pytest.fixture
async def harness(broker: LocalKafka, tmp_path: Path) -> AsyncIterator[FaustWorkerHarness]:
    publisher = KafkaPublisher(broker.bootstrap)
    yield FaustWorkerHarness(broker, publisher, tmp_path, "group")
    await publisher.close()


async def test_worker_without_assigned_topics_recovers_soon_after_the_broker_returns(
    harness: FaustWorkerHarness, broker: LocalKafka, own_database: Database, study_id: str
) -> None:
    """The test repeats until a worker gets no partitions, because it joined before its client knew the topics."""
    streams = participant_streams(study_id, 2 * ATTEMPTS)
    for attempt in range(1, ATTEMPTS + 1):
        (folder := harness.folder / str(attempt)).mkdir()
        if await recovers_after_broker_restart(
            replace(harness, folder=folder), broker, own_database, streams[: 2 * attempt]
        ):
            await assert_applied_exactly_once(own_database, *streams[: 2 * attempt])
            return
    pytest.fail(f"no assignment without partitions in {ATTEMPTS} attempts")


async def test_worker_whose_kafka_client_fails_exits_and_its_successor_continues(
    harness: FaustWorkerHarness, own_database: Database, study_id: str
) -> None:
    streams = participant_streams(study_id, 4)
    with harness.worker(own_database) as worker:
        await harness.publish(*streams[:2])
        await wait_until_applied(own_database, *streams[:2])
        worker.process.send_signal(signal.SIGUSR1)
        assert await worker.wait_for_exit() == FATAL_EXIT_CODE
        worker.restart()
        await harness.publish(*streams[2:])
        await wait_until_applied(own_database, *streams)
    await assert_applied_exactly_once(own_database, *streams)


async def recovers_after_broker_restart(
    harness: FaustWorkerHarness, broker: LocalKafka, own_database: Database, streams: Sequence[EventStream]
) -> bool:
    """Publishes the last two of `streams` after the broker's return. Returns whether no partitions were assigned."""
    with harness.worker(own_database) as worker:
        await wait_until(
            lambda: worker.has_logged("Waiting for tables to be registered")
        )  # 1 s before it asks for its topics
        broker.kill()
        await wait_until(lambda: worker.has_logged("Subscribed to topic"))
        await asyncio.to_thread(broker.start)
        async with asyncio.timeout(RECOVERY_TIMEOUT_SECONDS):
            await harness.publish(*streams[-2:])
            await wait_until_applied(own_database, *streams)
        assigned_nothing = await worker.has_logged("Setting newly assigned partitions set()")
        assert worker.stop() == 0
    return assigned_nothing
