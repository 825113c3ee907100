"""The worklist over HTTP: what is due at each site, for who may see it, and how facts move entries."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from shared.kernel.fact import Fact
from shared.testing.builders import facts
from shared.testing.builders.participant_history import ParticipantHistory
from tests.conftest import Database
from tests.integration.support.analytics_app import TODAY, AnalyticsStudy, open_analytics_study

OVERDUE, DUE, OPENING, LATER = "2024-10-15", "2024-11-05", "2024-11-20", "2024-12-05"
"""Ends of the index course by the state of the first visit today, 2025-01-31: `OPENING` opens it on 2025-02-06."""


@pytest.fixture
async def study(analytics_database: Database, tmp_path: Path, study_id: str) -> AsyncIterator[AnalyticsStudy]:
    async with open_analytics_study(analytics_database, tmp_path, study_id) as study:
        yield study


async def treated(study: AnalyticsStudy, ended_on: str, *stated: Fact, site: str = "rome") -> ParticipantHistory:
    """Adds a participant whose index course ended on a day, with further facts."""
    started = facts.radiotherapy_started("2024-09-10")
    ended = facts.radiotherapy_completed(ended_on)
    return await study.add_participant(site, *enrolled(site, "2024-09-01"), started, ended, *stated)


def enrolled(site: str, when: str) -> list[Fact]:
    return [
        facts.participant_screened(when, site_id=site),
        facts.consent_signed(when),
        facts.participant_enrolled(when),
    ]


async def answer(study: AnalyticsStudy, user: str = "coordinator", **params: Any) -> dict[str, Any]:
    response = await study.get("worklist.json", user, **params)
    assert response.status_code == 200, response.text
    document: dict[str, Any] = response.json()
    return document


async def listed(study: AnalyticsStudy, user: str = "coordinator", **params: Any) -> list[tuple[str, int, str]]:
    """Returns participant, visit and state of each row."""
    rows = (await answer(study, user, **params))["rows"]
    return [(row["participant_id"], row["visit"], row["state"]) for row in rows]


async def test_coordinator_reads_what_is_overdue_due_and_opening(study: AnalyticsStudy) -> None:
    opening, due, overdue = [await treated(study, ended_on) for ended_on in (OPENING, DUE, OVERDUE)]
    await treated(study, LATER)
    document = await answer(study)
    assert list(document) == ["position", "on", "next", "rows", "no_schedule"]
    assert (document["position"], document["on"], document["next"]) == (study.position, TODAY, None)
    assert [(row["participant_id"], row["state"]) for row in document["rows"]] == [
        (overdue.participant_id, "overdue"),
        (due.participant_id, "due"),
        (opening.participant_id, "planned"),
    ]
    assert document["no_schedule"] == []
    first = document["rows"][0]
    assert first == {
        "participant_id": overdue.participant_id,
        "site_id": "rome",
        "visit": 1,
        "course_id": None,
        "target": "2025-01-15",
        "opens": "2025-01-01",
        "closes": "2025-01-29",
        "slot_ends": "2025-03-31",
        "state": "overdue",
        "reason": None,
        "days": -16,
        "scheduled_on": None,
        "declared": None,
        "last_contact": None,
        "next_step": None,
        "open_queries": first["open_queries"],
    }
