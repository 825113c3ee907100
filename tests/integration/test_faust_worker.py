from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from infra.local.ports import LOOPBACK, free_port
from services.analytics.projection.worker import FATAL_EXIT_CODE
from shared.contracts.cloudevents import encode
from shared.outbox.publisher import KafkaPublisher
from shared.testing.builders.events import EventStream
from shared.testing.builders.facts import lesion_registered
from shared.testing.builders.participant_history import corrected_participant_stream, participant_stream
from tests.conftest import Database, KafkaServer, PostgresServer, database_copy, migrated_template, open_database
from tests.integration.support.analytics_database import (
    journal_rows,
    own_analytics_database,
    stream_states,
)
from tests.integration.support.faust_workers import (
    FaustWorkerHarness,
    assert_applied_exactly_once,
    participant_streams,
    wait_until_applied,
)
from tests.polling import wait_until

TERMINATE_CONNECTIONS_SQL = """
    select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and pid <> pg_backend_pid()
"""
TRUNCATE_ALL_SQL = """
    set session_replication_role = replica;
    do $$ begin loop begin
        execute (select 'truncate ' || string_agg(quote_ident(relname), ', ') from pg_class
                  where relkind = 'r' and relnamespace = 'public'::regnamespace and relname <> 'migration');
        exit;
    exception when deadlock_detected then
        null;  -- it wants every table, and a transaction of the worker held some of them: PostgreSQL ended this one
    end; end loop; end $$
"""


@pytest.fixture
async def own_database(postgres: PostgresServer, databases: Mapping[str, str]) -> AsyncIterator[Database]:
    async with own_analytics_database(postgres) as database:
        yield database


@pytest.fixture
def harness(kafka: KafkaServer, publisher: KafkaPublisher, tmp_path: Path) -> FaustWorkerHarness:
    return FaustWorkerHarness(kafka, publisher, tmp_path, f"group-{secrets.token_hex(4)}")


async def execute_as_database_superuser(database: Database, statement: str) -> None:
    connection = await asyncpg.connect(database.superuser_url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def test_published_events_are_projected_and_announced_and_the_worker_stops_on_signal(
    harness: FaustWorkerHarness, own_database: Database, study_id: str
) -> None:
    notifications: list[str] = []
    listener = await asyncpg.connect(own_database.superuser_url)
    await listener.add_listener("quartal_projected", lambda *message: notifications.append(str(message[3])))
    streams = [corrected_participant_stream(study_id), *participant_streams(study_id, 20)]
    with harness.worker(own_database) as worker:
        await harness.publish(*streams)
        await wait_until_applied(own_database, *streams)
        last_notification = f"{study_id}:{sum(len(stream.events) for stream in streams)}:0"

        async def is_announced() -> bool:
            await listener.execute("select")
            return last_notification in notifications

        await wait_until(is_announced)
        assert worker.stop() == 0
    await listener.close()
    await assert_applied_exactly_once(own_database, *streams)


async def test_restarted_worker_continues_where_the_first_one_stopped(
    harness: FaustWorkerHarness, own_database: Database, study_id: str
) -> None:
    first, second = participant_streams(study_id, 5), participant_streams(study_id, 5)
    await harness.publish(*first)
    with harness.worker(own_database) as worker:
        await wait_until_applied(own_database, *first)
        assert worker.stop() == 0
    await harness.publish(*second)
    with harness.worker(own_database):
        await wait_until_applied(own_database, *first, *second)
    await assert_applied_exactly_once(own_database, *first, *second)


async def test_worker_killed_within_a_batch_applies_each_event_exactly_once(
    harness: FaustWorkerHarness, own_database: Database, study_id: str
) -> None:
    streams = participant_streams(study_id, 200)
    blocker = await asyncpg.connect(own_database.superuser_url)
    with harness.worker(own_database) as worker:
        await harness.publish(*streams[:100])
        await wait_until_applied(own_database, *streams[:100])
        lock = blocker.transaction()
        await lock.start()
        await blocker.execute("lock table journal in share row exclusive mode")
        await harness.publish(*streams[100:])

        async def is_blocked() -> bool:
            waiting = "select exists (select from pg_locks where not granted and relation = 'journal'::regclass)"
            return bool(await blocker.fetchval(waiting))

        await wait_until(is_blocked)
        worker.restart()
        await lock.rollback()
        await wait_until_applied(own_database, *streams)
    await blocker.close()
    await assert_applied_exactly_once(own_database, *streams)


async def test_database_error_ends_the_worker_and_its_successor_loses_nothing(
    harness: FaustWorkerHarness, own_database: Database, study_id: str
) -> None:
    streams = participant_streams(study_id, 100)
    await execute_as_database_superuser(
        own_database,
        "create function breaks() returns trigger language plpgsql as"
        " $$ begin if new.position = 250 then raise exception using errcode = 'XX000'; end if; return new; end $$;"
        "create trigger breaks before insert on journal for each row execute function breaks();",
    )
    with harness.worker(own_database) as worker:
        await harness.publish(*streams)
        assert await worker.wait_for_exit() == 70
        await execute_as_database_superuser(own_database, "drop trigger breaks on journal")
        worker.restart()
        await wait_until_applied(own_database, *streams)
    await assert_applied_exactly_once(own_database, *streams)


async def test_malformed_message_parks_one_stream_and_the_worker_continues(
    harness: FaustWorkerHarness, own_database: Database, study_id: str
) -> None:
    malformed_stream, other_streams = (
        participant_stream(study_id, lesion_registered()),
        participant_streams(study_id, 10),
    )
    messages = [encode(event) for event in malformed_stream.events]
    messages[1] = replace(messages[1], value=b'{"enrolled_on": "01.02.2024"}')
    with harness.worker(own_database) as worker:
        await harness.publisher.publish(messages)
        await harness.publish(*other_streams)

        async def other_events_are_applied() -> bool:
            return len(await journal_rows(own_database.system, study_id)) == 51

        await wait_until(other_events_are_applied)

        async def is_parked() -> bool:
            return (await stream_states(own_database.system, study_id))[malformed_stream.stream_id] == (
                1,
                "not-of-its-schema",
            )

        await wait_until(is_parked)
        assert worker.stop() == 0


async def test_restored_database_catches_up_and_starts_a_new_epoch(
    harness: FaustWorkerHarness, postgres: PostgresServer, databases: Mapping[str, str], study_id: str
) -> None:
    before, after = participant_streams(study_id, 10), participant_streams(study_id, 10)
    await harness.publish(*before)
    template = await migrated_template(postgres, "analytics")
    async with database_copy(postgres, template, "analytics") as original:
        first_epoch = await project_and_read_epoch(harness, postgres, original, *before)
        async with database_copy(postgres, original, "analytics") as restored:
            await harness.publish(*after)
            assert await project_and_read_epoch(harness, postgres, original, *before, *after) == first_epoch
            assert await project_and_read_epoch(harness, postgres, restored, *before, *after) != first_epoch


async def test_worker_exits_when_its_database_is_reset_and_the_next_one_catches_up(
    harness: FaustWorkerHarness, own_database: Database, study_id: str
) -> None:
    before, after = participant_streams(study_id, 10), participant_streams(study_id, 10)
    with harness.worker(own_database) as worker:
        await harness.publish(*before)
        await wait_until_applied(own_database, *before)
        await execute_as_database_superuser(own_database, TRUNCATE_ALL_SQL)
        await harness.publish(*after)
        assert await worker.wait_for_exit() == FATAL_EXIT_CODE
        worker.restart()
        await wait_until_applied(own_database, *before, *after)
    await assert_applied_exactly_once(own_database, *before, *after)


async def project_and_read_epoch(
    harness: FaustWorkerHarness, postgres: PostgresServer, database_name: str, *streams: EventStream
) -> object:
    """Runs a worker until the database has all published events; returns the study's epoch."""
    async with open_database(postgres, database_name, "analytics") as database:
        with harness.worker(database) as worker:
            await wait_until_applied(database, *streams)
            assert worker.stop() == 0
        await assert_applied_exactly_once(database, *streams)
        epoch_query = "select epoch from study_position where study_id = $1"
        return await database.system.fetchval(epoch_query, streams[0].study_id)


async def test_worker_survives_terminated_database_connections(
    harness: FaustWorkerHarness, own_database: Database, study_id: str
) -> None:
    first, second = participant_streams(study_id, 5), participant_streams(study_id, 5)
    with harness.worker(own_database) as worker:
        await harness.publish(*first)
        await wait_until_applied(own_database, *first)
        await execute_as_database_superuser(own_database, TERMINATE_CONNECTIONS_SQL)
        await harness.publish(*second)
        await wait_until_applied(own_database, *first, *second)
        assert worker.process.poll() is None
    await assert_applied_exactly_once(own_database, *first, *second)


async def test_worker_without_a_broker_waits_and_still_stops_on_signal(
    harness: FaustWorkerHarness, own_database: Database
) -> None:
    with harness.worker(own_database, bootstrap=f"{LOOPBACK}:{free_port()}") as worker:
        await wait_until(lambda: worker.has_logged("trying again"))
        assert worker.stop() == 0
