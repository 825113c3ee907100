"""The deriver as a process: it follows the projection, and one study does not stop another."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from infra.cli.settings_source import read_settings
from services.analytics.deriver.process import run_deriver
from services.analytics.projection.epoch import begin_epoch
from shared.testing.builders import facts
from shared.testing.builders.follow_up_facts import participant_died
from tests.conftest import Database, PostgresServer
from tests.integration.support.analytics_database import own_analytics_database
from tests.integration.support.derived_study import TREATED, DerivedStudy, open_derived_study
from tests.polling import wait_until

TIMEOUT_SECONDS = 20.0


@pytest.fixture
async def own_database(postgres: PostgresServer, databases: Mapping[str, str]) -> AsyncIterator[Database]:
    async with own_analytics_database(postgres) as database:
        yield database


@asynccontextmanager
async def running_deriver(database: Database) -> AsyncIterator[None]:
    stop = asyncio.Event()
    settings = read_settings({"QUARTAL_ANALYTICS_SYSTEM_URL": database.urls["system"]})
    process = asyncio.create_task(run_deriver(settings, stop))
    try:
        yield
        assert not process.done()
    finally:
        stop.set()
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await process


async def wait_until_derived(study: DerivedStudy) -> None:
    """Returns when the rows are those of the newest facts and epoch."""
    query = (
        "select d.position = p.position and d.epoch = p.epoch"
        " from study_position p join derived_study d using (study_id) where study_id = $1"
    )
    await wait_until(lambda: study.database.system.fetchval(query, study.study_id), TIMEOUT_SECONDS)


async def open_study(database: Database) -> DerivedStudy:
    return await open_derived_study(database, f"study-{secrets.token_hex(6)}")


async def test_words_of_a_database_that_was_set_back_replace_the_earlier_ones(own_database: Database) -> None:
    study = await open_study(own_database)
    await study.add(*TREATED)
    await study.derive()
    await study.reader.newest_snapshot(study.study_id)
    await study.execute("update derived_word set word = 'RT-of-others' where word = 'RT1'")
    await begin_epoch(own_database.system)
    await study.derive()
    newest = await study.reader.newest_snapshot(study.study_id)
    assert {newest.words.word(code) for code in newest.tables["course"]["course"]} == {"RT-of-others"}


async def test_rows_follow_the_facts_and_a_new_epoch_within_seconds(own_database: Database) -> None:
    study = await open_study(own_database)
    history = await study.add(*TREATED)
    async with running_deriver(own_database):
        await wait_until_derived(study)
        await study.project([history.record(participant_died(200))])
        await wait_until_derived(study)
        assert await study.row(history.participant_id, "died_on") == (facts.day(200),)
        await begin_epoch(own_database.system)
        await wait_until_derived(study)


async def test_unreadable_fact_of_a_study_leaves_only_its_own_rows_behind(own_database: Database) -> None:
    damaged, intact = sorted([await open_study(own_database), await open_study(own_database)], key=lambda s: s.study_id)
    await damaged.damage(damaged.study.events[0])
    history = await intact.add(*TREATED)
    async with running_deriver(own_database):
        await wait_until_derived(intact)
        assert await intact.row(history.participant_id, "is_screened") == (True,)
    positions = await own_database.system.fetch("select study_id from derived_study where position > 0")
    assert [row["study_id"] for row in positions] == [intact.study_id]


async def test_deriver_looks_at_all_studies_after_a_lost_connection(own_database: Database) -> None:
    study = await open_study(own_database)
    await study.add(*TREATED)
    async with running_deriver(own_database):
        await wait_until_derived(study)
        await study.execute("update derived_study set position = 0")
        await study.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and query like 'LISTEN%quartal_projected%'"
        )
        await wait_until_derived(study)
