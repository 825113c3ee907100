"""A database that was put back to an earlier state than was published is not relayed, however it was put back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import asyncpg
import pytest
from pydantic import SecretStr

from infra.cli.relay import republish
from infra.local.ports import LOOPBACK, free_port
from shared.contracts.cloudevents import Message, encode
from shared.outbox.lease import RestoredDatabase
from shared.outbox.publisher import KafkaPublisher, Publisher, ensure_topics
from shared.outbox.relay import Relay
from shared.outbox.restore_guard import TAIL_RECORDS, require_published_events
from shared.runtime.service_process import relay_task
from shared.settings import Settings
from shared.testing.append_requests import append_in_unit, build_append, build_event
from tests.conftest import Database, KafkaServer
from tests.integration.support.relay import (
    TIMEOUT_SECONDS,
    open_study,
    running_relay,
    wait_until_leased,
    wait_until_published,
    write_versions,
)

RESET_TO_VERSION_2_SQL = """
    set session_replication_role = replica;
    delete from events where version > 2;
    update streams set version = 2 where version > 2;
    delete from outbox
"""
"""Set a database back by two events, in the same cluster, with a cursor that does not show it."""


@dataclass
class SingleTopicPublisher:
    """The real publisher; what it publishes goes to a topic that no other test's database publishes to."""

    target: Publisher
    topic: str

    async def publish(self, messages: Sequence[Message]) -> None:
        await self.target.publish([replace(message, topic=self.topic) for message in messages])

    async def close(self) -> None: ...


@pytest.fixture
async def own_topic_publisher(kafka: KafkaServer, publisher: KafkaPublisher, study_id: str) -> SingleTopicPublisher:
    own_topic = f"{study_id}.enrollment.v1"
    await ensure_topics(kafka.bootstrap, [own_topic])
    return SingleTopicPublisher(publisher, own_topic)


async def reset_database(database: Database) -> None:
    superuser = await asyncpg.connect(database.superuser_url)
    await superuser.execute(RESET_TO_VERSION_2_SQL)
    await superuser.close()


async def test_relay_runs_on_the_latest_state_and_refuses_an_earlier_one(
    fresh_database: Database, kafka: KafkaServer, own_topic_publisher: SingleTopicPublisher, study_id: str
) -> None:
    restore_check = partial(require_published_events, fresh_database.system, kafka.bootstrap, own_topic_publisher.topic)
    store = fresh_database.store()
    names = await open_study(store, study_id, 3)
    async with running_relay(fresh_database, own_topic_publisher, restore_check=restore_check):
        await write_versions(store, study_id, names, 3)
        await wait_until_published(fresh_database)
    async with running_relay(fresh_database, own_topic_publisher, restore_check=restore_check):
        await wait_until_leased(fresh_database)
    await reset_database(fresh_database)
    for _ in range(2):
        with pytest.raises(RestoredDatabase, match="at least 3 events"):
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await Relay(fresh_database.system, own_topic_publisher, "enrollment", restore_check=restore_check).run(
                    asyncio.Event()
                )


async def test_different_event_at_a_published_version_reveals_a_restored_database(
    fresh_database: Database, kafka: KafkaServer, own_topic_publisher: SingleTopicPublisher, study_id: str
) -> None:
    store = fresh_database.store()
    [name] = await open_study(store, study_id, 1)
    await write_versions(store, study_id, [name], 2)
    published = build_event(study_id, name, 3)
    await own_topic_publisher.publish([encode(published)])
    await append_in_unit(store, build_append(study_id, name, 2))
    with pytest.raises(RestoredDatabase, match=str(published.event_id)):
        await require_published_events(fresh_database.system, kafka.bootstrap, own_topic_publisher.topic)


async def test_restore_check_without_a_tail_limit_reads_every_published_record(
    fresh_database: Database, kafka: KafkaServer, own_topic_publisher: SingleTopicPublisher, study_id: str
) -> None:
    store = fresh_database.store()
    [name] = await open_study(store, study_id, 1)
    stored = build_append(study_id, name)
    await append_in_unit(store, stored)
    await own_topic_publisher.publish(
        [encode(build_event(study_id, name, 2)), *[encode(stored.events[0])] * TAIL_RECORDS]
    )
    await require_published_events(fresh_database.system, kafka.bootstrap, own_topic_publisher.topic)
    with pytest.raises(RestoredDatabase, match=" has 1 events"):
        await require_published_events(fresh_database.system, kafka.bootstrap, own_topic_publisher.topic, tail=None)


async def test_foreign_records_on_the_topic_do_not_affect_the_restore_check(
    fresh_database: Database, kafka: KafkaServer, own_topic_publisher: SingleTopicPublisher
) -> None:
    foreign_message = encode(replace(build_event("study", "study", 1), service="toxicity"))
    await own_topic_publisher.publish([Message(own_topic_publisher.topic, b"key", (), b"{}"), foreign_message])
    await require_published_events(fresh_database.system, kafka.bootstrap, own_topic_publisher.topic, tail=None)


async def test_relay_retries_the_restore_check_until_the_broker_answers(
    fresh_database: Database, own_topic_publisher: SingleTopicPublisher
) -> None:
    attempts, has_retried = list[str](), asyncio.Event()

    async def failing_check() -> None:
        attempts.append("again")
        if len(attempts) == 3:
            has_retried.set()
        await require_published_events(fresh_database.system, f"{LOOPBACK}:{free_port()}", own_topic_publisher.topic)

    async with (
        running_relay(fresh_database, own_topic_publisher, restore_check=failing_check),
        asyncio.timeout(TIMEOUT_SECONDS),
    ):
        await has_retried.wait()


async def test_relays_make_progress_when_the_restore_check_outlasts_a_lease(
    fresh_database: Database, own_topic_publisher: SingleTopicPublisher, study_id: str
) -> None:
    slow_check = partial(asyncio.sleep, 1.0)
    await open_study(fresh_database.store(), study_id, 0)
    async with (
        running_relay(fresh_database, own_topic_publisher, restore_check=slow_check, lease_seconds=0.3),
        running_relay(fresh_database, own_topic_publisher, restore_check=slow_check, lease_seconds=0.3),
    ):
        await wait_until_published(fresh_database)


async def test_worker_and_resync_refuse_a_restored_database(
    fresh_database: Database, kafka: KafkaServer, publisher: KafkaPublisher, study_id: str
) -> None:
    await publisher.publish([encode(build_event(study_id, study_id, 1))])
    settings = Settings(KAFKA_BOOTSTRAP=kafka.bootstrap, enrollment_system_url=SecretStr(fresh_database.urls["system"]))
    for attempt in (relay_task("enrollment")(settings, asyncio.Event()), republish(settings, "enrollment")):
        with pytest.raises(RestoredDatabase):
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await attempt
