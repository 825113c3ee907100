"""A calendar has at most 2,000 events, and a rebuild of the rows changes none of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from icalendar import Calendar

from services.analytics.rebuild.rebuild import rebuild
from shared.security.vault import make_key_file
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as follow_up
from shared.testing.builders.participant_history import ParticipantHistory
from tests.conftest import PostgresServer
from tests.integration.support.analytics_app import AnalyticsStudy, open_analytics_study
from tests.integration.support.analytics_database import own_analytics_database
from tests.integration.support.worklist import add, state_fact, treated
from tests.integration.test_calendar_feed import TODAY, fetch, subscribe

ENDED_ON = "2024-11-05"
"""The end of an index course of which three visits are near today: those of February, May and August."""
PARTICIPANTS = 340


@pytest.fixture
async def study(
    postgres: PostgresServer, databases: Mapping[str, str], tmp_path: Path, study_id: str
) -> AsyncIterator[AnalyticsStudy]:
    """A study in a database of its own, which a rebuild has to itself."""
    make_key_file(tmp_path / "links_key")
    settings, clock = {"links_key": tmp_path / "links_key"}, f"{study_id}={TODAY}"
    async with (
        own_analytics_database(postgres) as database,
        open_analytics_study(database, tmp_path, study_id, settings=settings, clock=clock) as study,
    ):
        yield study


async def events(study: AnalyticsStudy, address: str, **params: str) -> list[Any]:
    response = await fetch(study, address, **params)
    assert response.status_code == 200, response.text
    return list(Calendar.from_ical(response.content).walk("VEVENT"))


async def test_a_calendar_has_the_2000_events_that_are_nearest(study: AnalyticsStudy) -> None:
    histories = [ParticipantHistory(study.study_id, site_id="rome") for _ in range(PARTICIPANTS)]
    for history in histories:
        history.record(*treated(ENDED_ON))
    await study.project([event for history in histories for event in history.events])
    address = await subscribe(study)
    in_feed = Counter(" ".join(str(event["summary"]).split()[1:]) for event in await events(study, address))
    assert in_feed == {
        "visit 1 target": PARTICIPANTS,
        "visit 1 window": PARTICIPANTS,
        "visit 2 target": PARTICIPANTS,
        "visit 2 window": PARTICIPANTS,
        "visit 3 target": 1000 - 2 * PARTICIPANTS,
        "visit 3 window": 1000 - 2 * PARTICIPANTS,
    }
    assert len(await events(study, address, windows="off")) == 3 * PARTICIPANTS


async def test_a_rebuild_leaves_sequence_and_bytes_of_every_event(study: AnalyticsStudy) -> None:
    history = await add(study, ENDED_ON)
    address = await subscribe(study)
    await fetch(study, address)
    await study.project([history.correct(history.events[-1], facts.radiotherapy_completed("2024-11-20"))])
    before = (await fetch(study, address)).content
    assert {event["sequence"] for event in await events(study, address)} == {1}
    await study.database.system.execute("delete from derived_visit where study_id = $1", study.study_id)
    assert await rebuild(study.database.urls["system"]) == 1
    assert (await fetch(study, address)).content == before
    await state_fact(study, history, follow_up.participant_died("2025-01-20"))
    after = {(event["status"], event["sequence"]) for event in await events(study, address)}
    assert after == {("CANCELLED", 2)}
