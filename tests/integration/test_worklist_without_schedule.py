"""Participants of the worklist over HTTP who have no schedule yet: enrolled, without an end of radiotherapy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.testing.builders import facts
from tests.conftest import Database
from tests.integration.support.analytics_app import AnalyticsStudy, open_analytics_study
from tests.integration.support.worklist import (
    ALL_STATES,
    DUE,
    add,
    enrolled,
    listed,
    page_text,
    read_worklist,
    state_fact,
    void_last,
)


@pytest.fixture
async def study(analytics_database: Database, tmp_path: Path, study_id: str) -> AsyncIterator[AnalyticsStudy]:
    async with open_analytics_study(analytics_database, tmp_path, study_id) as study:
        yield study


async def test_enrolled_participants_without_an_end_of_radiotherapy_have_no_schedule_yet(study: AnalyticsStudy) -> None:
    later = await study.add_participant("rome", *enrolled(when="2024-12-01"))
    under_treatment = await study.add_participant("milan", *enrolled("milan"), facts.radiotherapy_started("2024-10-01"))
    await study.add_participant("rome", *enrolled()[:2])
    document = await read_worklist(study)
    assert document["no_schedule"] == [
        {
            "participant_id": under_treatment.participant_id,
            "site_id": "milan",
            "enrolled_on": "2024-09-01",
            "days": 152,
        },
        {"participant_id": later.participant_id, "site_id": "rome", "enrolled_on": "2024-12-01", "days": 61},
    ]
    assert document["rows"] == []
    only_rome = await read_worklist(study, "site@rome")
    assert [row["participant_id"] for row in only_rome["no_schedule"]] == [later.participant_id]
    await state_fact(study, under_treatment, facts.radiotherapy_completed("2024-11-05"))
    assert await listed(study) == [(under_treatment.participant_id, 1, "due")]
    await void_last(study, under_treatment)
    assert (await read_worklist(study))["rows"] == []
    study.study.record(facts.site_closed("milan", "2025-01-31"))
    await study.project(study.study.events[-1:])
    assert [row["participant_id"] for row in (await read_worklist(study))["no_schedule"]] == [later.participant_id]


async def test_participants_without_a_schedule_are_on_no_list_of_visits_in_given_states(study: AnalyticsStudy) -> None:
    await add(study, DUE)
    waiting = await study.add_participant("rome", *enrolled())
    assert "No schedule yet" in await page_text(study)
    for state in ("due", "missed", ALL_STATES):
        assert (await read_worklist(study, state=state))["no_schedule"] == []
        assert (await read_worklist(study, state=state, participant=waiting.participant_id))["no_schedule"] == []
        assert "No schedule yet" not in await page_text(study, state=state)
        assert "no_schedule" not in (await study.get("worklist.csv", state=state)).text
    only_waiting = await read_worklist(study, participant=waiting.participant_id)
    assert [row["participant_id"] for row in only_waiting["no_schedule"]] == [waiting.participant_id]
