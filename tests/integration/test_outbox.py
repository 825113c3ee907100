from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from infra.local.ports import LOOPBACK, free_port
from shared.contracts.cloudevents import PARTITIONS, Message, encode
from shared.eventstore.store import PostgresStore
from shared.outbox.bell import Bell
from shared.outbox.lease import Held, Lease, LeaseLost, RestoredDatabase
from shared.outbox.publisher import KafkaPublisher, NotPublished, WrongTopic, ensure_topics
from shared.outbox.relay import Relay
from shared.outbox.upkeep import prune, resync, status
from shared.testing.appends import append, event, keep
from tests.conftest import Database, KafkaServer
from tests.integration.relaying import Watched, arrived, at_work, nothing_left, open_study, relaying, versions, write


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


OTHERWISE = {
    "another cluster": "update relay_cursor set system_identifier = 7",
    "a later state": "update relay_cursor set done = '900000000:900000000:'",
    "a later state, in a backlog": "update relay_cursor set upto = '900000000:900000000:'",
    "rows of a later state": "insert into outbox values (-1, '900000000', 0, 's', 'p', 1)",
    "rows of a later state, no cursor": """
        delete from relay_cursor;
        insert into outbox values (-1, '900000000', 0, 's', 'p', 1);
    """,
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


@dataclass
class AppendsMeanwhile(Watched):
    """At every publication another event of each stream is appended."""

    store: PostgresStore | None = None
    names: Sequence[str] = ()
    study_id: str = ""
    version: int = 3

    async def before(self) -> None:
        assert self.store
        for name in self.names:
            await keep(self.store, append(self.study_id, name, self.version))
        self.version += 1


async def test_what_is_appended_during_a_resync_is_not_lost(
    fresh_database: Database, kafka: KafkaServer, publisher: KafkaPublisher, study_id: str
) -> None:
    store = fresh_database.store()
    names = await open_study(store, study_id, 3)
    await write(store, study_id, names, 3)
    beside = AppendsMeanwhile(publisher, store=store, names=names, study_id=study_id)
    await resync(fresh_database.system, beside, "enrollment")
    async with relaying(fresh_database, publisher):
        await nothing_left(fresh_database)
    delivered = versions(await arrived(kafka.bootstrap, study_id))
    assert {name: list(dict.fromkeys(delivered[name])) for name in names} == {
        name: [*range(1, beside.version + 1)] for name in names
    }


async def test_only_one_at_a_time_has_a_lease(fresh_database: Database) -> None:
    first, second = (Lease(fresh_database.system, 0, name, 30.0) for name in "ab")
    held = await first.acquire()
    assert held
    assert await second.acquire() is None
    await first.release(held)
    succeeded = await second.acquire()
    assert succeeded
    assert succeeded.epoch == held.epoch + 1


async def test_who_lost_the_lease_moves_nothing(fresh_database: Database) -> None:
    first, second = Lease(fresh_database.system, 0, "a", 0.0), Lease(fresh_database.system, 0, "b", 30.0)
    old = await first.acquire()
    new = await second.acquire()
    assert old
    assert new
    for attempt in (first.keep(old), first.move(Held(0, old.epoch, "9:9:", None, 0))):
        with pytest.raises(LeaseLost):
            await attempt
    await first.release(old)
    row = await fresh_database.system.fetchrow("select done, owner, until > clock_timestamp() held from relay_cursor")
    assert row
    assert tuple(row) == (new.done, "b", True)


async def test_what_was_published_is_pruned_and_what_was_not_is_kept(
    fresh_database: Database, publisher: KafkaPublisher, study_id: str
) -> None:
    store = fresh_database.store()
    names = await open_study(store, study_id, 2)
    await write(store, study_id, names, 5)
    assert await prune(fresh_database.system) == 0
    async with relaying(fresh_database, publisher):
        await nothing_left(fresh_database)
    await keep(store, append(study_id, names[0], 5))
    pruned = [await prune(fresh_database.system, most=4) for _ in range(3)]  # of 11; the relay may have begun with it
    assert max(pruned) <= 4
    left = await fresh_database.system.fetch("select stream_id, version from outbox")
    assert [tuple(row) for row in left] == [(names[0], 6)]


async def test_the_status_says_how_far_behind_the_relay_is(
    fresh_database: Database, publisher: KafkaPublisher, study_id: str
) -> None:
    store = fresh_database.store()
    async with relaying(fresh_database, publisher):
        await at_work(fresh_database)
        [idle] = await status(fresh_database.system)
    assert (idle.shard, idle.held, idle.lag, idle.oldest) == (0, True, 0, None)
    names = await open_study(store, study_id, 2)
    await write(store, study_id, names, 3)
    [behind] = await status(fresh_database.system)
    assert (behind.held, behind.lag, behind.owner, behind.epoch) == (False, 7, idle.owner, idle.epoch)
    assert behind.oldest is not None
    assert behind.oldest > 0


async def test_a_publisher_without_a_broker_says_so_and_goes_on_when_asked_again() -> None:
    publisher = KafkaPublisher(f"{LOOPBACK}:{free_port()}", patience=0.5)
    for _ in range(2):
        with pytest.raises(NotPublished):
            await publisher.publish([encode(event("study", "study", 1))])
    await publisher.close()


async def test_a_message_that_is_too_large_is_refused_and_the_next_one_is_taken(publisher: KafkaPublisher) -> None:
    message = encode(event("study", "study", 1))
    large = Message(message.topic, message.key, message.headers, bytes(3 * 1024 * 1024))
    with pytest.raises(NotPublished):
        await publisher.publish([message, large])
    await publisher.publish([message])


async def test_a_cancelled_publication_leaves_a_publisher_that_works(
    kafka: KafkaServer, publisher: KafkaPublisher, study_id: str
) -> None:
    messages = [encode(event(study_id, study_id, version)) for version in range(1, 201)]
    for moment in (0.0, 0.001, 0.003, 0.01, 0.03):
        publishing = asyncio.create_task(publisher.publish(messages))
        await asyncio.sleep(moment)
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)
    await publisher.publish(messages)
    assert list(dict.fromkeys(versions(await arrived(kafka.bootstrap, study_id))[study_id])) == [*range(1, 201)]


async def test_topics_are_made_once_and_keep_their_records(kafka: KafkaServer, study_id: str) -> None:
    for _ in range(2):
        await ensure_topics(kafka.bootstrap, [study_id])
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    [described] = await admin.describe_topics([study_id])
    [settings] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, study_id)])
    await admin.close()
    values = {entry[0]: entry[1] for entry in settings.resources[0][4]}
    assert len(described["partitions"]) == PARTITIONS
    assert (values["retention.ms"], values["cleanup.policy"]) == ("-1", "delete")


async def test_a_topic_with_another_number_of_partitions_is_refused(kafka: KafkaServer, study_id: str) -> None:
    await ensure_topics(kafka.bootstrap, [study_id], partitions=3)
    with pytest.raises(WrongTopic):
        await ensure_topics(kafka.bootstrap, [study_id])
