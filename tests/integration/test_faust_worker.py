from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from infra.local.ports import LOOPBACK, free_port
from services.analytics.projection.worker import FATAL
from shared.contracts.cloudevents import encode
from shared.outbox.publisher import KafkaPublisher
from tests.conftest import Database, KafkaServer, PostgresServer, opened
from tests.integration.analytics import analytics_of_its_own, journal, lines, made
from tests.integration.faust_workers import Site, applied, crowd, nothing_lost_nothing_doubled, until
from tests.integration.stated import Telling, corrected_participant, lesion, participant

CUT = """
    select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and pid <> pg_backend_pid()
"""
SET_BACK = """
    set session_replication_role = replica;
    do $$ begin
        execute (select 'truncate ' || string_agg(quote_ident(relname), ', ') from pg_class
                  where relkind = 'r' and relnamespace = 'public'::regnamespace and relname <> 'migration');
    end $$
"""


@pytest.fixture
async def own(postgres: PostgresServer, databases: Mapping[str, str]) -> AsyncIterator[Database]:
    async with analytics_of_its_own(postgres) as database:
        yield database


@pytest.fixture
def here(kafka: KafkaServer, publisher: KafkaPublisher, tmp_path: Path) -> Site:
    return Site(kafka, publisher, tmp_path, f"group-{secrets.token_hex(4)}")


async def as_superuser(database: Database, statement: str) -> None:
    connection = await asyncpg.connect(database.superuser_url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def test_what_is_published_is_projected_and_told_and_the_worker_ends_when_told(
    here: Site, own: Database, study_id: str
) -> None:
    heard: list[str] = []
    listener = await asyncpg.connect(own.superuser_url)
    await listener.add_listener("quartal_live", lambda *message: heard.append(str(message[3])))
    tellings = [corrected_participant(study_id), *crowd(study_id, 20)]
    with here.worker(own) as worker:
        await here.publish(*tellings)
        await applied(own, *tellings)
        last = f"{study_id}:{sum(len(telling.events) for telling in tellings)}:0"

        async def told() -> bool:
            await listener.execute("select")
            return last in heard

        await until(told)
        assert worker.end() == 0
    await listener.close()
    await nothing_lost_nothing_doubled(own, *tellings)


async def test_a_restarted_worker_goes_on_where_the_first_one_was(here: Site, own: Database, study_id: str) -> None:
    first, second = crowd(study_id, 5), crowd(study_id, 5)
    await here.publish(*first)
    with here.worker(own) as worker:
        await applied(own, *first)
        assert worker.end() == 0
    await here.publish(*second)
    with here.worker(own):
        await applied(own, *first, *second)
    await nothing_lost_nothing_doubled(own, *first, *second)


async def test_killed_in_the_middle_of_a_batch_it_loses_nothing_and_doubles_nothing(
    here: Site, own: Database, study_id: str
) -> None:
    tellings = crowd(study_id, 200)
    blocker = await asyncpg.connect(own.superuser_url)
    with here.worker(own) as worker:
        await here.publish(*tellings[:100])
        await applied(own, *tellings[:100])
        lock = blocker.transaction()
        await lock.start()
        await blocker.execute("lock table journal in share row exclusive mode")
        await here.publish(*tellings[100:])

        async def in_the_middle() -> bool:
            waiting = "select exists (select from pg_locks where not granted and relation = 'journal'::regclass)"
            return bool(await blocker.fetchval(waiting))

        await until(in_the_middle)
        worker.restart()
        await lock.rollback()
        await applied(own, *tellings)
    await blocker.close()
    await nothing_lost_nothing_doubled(own, *tellings)


async def test_an_error_of_ours_ends_the_process_and_the_next_one_loses_nothing(
    here: Site, own: Database, study_id: str
) -> None:
    tellings = crowd(study_id, 100)
    await as_superuser(
        own,
        "create function breaks() returns trigger language plpgsql as"
        " $$ begin if new.position = 250 then raise exception using errcode = 'XX000'; end if; return new; end $$;"
        "create trigger breaks before insert on journal for each row execute function breaks();",
    )
    with here.worker(own) as worker:
        await here.publish(*tellings)
        assert await worker.ended() == 70
        await as_superuser(own, "drop trigger breaks on journal")
        worker.restart()
        await applied(own, *tellings)
    await nothing_lost_nothing_doubled(own, *tellings)


async def test_poison_parks_one_stream_and_the_worker_goes_on(here: Site, own: Database, study_id: str) -> None:
    poisoned, others = participant(study_id, lesion()), crowd(study_id, 10)
    spoilt = [encode(event) for event in poisoned.events]
    spoilt[1] = replace(spoilt[1], value=b'{"enrolled_on": "01.02.2024"}')
    with here.worker(own) as worker:
        await here.publisher.publish(spoilt)
        await here.publish(*others)

        async def all_but_the_poisoned() -> bool:
            return len(await journal(own.system, study_id)) == 51

        await until(all_but_the_poisoned)

        async def parked() -> bool:
            return (await lines(own.system, study_id))[poisoned.stream_id] == (1, "not-of-its-schema")

        await until(parked)
        assert worker.end() == 0


async def test_a_restored_database_catches_up_and_begins_another_epoch(
    here: Site, postgres: PostgresServer, databases: Mapping[str, str], study_id: str
) -> None:
    before, after = crowd(study_id, 10), crowd(study_id, 10)
    await here.publish(*before)
    async with made(postgres) as original:
        first_epoch = await projected(here, postgres, original, *before)
        async with made(postgres, original) as restored:
            await here.publish(*after)
            assert await projected(here, postgres, original, *before, *after) == first_epoch
            assert await projected(here, postgres, restored, *before, *after) != first_epoch


async def test_a_database_that_is_set_back_under_the_worker_ends_it_and_the_next_one_catches_up(
    here: Site, own: Database, study_id: str
) -> None:
    before, after = crowd(study_id, 10), crowd(study_id, 10)
    with here.worker(own) as worker:
        await here.publish(*before)
        await applied(own, *before)
        await as_superuser(own, SET_BACK)
        await here.publish(*after)
        assert await worker.ended() == FATAL
        worker.restart()
        await applied(own, *before, *after)
    await nothing_lost_nothing_doubled(own, *before, *after)


async def projected(here: Site, postgres: PostgresServer, name: str, *tellings: Telling) -> object:
    """Run a worker until the database has all that was told; the study's epoch there."""
    async with opened(postgres, name, "analytics") as database:
        with here.worker(database) as worker:
            await applied(database, *tellings)
            assert worker.end() == 0
        await nothing_lost_nothing_doubled(database, *tellings)
        epoch = "select epoch from study_position where study_id = $1"
        return await database.system.fetchval(epoch, tellings[0].study_id)


async def test_when_its_connections_are_cut_the_same_process_goes_on(here: Site, own: Database, study_id: str) -> None:
    first, second = crowd(study_id, 5), crowd(study_id, 5)
    with here.worker(own) as worker:
        await here.publish(*first)
        await applied(own, *first)
        await as_superuser(own, CUT)
        await here.publish(*second)
        await applied(own, *first, *second)
        assert worker.process.poll() is None
    await nothing_lost_nothing_doubled(own, *first, *second)


async def test_without_a_broker_it_waits_and_still_ends_when_told(here: Site, own: Database) -> None:
    with here.worker(own, bootstrap=f"{LOOPBACK}:{free_port()}") as worker:
        await until(lambda: worker.says("trying again"))
        assert worker.end() == 0
