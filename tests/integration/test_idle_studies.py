"""The worker of reminders passes over a study in which a tick would change nothing."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from services.analytics.reminders.reminder_task import run_ticks
from services.analytics.reminders.repository import StudyOverview
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as follow_up
from tests.conftest import Database
from tests.integration.support.reminded_study import RemindedStudy
from tests.polling import wait_until


@pytest.fixture
async def study(analytics_database: Database, study_id: str) -> RemindedStudy:
    study = RemindedStudy(analytics_database, study_id)
    await study.open(facts.site_activated())
    return study


async def overview(study: RemindedStudy) -> StudyOverview:
    studies = {row.study_id: row for row in await study.worker.studies()}
    return studies[study.study_id]


async def is_idle(study: RemindedStudy) -> bool:
    return study.worker.is_idle(await overview(study))


async def test_a_study_is_idle_after_its_tick(study: RemindedStudy) -> None:
    await study.treat("2025-01-15")
    assert not await is_idle(study)
    await study.tick()
    assert await is_idle(study)


async def test_a_study_with_new_rows_is_not_idle(study: RemindedStudy) -> None:
    history = await study.treat("2025-01-15")
    await study.tick()
    await study.state(history, follow_up.participant_died("2025-02-10"))
    assert not await is_idle(study)


async def test_a_study_is_not_idle_on_another_day_and_when_its_hours_begin_or_end(study: RemindedStudy) -> None:
    await study.treat("2025-01-15")
    await study.tick()
    for elapsed in (timedelta(hours=10), timedelta(hours=14), timedelta(days=1)):
        study.now += elapsed
        assert not await is_idle(study)
        await study.tick()
        assert await is_idle(study)


async def test_a_study_with_a_subscription_is_never_idle(study: RemindedStudy) -> None:
    await study.treat("2025-01-15")
    await study.tick()
    await study.database.system.execute(
        "insert into subscription (study_id, member, email, digest, calendar, renewed_at)"
        " values ($1, 'nurse@berlin.study', 'nurse@hospital.example', true, false, now())",
        study.study_id,
    )
    assert not await is_idle(study)


async def test_a_study_that_was_not_planned_by_this_process_is_not_idle(study: RemindedStudy) -> None:
    await study.treat("2025-01-15")
    await study.tick()
    assert not study.new_worker().is_idle(await overview(study))


async def test_idle_studies_show_signs_of_life(study: RemindedStudy) -> None:
    await study.treat("2025-01-15")
    await study.tick()

    async def sign_of_life() -> datetime:
        moment: datetime = await study.database.system.fetchval(
            "select ticked_at from reminder_status where study_id = $1", study.study_id
        )
        return moment

    async def lives() -> bool:
        return await sign_of_life() > before

    before, stop = await sign_of_life(), asyncio.Event()
    ticks = asyncio.create_task(run_ticks(study.worker, stop, interval=0.01))
    await wait_until(lives)
    stop.set()
    await ticks
