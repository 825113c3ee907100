"""A broker that is killed under the Faust worker, and comes back: the worker goes on soon, and nothing is lost."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from infra.local.kafka import LocalKafka, install
from services.analytics.projection.worker import FATAL
from shared.outbox.publisher import KafkaPublisher, ensure_topics
from tests.conftest import TOPICS, Database, PostgresServer
from tests.integration.analytics import analytics_of_its_own
from tests.integration.faust_workers import Site, applied, crowd, nothing_lost_nothing_doubled, until
from tests.integration.stated import Telling

GOES_ON_WITHIN = 20.0  # seconds from the return of the broker to a new fact: 3 if idle, 60 if the watch must act
ATTEMPTS = 5


@pytest.fixture
async def own(postgres: PostgresServer, databases: Mapping[str, str]) -> AsyncIterator[Database]:
    async with analytics_of_its_own(postgres) as database:
        yield database


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[LocalKafka]:
    """A broker for one test, which kills it."""
    with LocalKafka(tmp_path / "kafka", home=install(lambda _: None)) as running:
        await ensure_topics(running.bootstrap, TOPICS)
        yield running


@pytest.fixture
async def here(broker: LocalKafka, tmp_path: Path) -> AsyncIterator[Site]:
    publisher = KafkaPublisher(broker.bootstrap)
    yield Site(broker, publisher, tmp_path, "group")
    await publisher.close()


async def test_a_worker_that_never_saw_the_topics_goes_on_soon_after_the_broker_is_back(
    here: Site, broker: LocalKafka, own: Database, study_id: str
) -> None:
    """Repeated until the worker was assigned no partitions, which it is when it joins before its next look."""
    tellings = crowd(study_id, 2 * ATTEMPTS)
    for attempt in range(1, ATTEMPTS + 1):
        (folder := here.folder / str(attempt)).mkdir()
        if await goes_on(replace(here, folder=folder), broker, own, tellings[: 2 * attempt]):
            await nothing_lost_nothing_doubled(own, *tellings[: 2 * attempt])
            return
    pytest.fail(f"no assignment without partitions in {ATTEMPTS} attempts")


async def test_a_worker_whose_client_no_longer_learns_of_the_cluster_ends_and_the_next_one_goes_on(
    here: Site, own: Database, study_id: str
) -> None:
    tellings = crowd(study_id, 4)
    with here.worker(own) as worker:
        await here.publish(*tellings[:2])
        await applied(own, *tellings[:2])
        worker.process.send_signal(signal.SIGUSR1)
        assert await worker.ended() == FATAL
        worker.restart()
        await here.publish(*tellings[2:])
        await applied(own, *tellings)
    await nothing_lost_nothing_doubled(own, *tellings)


async def goes_on(here: Site, broker: LocalKafka, own: Database, tellings: Sequence[Telling]) -> bool:
    """Publish the last two of `tellings` after the broker's return. Returns whether no partitions were assigned."""
    with here.worker(own) as worker:
        await until(lambda: worker.says("Waiting for tables to be registered"))  # 1 s before it asks for its topics
        broker.kill()
        await until(lambda: worker.says("Subscribed to topic"))
        await asyncio.to_thread(broker.start)
        async with asyncio.timeout(GOES_ON_WITHIN):
            await here.publish(*tellings[-2:])
            await applied(own, *tellings)
        assigned_nothing = await worker.says("Setting newly assigned partitions set()")
        assert worker.end() == 0
    return assigned_nothing
