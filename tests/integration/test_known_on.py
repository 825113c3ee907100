"""The day by which a fact was known is stored with it once, and no later clock, zone or site changes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime

import asyncpg
import pytest

from services.analytics.projection.known_on import keep_known_on, keep_known_on_everywhere
from services.analytics.rebuild.rebuild import rebuild
from shared.contracts.event import Event
from shared.kernel.clock import Clock
from shared.testing.builders.events import EventStream
from shared.testing.builders.facts import (
    lesion_registered,
    participant_enrolled,
    participant_screened,
    site_activated,
)
from shared.testing.builders.messages import as_messages
from shared.testing.builders.participant_history import participant_stream, study_stream
from tests.conftest import Database, PostgresServer
from tests.integration.support.analytics_database import (
    fact_rows,
    journal_rows,
    own_analytics_database,
    project_messages,
)

FROZEN, SHIFTED = Clock({"": date(2024, 6, 1)}), Clock.parse("+10")


@pytest.fixture(scope="module")
async def own_database(postgres: PostgresServer, databases: Mapping[str, str]) -> AsyncIterator[Database]:
    """A database for these tests: a rebuild reads every study that is in it."""
    async with own_analytics_database(postgres) as database:
        yield database


def known_from(day: str, events: Sequence[Event]) -> list[Event]:
    """The events as they are recorded on a day of the study."""
    return [replace(event, meta={**event.meta, "recorded_on": day}) for event in events]


async def project(database: Database, *events: Event) -> None:
    await project_messages(database.system, as_messages(events))


async def days_of(database: Database, study_id: str) -> list[tuple[str, date | None]]:
    """Type and day of every event of the journal, in the order of application."""
    return [(row["type"], row["known_on"]) for row in await journal_rows(database.system, study_id)]


async def days_of_facts(database: Database, study_id: str) -> dict[int, date | None]:
    """The day of every fact, current or not, by the position of its content."""
    return {row["from_position"]: row["known_on"] for row in await fact_rows(database.system, study_id)}


async def test_fact_is_known_on_the_day_that_its_event_keeps(own_database: Database, study_id: str) -> None:
    stream = participant_stream(study_id)
    await project(own_database, *known_from("2025-01-31", stream.events))
    assert set(dict(await days_of(own_database, study_id)).values()) == {date(2025, 1, 31)}
    assert await days_of_facts(own_database, study_id) == {1: date(2025, 1, 31), 2: date(2025, 1, 31)}


async def test_correction_brings_its_own_day_and_the_past_keeps_the_first(
    own_database: Database, study_id: str
) -> None:
    stream = participant_stream(study_id)
    lesion = stream.record(lesion_registered("L1"))
    correction = stream.correct(lesion, lesion_registered("L2"))
    events = [*known_from("2025-03-01", stream.events[:3]), *known_from("2025-11-01", [correction])]
    await project(own_database, *events)
    before = await fact_rows(own_database.system, study_id)
    assert (await days_of_facts(own_database, study_id))[3] == date(2025, 3, 1)
    assert (await days_of_facts(own_database, study_id))[4] == date(2025, 11, 1)
    await keep_known_on(own_database.system, FROZEN, study_id)
    await rebuild(own_database.urls["system"])
    assert await fact_rows(own_database.system, study_id) == before


async def test_event_of_an_earlier_release_gets_the_day_of_its_site_once(own_database: Database, study_id: str) -> None:
    late_evening = datetime(2024, 3, 7, 23, 30, tzinfo=UTC)  # the next day in Rome
    stream = participant_stream(study_id)
    stream.correct(stream.events[1], participant_enrolled("2024-02-10"))
    events = [replace(event, recorded_at=late_evening) for event in (*study_stream(study_id).events, *stream.events)]
    await project(own_database, *events)
    await keep_known_on_everywhere(own_database.system, Clock())
    days = await days_of(own_database, study_id)
    assert {day for _, day in days} == {date(2024, 3, 8)}
    assert set((await days_of_facts(own_database, study_id)).values()) == {date(2024, 3, 8)}

    facts = await fact_rows(own_database.system, study_id)
    for later_clock in (FROZEN, SHIFTED):
        await keep_known_on(own_database.system, later_clock, study_id)
        await rebuild(own_database.urls["system"])
    assert await days_of(own_database, study_id) == days
    assert await fact_rows(own_database.system, study_id) == facts


async def test_frozen_study_knows_its_earlier_facts_on_its_frozen_day(own_database: Database, study_id: str) -> None:
    await project(own_database, *study_stream(study_id).events, *participant_stream(study_id).events)
    await keep_known_on(own_database.system, FROZEN, study_id)
    assert {day for _, day in await days_of(own_database, study_id)} == {date(2024, 6, 1)}


async def test_events_of_a_site_that_has_not_arrived_wait_for_it(own_database: Database, study_id: str) -> None:
    """A replay may bring a participant before the site, whose zone decides the day."""
    study = EventStream(study_id, study_id)
    study.record(site_activated("milan"))
    await project(own_database, *study.events, *participant_stream(study_id).events)
    await keep_known_on(own_database.system, Clock(), study_id)
    assert [day for _, day in await days_of(own_database, study_id)] == [date(2024, 3, 7), None, None]
    study.record(site_activated("rome"))
    await project_messages(own_database.system, as_messages(study.events[1:], 3))
    await keep_known_on(own_database.system, Clock(), study_id)
    assert None not in [day for _, day in await days_of(own_database, study_id)]


@pytest.mark.parametrize("turns", [1, 4, 7, 12, 20])
async def test_killed_and_concurrent_runs_end_with_the_same_days(
    own_database: Database, study_id: str, turns: int
) -> None:
    streams = [study_stream(study_id), *(participant_stream(study_id) for _ in range(5))]
    await project(own_database, *(event for stream in streams for event in stream.events))
    killed = asyncio.create_task(keep_known_on(own_database.system, FROZEN, study_id, batch_size=2))
    for _ in range(turns):
        await asyncio.sleep(0.001)
    killed.cancel()
    await asyncio.gather(killed, return_exceptions=True)
    runs = (keep_known_on(own_database.system, FROZEN, study_id, batch_size=3) for _ in range(3))
    await asyncio.gather(*runs)
    assert {day for _, day in await days_of(own_database, study_id)} == {date(2024, 6, 1)}
    assert set((await days_of_facts(own_database, study_id)).values()) == {date(2024, 6, 1)}


async def test_journal_lets_a_day_be_given_once_and_nothing_else_be_changed(
    own_database: Database, study_id: str
) -> None:
    stream = EventStream(study_id)
    stream.record(participant_screened())
    await project(own_database, *stream.events)
    give_day = "update journal set known_on = $2 where study_id = $1"
    owner = await asyncpg.connect(own_database.superuser_url)
    try:
        for change in (
            "update journal set known_on = '2024-03-07', position = 9",
            "update journal set known_on = null",
        ):
            with pytest.raises(asyncpg.PostgresError, match="never changed"):
                await owner.execute(change)
        await owner.execute(give_day, study_id, date(2024, 3, 7))
        for other_day in (date(2024, 3, 7), date(2024, 3, 8), None):
            with pytest.raises(asyncpg.PostgresError, match="never changed"):
                await owner.execute(give_day, study_id, other_day)
    finally:
        await owner.close()
