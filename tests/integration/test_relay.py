from __future__ import annotations

import asyncio
import json
from typing import Any

import asyncpg
import pytest

from shared.contracts.cloudevents import decode, encode
from shared.outbox import relay as relay_module
from shared.outbox.bell import Bell
from shared.outbox.publisher import KafkaPublisher
from shared.outbox.relay import Relay
from shared.outbox.upkeep import Stranded
from shared.security.tenancy import Tenant
from shared.testing.appends import append, seen, shown
from tests.conftest import Database, KafkaServer, PostgresServer
from tests.integration.relaying import (
    PATIENCE,
    Watched,
    arrived,
    complete,
    first_deliveries,
    nothing_left,
    open_study,
    relaying,
    versions,
    write,
)


async def test_every_event_arrives_once_and_in_the_order_of_its_stream(
    fresh_database: Database, kafka: KafkaServer, publisher: KafkaPublisher, study_id: str
) -> None:
    store = fresh_database.store()
    names = await open_study(store, study_id, 20)
    async with relaying(fresh_database, publisher):
        await write(store, study_id, names, 10)
        await nothing_left(fresh_database)
    assert versions(await arrived(kafka.bootstrap, study_id)) == complete(names, 10, study_id)


async def test_what_arrives_is_what_was_recorded_without_what_is_sealed(
    fresh_database: Database, kafka: KafkaServer, publisher: KafkaPublisher, study_id: str
) -> None:
    store = fresh_database.store()
    names = await open_study(store, study_id, 1)
    await write(store, study_id, names, 1)
    async with relaying(fresh_database, publisher):
        await nothing_left(fresh_database)
    found = {event.stream_id: event for event in await arrived(kafka.bootstrap, study_id)}
    for stream_id in (study_id, *names):
        stored = (await seen(store, Tenant(study_id), stream_id)).events[0]
        message = encode(stored)
        again = decode(message.key, message.headers, message.value)
        assert shown(found[stream_id]) == shown(again)
        assert json.loads(found[stream_id].data) == stored.content


async def test_a_backlog_of_many_pages_arrives_in_order_on_every_shard(
    fresh_database: Database, kafka: KafkaServer, publisher: KafkaPublisher, study_id: str
) -> None:
    store = fresh_database.store(shards=4)
    names = await open_study(store, study_id, 12)
    await write(store, study_id, names, 10)
    async with relaying(fresh_database, publisher, shards=4, page=7):
        await nothing_left(fresh_database)
    assert versions(await arrived(kafka.bootstrap, study_id)) == complete(names, 10, study_id)


async def test_fewer_shards_than_there_are_events_in_are_refused_until_all_is_published(
    fresh_database: Database, kafka: KafkaServer, publisher: KafkaPublisher, study_id: str
) -> None:
    wide, narrow = fresh_database.store(shards=4), fresh_database.store(shards=2)
    names = await open_study(wide, study_id, 192)
    for some in (names[:64], names[64:128]):  # before there is a cursor, and behind it; so many that no shard is empty
        await write(wide, study_id, some, 1)
        with pytest.raises(Stranded, match="relay at least 4 shards"):
            await Relay(fresh_database.system, publisher, "enrollment", shards=2, lease=1.0).run(asyncio.Event())
        async with relaying(fresh_database, publisher, shards=4, lease=1.0):
            await nothing_left(fresh_database)
    await write(narrow, study_id, names[128:], 1)
    async with relaying(fresh_database, publisher, shards=2, lease=1.0):
        await nothing_left(fresh_database)
    # a relay that is refused may end between publishing a page and noting it: what it published comes again
    found = versions(await arrived(kafka.bootstrap, study_id))
    assert {name: first_deliveries(each) for name, each in found.items()} == complete(names, 1, study_id)


async def test_a_relay_that_crashed_in_a_backlog_is_succeeded_where_it_was(
    fresh_database: Database, kafka: KafkaServer, publisher: KafkaPublisher, study_id: str
) -> None:
    class CrashesAtTheSixthPage(Watched):
        async def before(self) -> None:
            if len(self.published) >= 50:
                raise ZeroDivisionError

    store = fresh_database.store()
    names = await open_study(store, study_id, 9)
    await write(store, study_id, names, 11)
    first, second = CrashesAtTheSixthPage(publisher), Watched(publisher)
    with pytest.raises(ZeroDivisionError):
        await Relay(fresh_database.system, first, "enrollment", page=10).run(asyncio.Event())
    async with relaying(fresh_database, second, page=10):
        await nothing_left(fresh_database)
    assert (len(first.published), len(second.published)) == (50, 50)
    assert versions(await arrived(kafka.bootstrap, study_id)) == complete(names, 11, study_id)


async def test_a_ring_wakes_a_relay_that_looks_rarely(
    fresh_database: Database, kafka: KafkaServer, publisher: KafkaPublisher, study_id: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr(relay_module, "BUSY", 2 * PATIENCE)
    monkeypatch.setattr(relay_module, "IDLE", 2 * PATIENCE)
    store, bell, inside = fresh_database.store(), Bell(fresh_database.app), asyncio.Event()
    names = await open_study(store, study_id, 2)
    async with relaying(fresh_database, publisher, bell=inside):
        await nothing_left(fresh_database)
        await write(store, study_id, names[:1], 1)
        inside.set()
        await nothing_left(fresh_database)
        await asyncio.sleep(0.1)  # it rests again
        await write(store, study_id, names[1:], 1)
        for _ in range(100):
            bell.ring(study_id)
        await nothing_left(fresh_database)
    await bell.close()
    assert versions(await arrived(kafka.bootstrap, study_id)) == complete(names, 1, study_id)


@pytest.mark.parametrize("where", ["another database", "the same database"])
async def test_a_long_write_transaction_holds_up_nobody_else(
    postgres: PostgresServer,
    fresh_database: Database,
    kafka: KafkaServer,
    publisher: KafkaPublisher,
    study_id: str,
    where: str,
) -> None:
    store = fresh_database.store()
    names = await open_study(store, study_id, 3)
    url = fresh_database.superuser_url if where == "the same database" else postgres.url()
    connection = await asyncpg.connect(url)
    try:
        async with relaying(fresh_database, publisher), connection.transaction():
            await connection.execute("select pg_current_xact_id()")
            await write(store, study_id, names, 5)
            await nothing_left(fresh_database)
            assert versions(await arrived(kafka.bootstrap, study_id)) == complete(names, 5, study_id)
    finally:
        await connection.close()


async def test_what_a_long_transaction_appended_arrives_when_it_commits(
    fresh_database: Database, kafka: KafkaServer, publisher: KafkaPublisher, study_id: str
) -> None:
    store = fresh_database.store()
    late, early = await open_study(store, study_id, 2)
    async with relaying(fresh_database, publisher):
        async with store.unit(Tenant(study_id)) as unit:
            await unit.append(append(study_id, late))
            await write(store, study_id, [early], 3)
            await nothing_left(fresh_database)
            assert late not in versions(await arrived(kafka.bootstrap, study_id))
        await nothing_left(fresh_database)
    assert versions(await arrived(kafka.bootstrap, study_id)) == {study_id: [1], early: [1, 2, 3], late: [1]}
