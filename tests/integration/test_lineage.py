"""A database that was put back to an earlier state than was published is not relayed, however it was put back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import asyncpg
import pytest
from pydantic import SecretStr

from infra.cli.relay import resynced
from infra.local.ports import LOOPBACK, free_port
from shared.contracts.cloudevents import Message, encode
from shared.outbox.lease import RestoredDatabase
from shared.outbox.lineage import TAIL, refuse_earlier_state
from shared.outbox.publisher import KafkaPublisher, Publisher, ensure_topics
from shared.outbox.relay import Relay
from shared.process import relay_of
from shared.settings import Settings
from shared.testing.appends import append, event, keep
from tests.conftest import Database, KafkaServer
from tests.integration.relaying import PATIENCE, at_work, nothing_left, open_study, relaying, write

PUT_BACK = """
    set session_replication_role = replica;
    delete from events where version > 2;
    update streams set version = 2 where version > 2;
    delete from outbox
"""
"""What a copy of two events ago has: the same cluster, and a cursor that nothing can be told by."""


@dataclass
class OnItsOwnTopic:
    """The real publisher; what it publishes goes to a topic that no other test's database publishes to."""

    to: Publisher
    topic: str

    async def publish(self, messages: Sequence[Message]) -> None:
        await self.to.publish([replace(message, topic=self.topic) for message in messages])

    async def close(self) -> None: ...


@pytest.fixture
async def own(kafka: KafkaServer, publisher: KafkaPublisher, study_id: str) -> OnItsOwnTopic:
    of_its_own = f"{study_id}.enrollment.v1"
    await ensure_topics(kafka.bootstrap, [of_its_own])
    return OnItsOwnTopic(publisher, of_its_own)


async def put_back(database: Database) -> None:
    superuser = await asyncpg.connect(database.superuser_url)
    await superuser.execute(PUT_BACK)
    await superuser.close()


async def test_the_latest_state_is_relayed_and_an_earlier_one_is_not(
    fresh_database: Database, kafka: KafkaServer, own: OnItsOwnTopic, study_id: str
) -> None:
    doubt = partial(refuse_earlier_state, fresh_database.system, kafka.bootstrap, own.topic)
    store = fresh_database.store()
    names = await open_study(store, study_id, 3)
    async with relaying(fresh_database, own, doubt=doubt):
        await write(store, study_id, names, 3)
        await nothing_left(fresh_database)
    async with relaying(fresh_database, own, doubt=doubt):
        await at_work(fresh_database)
    await put_back(fresh_database)
    for _ in range(2):
        with pytest.raises(RestoredDatabase, match="at least 3 events"):
            async with asyncio.timeout(PATIENCE):
                await Relay(fresh_database.system, own, "enrollment", doubt=doubt).run(asyncio.Event())


async def test_another_event_in_the_place_of_a_published_one_shows_an_earlier_state(
    fresh_database: Database, kafka: KafkaServer, own: OnItsOwnTopic, study_id: str
) -> None:
    store = fresh_database.store()
    [name] = await open_study(store, study_id, 1)
    await write(store, study_id, [name], 2)
    published = event(study_id, name, 3)
    await own.publish([encode(published)])
    await keep(store, append(study_id, name, 2))
    with pytest.raises(RestoredDatabase, match=str(published.event_id)):
        await refuse_earlier_state(fresh_database.system, kafka.bootstrap, own.topic)


async def test_every_record_is_looked_at_where_all_are_to_be_published_again(
    fresh_database: Database, kafka: KafkaServer, own: OnItsOwnTopic, study_id: str
) -> None:
    store = fresh_database.store()
    [name] = await open_study(store, study_id, 1)
    known = append(study_id, name)
    await keep(store, known)
    await own.publish([encode(event(study_id, name, 2)), *[encode(known.events[0])] * TAIL])
    await refuse_earlier_state(fresh_database.system, kafka.bootstrap, own.topic)
    with pytest.raises(RestoredDatabase, match=" has 1 events"):
        await refuse_earlier_state(fresh_database.system, kafka.bootstrap, own.topic, tail=None)


async def test_what_is_no_event_of_ours_says_nothing_about_the_database(
    fresh_database: Database, kafka: KafkaServer, own: OnItsOwnTopic
) -> None:
    of_another_service = encode(replace(event("study", "study", 1), service="toxicity"))
    await own.publish([Message(own.topic, b"key", (), b"{}"), of_another_service])
    await refuse_earlier_state(fresh_database.system, kafka.bootstrap, own.topic, tail=None)


async def test_a_relay_waits_for_a_broker_that_does_not_say_what_it_has(
    fresh_database: Database, own: OnItsOwnTopic
) -> None:
    asked: list[str] = []

    async def doubt() -> None:
        asked.append("again")
        await refuse_earlier_state(fresh_database.system, f"{LOOPBACK}:{free_port()}", own.topic)

    async with relaying(fresh_database, own, doubt=doubt), asyncio.timeout(PATIENCE):
        while len(asked) < 3:  # noqa: ASYNC110 - another task asks
            await asyncio.sleep(0.02)


async def test_relays_whose_doubt_lasts_longer_than_a_lease_get_on(
    fresh_database: Database, own: OnItsOwnTopic, study_id: str
) -> None:
    doubt = partial(asyncio.sleep, 1.0)
    await open_study(fresh_database.store(), study_id, 0)
    async with (
        relaying(fresh_database, own, doubt=doubt, lease=0.3),
        relaying(fresh_database, own, doubt=doubt, lease=0.3),
    ):
        await nothing_left(fresh_database)


async def test_a_worker_and_a_resync_refuse_it(
    fresh_database: Database, kafka: KafkaServer, publisher: KafkaPublisher, study_id: str
) -> None:
    await publisher.publish([encode(event(study_id, study_id, 1))])
    settings = Settings(KAFKA_BOOTSTRAP=kafka.bootstrap, enrollment_system_url=SecretStr(fresh_database.urls["system"]))
    for refusing in (relay_of("enrollment")(settings, asyncio.Event()), resynced(settings, "enrollment")):
        with pytest.raises(RestoredDatabase):
            async with asyncio.timeout(PATIENCE):
                await refusing
