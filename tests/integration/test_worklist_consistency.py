"""A worklist shows one state of the record, whatever is recorded while it is read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as follow_up
from shared.testing.builders.participant_history import ParticipantHistory
from tests.conftest import Database
from tests.integration.support.analytics_app import AnalyticsStudy, open_analytics_study
from tests.integration.support.worklist import ALL_STATES, DUE, OVERDUE, add, listed, state_fact, void_last

MOVES = 12


@pytest.fixture
async def study(analytics_database: Database, tmp_path: Path, study_id: str) -> AsyncIterator[AnalyticsStudy]:
    async with open_analytics_study(analytics_database, tmp_path, study_id) as study:
        yield study


async def test_list_has_a_participant_once_while_the_participant_moves_between_its_sites(study: AnalyticsStudy) -> None:
    study.study.record(facts.member_granted(f"site@rome.{study.study_id}", "site", "milan"))
    await study.project(study.study.events[-1:])
    history = await add(study, OVERDUE)
    for _ in range(4):
        await add(study, DUE)
    moving = asyncio.create_task(_move_to_and_fro(study, history))
    while not moving.done():
        listed_ids = [participant for participant, _, _ in await listed(study, "site@rome")]
        assert (len(listed_ids), listed_ids.count(history.participant_id)) == (5, 1)
    await moving


async def test_list_has_a_visit_under_one_state_while_a_contact_is_recorded_and_voided(study: AnalyticsStudy) -> None:
    history = await add(study, OVERDUE)
    changing = asyncio.create_task(_report_and_void(study, history))
    while not changing.done():
        visits = sorted(visit for _, visit, _ in await listed(study, state=ALL_STATES))
        assert visits == list(range(1, 9))
    await changing


async def _move_to_and_fro(study: AnalyticsStudy, history: ParticipantHistory) -> None:
    for _ in range(MOVES):
        await state_fact(study, history, facts.participant_transferred("milan", "2025-01-20"))
        await void_last(study, history)


async def _report_and_void(study: AnalyticsStudy, history: ParticipantHistory) -> None:
    for _ in range(MOVES):
        await state_fact(study, history, follow_up.follow_up_recorded("2025-01-29"))
        await void_last(study, history)
