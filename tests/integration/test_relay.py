from __future__ import annotations

import asyncio
import json
from typing import Any

import asyncpg
import pytest

from shared.contracts.cloudevents import decode, encode
from shared.outbox import relay as relay_module
from shared.outbox.append_notifier import AppendNotifier
from shared.outbox.maintenance import OrphanedShard
from shared.outbox.publisher import KafkaPublisher
from shared.outbox.relay import Relay
from shared.postgres.tenancy import Tenant
from shared.testing.append_requests import build_append, comparable_event, load_stream
from tests.conftest import Database, KafkaServer, PostgresServer
from tests.integration.support.relay import (
    TIMEOUT_SECONDS,
    RecordingPublisher,
    expected_versions,
    first_deliveries,
    open_study,
    published_events,
    running_relay,
    versions_by_stream,
    wait_until_published,
    write_versions,
)


async def test_every_event_arrives_once_in_stream_order(
    fresh_database: Database, kafka: KafkaServer, publisher: KafkaPublisher, study_id: str
) -> None:
    store = fresh_database.store()
    names = await open_study(store, study_id, 20)
    async with running_relay(fresh_database, publisher):
        await write_versions(store, study_id, names, 10)
        await wait_until_published(fresh_database)
    assert versions_by_stream(await published_events(kafka.bootstrap, study_id)) == expected_versions(
        names, 10, study_id
    )


async def test_published_events_equal_recorded_ones_without_sealed_texts(
    fresh_database: Database, kafka: KafkaServer, publisher: KafkaPublisher, study_id: str
) -> None:
    store = fresh_database.store()
    names = await open_study(store, study_id, 1)
    await write_versions(store, study_id, names, 1)
    async with running_relay(fresh_database, publisher):
        await wait_until_published(fresh_database)
    published = {event.stream_id: event for event in await published_events(kafka.bootstrap, study_id)}
    for stream_id in (study_id, *names):
        stored = (await load_stream(store, Tenant(study_id), stream_id)).events[0]
        message = encode(stored)
        decoded = decode(message.key, message.headers, message.value)
        assert comparable_event(published[stream_id]) == comparable_event(decoded)
        assert json.loads(published[stream_id].data) == stored.content


async def test_backlog_of_many_pages_arrives_in_order_on_every_shard(
    fresh_database: Database, kafka: KafkaServer, publisher: KafkaPublisher, study_id: str
) -> None:
    store = fresh_database.store(shards=4)
    names = await open_study(store, study_id, 12)
    await write_versions(store, study_id, names, 10)
    async with running_relay(fresh_database, publisher, shards=4, page_size=7):
        await wait_until_published(fresh_database)
    assert versions_by_stream(await published_events(kafka.bootstrap, study_id)) == expected_versions(
        names, 10, study_id
    )


async def test_relay_refuses_fewer_shards_while_events_of_more_shards_are_unpublished(
    fresh_database: Database, kafka: KafkaServer, publisher: KafkaPublisher, study_id: str
) -> None:
    wide_store, narrow_store = fresh_database.store(shards=4), fresh_database.store(shards=2)
    names = await open_study(wide_store, study_id, 192)
    for batch in (names[:64], names[64:128]):  # before there is a cursor, and behind it; so many that no shard is empty
        await write_versions(wide_store, study_id, batch, 1)
        with pytest.raises(OrphanedShard, match="relay at least 4 shards"):
            await Relay(fresh_database.system, publisher, "enrollment", shards=2, lease_seconds=1.0).run(
                asyncio.Event()
            )
        async with running_relay(fresh_database, publisher, shards=4, lease_seconds=1.0):
            await wait_until_published(fresh_database)
    await write_versions(narrow_store, study_id, names[128:], 1)
    async with running_relay(fresh_database, publisher, shards=2, lease_seconds=1.0):
        await wait_until_published(fresh_database)
    # a relay that is refused may end between publishing a page and noting it: what it published comes again
    delivered = versions_by_stream(await published_events(kafka.bootstrap, study_id))
    assert {name: first_deliveries(messages) for name, messages in delivered.items()} == expected_versions(
        names, 1, study_id
    )


async def test_relay_continues_where_a_crashed_one_stopped_in_a_backlog(
    fresh_database: Database, kafka: KafkaServer, publisher: KafkaPublisher, study_id: str
) -> None:
    class CrashingPublisher(RecordingPublisher):
        async def before_publish(self) -> None:
            if len(self.published) >= 50:
                raise ZeroDivisionError

    store = fresh_database.store()
    names = await open_study(store, study_id, 9)
    await write_versions(store, study_id, names, 11)
    first, second = CrashingPublisher(publisher), RecordingPublisher(publisher)
    with pytest.raises(ZeroDivisionError):
        await Relay(fresh_database.system, first, "enrollment", page_size=10).run(asyncio.Event())
    async with running_relay(fresh_database, second, page_size=10):
        await wait_until_published(fresh_database)
    assert (len(first.published), len(second.published)) == (50, 50)
    assert versions_by_stream(await published_events(kafka.bootstrap, study_id)) == expected_versions(
        names, 11, study_id
    )


async def test_notification_wakes_a_relay_that_polls_rarely(
    fresh_database: Database, kafka: KafkaServer, publisher: KafkaPublisher, study_id: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr(relay_module, "POLL_BUSY_SECONDS", 2 * TIMEOUT_SECONDS)
    monkeypatch.setattr(relay_module, "POLL_IDLE_SECONDS", 2 * TIMEOUT_SECONDS)
    store, notifier, local_signal = fresh_database.store(), AppendNotifier(fresh_database.app), asyncio.Event()
    names = await open_study(store, study_id, 2)
    async with running_relay(fresh_database, publisher, local_appends=local_signal):
        await wait_until_published(fresh_database)
        await write_versions(store, study_id, names[:1], 1)
        local_signal.set()
        await wait_until_published(fresh_database)
        await asyncio.sleep(0.1)  # it rests again
        await write_versions(store, study_id, names[1:], 1)
        for _ in range(100):
            notifier.notify(study_id)
        await wait_until_published(fresh_database)
    await notifier.close()
    assert versions_by_stream(await published_events(kafka.bootstrap, study_id)) == expected_versions(
        names, 1, study_id
    )


@pytest.mark.parametrize("where", ["another database", "the same database"])
async def test_long_write_transaction_does_not_delay_other_writers(
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
        async with running_relay(fresh_database, publisher), connection.transaction():
            await connection.execute("select pg_current_xact_id()")
            await write_versions(store, study_id, names, 5)
            await wait_until_published(fresh_database)
            assert versions_by_stream(await published_events(kafka.bootstrap, study_id)) == expected_versions(
                names, 5, study_id
            )
    finally:
        await connection.close()


async def test_event_of_a_long_transaction_is_published_after_it_commits(
    fresh_database: Database, kafka: KafkaServer, publisher: KafkaPublisher, study_id: str
) -> None:
    store = fresh_database.store()
    late_stream, early_stream = await open_study(store, study_id, 2)
    async with running_relay(fresh_database, publisher):
        async with store.unit(Tenant(study_id)) as unit:
            await unit.append(build_append(study_id, late_stream))
            await write_versions(store, study_id, [early_stream], 3)
            await wait_until_published(fresh_database)
            assert late_stream not in versions_by_stream(await published_events(kafka.bootstrap, study_id))
        await wait_until_published(fresh_database)
    assert versions_by_stream(await published_events(kafka.bootstrap, study_id)) == {
        study_id: [1],
        early_stream: [1, 2, 3],
        late_stream: [1],
    }
