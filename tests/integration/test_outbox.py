from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from infra.local.ports import LOOPBACK, free_port
from shared.contracts.cloudevents import PARTITIONS_PER_TOPIC, Message, encode
from shared.eventstore.postgres_store import PostgresStore
from shared.outbox.append_notifier import AppendNotifier
from shared.outbox.lease import Lease, LeaseLost, LeaseState, RestoredDatabase
from shared.outbox.maintenance import load_shard_status, prune, resync
from shared.outbox.publisher import KafkaPublisher, PublishError, WrongTopic, ensure_topics
from shared.outbox.relay import Relay
from shared.testing.append_requests import append_in_unit, build_append, build_event
from tests.conftest import Database, KafkaServer
from tests.integration.support.relay import (
    RecordingPublisher,
    open_study,
    published_events,
    running_relay,
    versions_by_stream,
    wait_until_leased,
    wait_until_published,
    write_versions,
)


async def test_rapid_append_notifications_are_merged_into_one(fresh_database: Database, study_id: str) -> None:
    notifications: list[object] = []

    def record(*notification: object) -> None:
        notifications.append(notification[3])

    notifier = AppendNotifier(fresh_database.app)
    async with fresh_database.system.acquire() as connection:
        await connection.add_listener("quartal_bell", record)
        for _ in range(1000):
            notifier.notify(study_id)
        await notifier.close()
        await connection.execute("select 1")  # what was notified before arrives with the answer
        await connection.remove_listener("quartal_bell", record)
    assert notifications == [study_id]


RESTORED_STATES = {
    "another cluster": "update relay_cursor set system_identifier = 7",
    "a later state": "update relay_cursor set done = '900000000:900000000:'",
    "a later state, in a backlog": "update relay_cursor set upto = '900000000:900000000:'",
    "rows of a later state": "insert into outbox values (-1, '900000000', 0, 's', 'p', 1)",
    "rows of a later state, no cursor": """
        delete from relay_cursor;
        insert into outbox values (-1, '900000000', 0, 's', 'p', 1);
    """,
}


@pytest.mark.parametrize("restored", RESTORED_STATES)
async def test_restored_database_is_not_relayed_until_a_resync(
    fresh_database: Database, kafka: KafkaServer, publisher: KafkaPublisher, study_id: str, restored: str
) -> None:
    store = fresh_database.store()
    names = await open_study(store, study_id, 2)
    async with running_relay(fresh_database, publisher):
        await write_versions(store, study_id, names, 3)
        await wait_until_published(fresh_database)
    owner = await asyncpg.connect(fresh_database.superuser_url)
    await owner.execute(RESTORED_STATES[restored])
    await owner.close()
    for _ in range(2):
        with pytest.raises(RestoredDatabase):
            await Relay(fresh_database.system, publisher, "enrollment").run(asyncio.Event())
    assert await resync(fresh_database.system, publisher, "enrollment") == 7
    async with running_relay(fresh_database, publisher):
        await append_in_unit(store, build_append(study_id, names[0], 3))
        await wait_until_published(fresh_database)
    delivered = versions_by_stream(await published_events(kafka.bootstrap, study_id))
    assert delivered == {study_id: [1, 1], names[0]: [1, 2, 3, 1, 2, 3, 4], names[1]: [1, 2, 3, 1, 2, 3]}


@dataclass
class AppendingPublisher(RecordingPublisher):
    """Appends another event to each stream at every publication."""

    store: PostgresStore | None = None
    names: Sequence[str] = ()
    study_id: str = ""
    version: int = 3

    async def before_publish(self) -> None:
        assert self.store
        for name in self.names:
            await append_in_unit(self.store, build_append(self.study_id, name, self.version))
        self.version += 1


async def test_events_appended_during_a_resync_are_not_lost(
    fresh_database: Database, kafka: KafkaServer, publisher: KafkaPublisher, study_id: str
) -> None:
    store = fresh_database.store()
    names = await open_study(store, study_id, 3)
    await write_versions(store, study_id, names, 3)
    appending_publisher = AppendingPublisher(publisher, store=store, names=names, study_id=study_id)
    await resync(fresh_database.system, appending_publisher, "enrollment")
    async with running_relay(fresh_database, publisher):
        await wait_until_published(fresh_database)
    delivered = versions_by_stream(await published_events(kafka.bootstrap, study_id))
    assert {name: list(dict.fromkeys(delivered[name])) for name in names} == {
        name: [*range(1, appending_publisher.version + 1)] for name in names
    }


async def test_lease_is_held_by_one_relay_at_a_time(fresh_database: Database) -> None:
    first, second = (Lease(fresh_database.system, 0, name, 30.0) for name in "ab")
    lease = await first.acquire()
    assert lease
    assert await second.acquire() is None
    await first.release(lease)
    next_lease = await second.acquire()
    assert next_lease
    assert next_lease.epoch == lease.epoch + 1


async def test_relay_that_lost_its_lease_moves_nothing(fresh_database: Database) -> None:
    first, second = Lease(fresh_database.system, 0, "a", 0.0), Lease(fresh_database.system, 0, "b", 30.0)
    lost_lease = await first.acquire()
    current_lease = await second.acquire()
    assert lost_lease
    assert current_lease
    for attempt in (first.renew(lost_lease), first.store_cursor(LeaseState(0, lost_lease.epoch, "9:9:", None, 0))):
        with pytest.raises(LeaseLost):
            await attempt
    await first.release(lost_lease)
    row = await fresh_database.system.fetchrow("select done, owner, until > clock_timestamp() held from relay_cursor")
    assert row
    assert tuple(row) == (current_lease.done, "b", True)


async def test_only_published_outbox_rows_are_pruned(
    fresh_database: Database, publisher: KafkaPublisher, study_id: str
) -> None:
    store = fresh_database.store()
    names = await open_study(store, study_id, 2)
    await write_versions(store, study_id, names, 5)
    assert await prune(fresh_database.system) == 0
    async with running_relay(fresh_database, publisher):
        await wait_until_published(fresh_database)
    await append_in_unit(store, build_append(study_id, names[0], 5))
    pruned = [
        await prune(fresh_database.system, max_rows=4) for _ in range(3)
    ]  # of 11; the relay may have begun with it
    assert max(pruned) <= 4
    remaining = await fresh_database.system.fetch("select stream_id, version from outbox")
    assert [tuple(row) for row in remaining] == [(names[0], 6)]


async def test_relay_status_shows_lag_and_lease(
    fresh_database: Database, publisher: KafkaPublisher, study_id: str
) -> None:
    store = fresh_database.store()
    async with running_relay(fresh_database, publisher):
        await wait_until_leased(fresh_database)
        [idle_shard] = await load_shard_status(fresh_database.system)
    assert (idle_shard.shard, idle_shard.is_leased, idle_shard.lag, idle_shard.oldest) == (0, True, 0, None)
    names = await open_study(store, study_id, 2)
    await write_versions(store, study_id, names, 3)
    [lagging_shard] = await load_shard_status(fresh_database.system)
    assert (lagging_shard.is_leased, lagging_shard.lag, lagging_shard.owner, lagging_shard.epoch) == (
        False,
        7,
        idle_shard.owner,
        idle_shard.epoch,
    )
    assert lagging_shard.oldest is not None
    assert lagging_shard.oldest > 0


async def test_publisher_without_a_broker_fails_on_each_attempt() -> None:
    publisher = KafkaPublisher(f"{LOOPBACK}:{free_port()}", timeout_seconds=0.5)
    for _ in range(2):
        with pytest.raises(PublishError):
            await publisher.publish([encode(build_event("study", "study", 1))])
    await publisher.close()


async def test_oversized_message_is_rejected_and_the_next_one_is_published(publisher: KafkaPublisher) -> None:
    message = encode(build_event("study", "study", 1))
    large = Message(message.topic, message.key, message.headers, bytes(3 * 1024 * 1024))
    with pytest.raises(PublishError):
        await publisher.publish([message, large])
    await publisher.publish([message])


async def test_publisher_still_works_after_cancelled_publications(
    kafka: KafkaServer, publisher: KafkaPublisher, study_id: str
) -> None:
    messages = [encode(build_event(study_id, study_id, version)) for version in range(1, 201)]
    for delay in (0.0, 0.001, 0.003, 0.01, 0.03):
        publishing = asyncio.create_task(publisher.publish(messages))
        await asyncio.sleep(delay)
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)
    await publisher.publish(messages)
    assert list(dict.fromkeys(versions_by_stream(await published_events(kafka.bootstrap, study_id))[study_id])) == [
        *range(1, 201)
    ]


async def test_topics_are_created_once_and_keep_their_records(kafka: KafkaServer, study_id: str) -> None:
    for _ in range(2):
        await ensure_topics(kafka.bootstrap, [study_id])
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    [described] = await admin.describe_topics([study_id])
    [settings] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, study_id)])
    await admin.close()
    values = {entry[0]: entry[1] for entry in settings.resources[0][4]}
    assert len(described["partitions"]) == PARTITIONS_PER_TOPIC
    assert (values["retention.ms"], values["cleanup.policy"]) == ("-1", "delete")


async def test_topic_with_another_number_of_partitions_is_rejected(kafka: KafkaServer, study_id: str) -> None:
    await ensure_topics(kafka.bootstrap, [study_id], partitions=3)
    with pytest.raises(WrongTopic):
        await ensure_topics(kafka.bootstrap, [study_id])
