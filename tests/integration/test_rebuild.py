"""Rebuilding facts and derived rows from the journal, beside the running tables."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import date
from threading import Thread
from typing import Any

import pytest

from services.analytics.derivation.rows import TABLES
from services.analytics.deriver.deriver import Deriver
from services.analytics.figures.parameters import FigureRequest
from services.analytics.figures.participant_flow import ParticipantFlow
from services.analytics.figures.service import FigureService
from services.analytics.rebuild.rebuild import rebuild
from services.analytics.snapshot.columns import day_number
from shared.contracts.event import Event
from shared.kernel.clock import Clock
from shared.postgres.statements import compose_statement
from shared.postgres.tenancy import open_pool
from shared.terminology.ctcae import TermNames
from shared.testing.builders import facts
from shared.testing.builders.follow_up_facts import follow_up_recorded, participant_died
from shared.testing.builders.messages import as_messages
from shared.testing.builders.participant_history import ParticipantHistory
from tests.conftest import Database, PostgresServer
from tests.integration.support.analytics_database import own_analytics_database, project_messages
from tests.integration.support.derived_study import TREATED, DerivedStudy, open_derived_study

ROW_TABLES = (*(f"derived_{name}" for name in TABLES), "derived_data_query")
NOT_COMPARED = {"derived_subject": ["position", "reason", "revision"], "derived_study": ["revision"]}


class Interrupted(Exception):
    """The rebuild is ended from outside."""


@pytest.fixture
async def own_database(postgres: PostgresServer, databases: Mapping[str, str]) -> AsyncIterator[Database]:
    """A database for one test: a rebuild reads and repairs all its studies."""
    async with own_analytics_database(postgres) as database:
        yield database


@pytest.fixture
async def study(own_database: Database) -> DerivedStudy:
    """A study with participants whose rows are derived, one of them corrected, one voided."""
    study = await open_derived_study(own_database, f"study-{secrets.token_hex(6)}")
    for _ in range(4):
        await study.add(*TREATED, follow_up_recorded(40))
    voided = await study.add(*TREATED)
    corrected = await study.add(*TREATED)
    await study.derive()
    death = corrected.record(participant_died(200))
    await study.project([death, voided.record(facts.participant_voided())])
    await study.project([corrected.correct(death, participant_died(210))])
    await study.derive()
    return study


async def table_rows(database: Database) -> dict[str, list[str]]:
    """Returns every row of facts and of derived tables, apart from where derived rows come from."""
    return {
        table: [
            row[0]
            for row in await database.system.fetch(
                compose_statement(
                    "select (to_jsonb(entry) - $1::text[])::text from {table} entry order by 1", table=table
                ),
                NOT_COMPARED.get(table, []),
            )
        ]
        for table in ("fact", "subject_site", *ROW_TABLES, "derived_study", "derived_failure")
    }


def interrupting(calls: int) -> Any:
    """A report of progress that ends the rebuild at a call."""
    counts: Iterator[int] = iter(range(1, 1000))

    def report(done: int, of: int) -> None:
        if next(counts) == calls:
            raise Interrupted

    return report


async def damage(study: DerivedStudy, participant_id: str) -> None:
    """Damages the facts and rows of a participant, as no process of Quartal does."""
    changes: Mapping[str, str] = {
        "fact": "delete from fact where subject = $1 and type = 'radiotherapy.completed'",
        "site": "update subject_site set site_id = 'nowhere' where subject = $1",
        "row": "update derived_subject set birth_year = 1900 where participant_id = $1",
        "missing": "delete from derived_course where participant_id = $1",
        "query": "update derived_data_query set text = 'wrong' where participant_id = $1",
    }
    for change in changes.values():
        await study.execute(change, participant_id)


async def test_rows_after_a_rebuild_equal_those_before(study: DerivedStudy) -> None:
    before = await table_rows(study.database)
    reports: list[tuple[int, int]] = []
    assert await rebuild(study.database.urls["system"], lambda done, of: reports.append((done, of))) == 0
    assert await table_rows(study.database) == before
    assert reports == sorted(reports)
    assert reports[-1] == (6, 6)


async def test_rebuild_repairs_facts_and_rows_and_live_figures_notice(study: DerivedStudy) -> None:
    history = await study.add(*TREATED, participant_died(200))
    await study.derive()
    before = await table_rows(study.database)
    await damage(study, history.participant_id)
    assert 1900 in (await study.reader.newest_snapshot(study.study_id)).subjects["birth_year"]
    assert await rebuild(study.database.urls["system"]) == 1
    assert await table_rows(study.database) == before
    assert 1900 not in (await study.reader.newest_snapshot(study.study_id)).subjects["birth_year"]


async def test_figure_is_computed_again_after_a_repair_at_the_same_position(study: DerivedStudy) -> None:
    history = await study.add(*TREATED, participant_died(200))
    await study.project([study.study.record(facts.member_granted("ina", "investigator"))])
    await study.derive()
    figures = FigureService(study.reader)

    async def died() -> tuple[int, int]:
        answer = await figures.figure("flow", study.study_id, "ina", FigureRequest())
        assert isinstance(answer.figure, ParticipantFlow)
        return answer.figure.died, answer.context.position

    right = await died()
    await study.execute(
        "update derived_subject set dead_from = 'infinity' where participant_id = $1", history.participant_id
    )
    await study.execute("update derived_study set revision = revision + 1 where study_id = $1", study.study_id)
    await study.execute(
        "update derived_subject set revision = (select revision from derived_study where study_id = $2)"
        " where participant_id = $1",
        history.participant_id,
        study.study_id,
    )
    wrong = await died()
    assert await rebuild(study.database.urls["system"]) == 1
    assert (wrong, await died()) == ((right[0] - 1, right[1]), right)


@pytest.mark.parametrize("calls", [1, 2])
async def test_rebuild_that_is_ended_half_way_leaves_everything_as_it_was(study: DerivedStudy, calls: int) -> None:
    history = await study.add(*TREATED)
    await study.derive()
    await damage(study, history.participant_id)
    damaged = await table_rows(study.database)
    with pytest.raises(Interrupted):
        await rebuild(study.database.urls["system"], interrupting(calls))
    assert await table_rows(study.database) == damaged


async def test_readers_do_not_wait_for_a_rebuild_nor_the_rebuild_for_readers(study: DerivedStudy) -> None:
    history = await study.add(*TREATED)
    await study.derive()
    await damage(study, history.participant_id)
    async with study.database.system.acquire() as reader, reader.transaction(isolation="repeatable_read"):
        count = await reader.fetchval("select count(*) from fact")
        async with asyncio.timeout(20):
            assert await rebuild(study.database.urls["system"]) == 1
        assert await reader.fetchval("select count(*) from fact") == count


async def test_facts_that_arrive_during_a_rebuild_are_kept(study: DerivedStudy) -> None:
    history, tasks = await study.add(*TREATED), list[asyncio.Task[Any]]()
    await study.derive()
    events = [history.record(participant_died(200)), history.record(follow_up_recorded(150))]

    async def add_and_derive() -> None:
        await study.project(events)
        await study.derive()

    def report(done: int, of: int) -> None:
        if not tasks:
            tasks.append(asyncio.create_task(add_and_derive()))

    await rebuild(study.database.urls["system"], report)
    await tasks[0]
    await study.derive()
    after = await table_rows(study.database)
    newest = await study.reader.newest_snapshot(study.study_id)
    assert day_number(date.fromisoformat(facts.day(200))) in newest.subjects["died_on"]
    assert await rebuild(study.database.urls["system"]) == 0
    assert await table_rows(study.database) == after


async def test_facts_that_are_derived_between_two_steps_of_a_rebuild_are_kept(study: DerivedStudy) -> None:
    history, added = await study.add(*TREATED), list[Any]()
    await study.derive()
    newcomer = ParticipantHistory(study.study_id)
    newcomer.record(*TREATED)
    events = [history.record(participant_died(200)), *newcomer.events]

    def report(done: int, of: int) -> None:
        """Facts are copied when it is called first, and rows are derived next."""
        if not added:
            added.extend(events)
            thread = Thread(target=lambda: asyncio.run(project_and_derive(study, events)))
            thread.start()
            thread.join()

    assert await rebuild(study.database.urls["system"], report) == 0
    newest = await study.reader.newest_snapshot(study.study_id)
    assert day_number(date.fromisoformat(facts.day(200))) in newest.subjects["died_on"]
    assert newcomer.participant_id.encode() in newest.subjects["participant_id"][newest.subjects["is_screened"]]


async def project_and_derive(study: DerivedStudy, events: Sequence[Event]) -> None:
    """Applies events and derives rows as other processes do, with connections of its own."""
    pool = await open_pool(study.database.urls["system"])
    try:
        await project_messages(pool, as_messages(events))
        await Deriver(pool, TermNames(), Clock()).derive_study(study.study_id)
    finally:
        await pool.close()


async def test_participant_whose_derivation_fails_keeps_the_rows_in_a_rebuild(study: DerivedStudy) -> None:
    history = await study.add(*TREATED)
    await study.derive()
    event = history.record(follow_up_recorded(40))
    await study.project([event])
    await study.execute("alter table journal disable trigger journal_stays")
    await study.execute("update journal set type = 'future.fact' where event_id = $1", event.event_id)
    await study.damage(event, "type", "future.fact")
    await study.derive()
    before = await table_rows(study.database)
    assert await rebuild(study.database.urls["system"]) == 0
    assert await table_rows(study.database) == before
