from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.analytics.projection.projector import apply_events
from services.analytics.rebuild.rebuild import rebuild
from services.analytics.snapshot.repository import position_as_of, recorded_at
from shared.contracts.enrollment import ParticipantTransferred
from shared.contracts.event import Event, stated_facts
from shared.contracts.participation import current_site
from shared.inbox.standing_facts import StandingFactRow, apply_by_version
from shared.kernel.fact import Fact
from shared.kernel.partial_date import PartialDate
from shared.kernel.record import current_record as record_of
from shared.postgres.tenancy import Tenant, transaction
from shared.testing.builders import follow_up_facts as followup
from shared.testing.builders import toxicity_facts as toxicity
from shared.testing.builders.events import EventStream
from shared.testing.builders.facts import lesion_registered, participant_screened, participant_transferred
from shared.testing.builders.messages import as_messages
from shared.testing.builders.participant_history import corrected_participant_stream, participant_stream, study_stream
from shared.testing.seeded_random import seeded_random
from tests.conftest import Database, PostgresServer
from tests.integration.support.analytics_database import (
    fact_rows,
    journal_rows,
    own_analytics_database,
    project_messages,
    read_standing_facts,
    stream_states,
    without_positions,
)


@pytest.fixture(scope="module")
async def own_database(postgres: PostgresServer, databases: Mapping[str, str]) -> AsyncIterator[Database]:
    async with own_analytics_database(postgres) as database:
        yield database


def study_with_transfer(study_id: str) -> list[EventStream]:
    """A study and four participants; of one, who moves to another site, all services tell."""
    transferred_stream = participant_stream(study_id, lesion_registered(), participant_transferred("milan"))
    toxicity_stream, followup_stream = (
        EventStream(study_id, transferred_stream.stream_id, service) for service in ("toxicity", "followup")
    )
    wrong_assessment = toxicity_stream.record(toxicity.toxicity_assessed(5, toxicity.finding()))
    toxicity_stream.record(toxicity.serious_event_reported("A", 6))
    toxicity_stream.correct(wrong_assessment, toxicity.toxicity_assessed(7))
    followup_stream.record(followup.follow_up_recorded(40), followup.participant_died(60))
    other_streams = [
        corrected_participant_stream(study_id),
        participant_stream(study_id, lesion_registered()),
        participant_stream(study_id),
    ]
    return [study_stream(study_id), *other_streams, transferred_stream, toxicity_stream, followup_stream]


def types_and_data(rows: list[StandingFactRow]) -> list[tuple[str, str]]:
    return [(row.type, row.data) for row in rows]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), cut=st.integers(1, 12), repeats=st.integers(0, 15))
async def test_every_interleaving_and_repetition_of_events_leads_to_the_same_facts(
    own_database: Database, seed: int, cut: int, repeats: int
) -> None:
    study_id, random_source = f"study-{secrets.token_hex(6)}", seeded_random(seed)
    streams = study_with_transfer(study_id)
    events = [event for stream in streams for event in stream.events]
    shuffled = random_source.sample(events, len(events)) + random_source.choices(events, k=repeats)
    for start in range(0, len(shuffled), cut):
        await project_messages(own_database.system, as_messages(shuffled[start : start + cut]))

    rows = await read_standing_facts(own_database.system, study_id)
    assert without_positions(rows) == await _expected_facts(own_database, streams)
    participant_streams = [
        stream for stream in streams if stream.service == "enrollment" and stream.stream_id != study_id
    ]
    assert await current_sites(own_database, study_id) == {
        stream.stream_id: last_site(stream) for stream in participant_streams
    }
    positions = [row["position"] for row in await journal_rows(own_database.system, study_id)]
    assert positions == list(range(1, len(events) + 1))
    assert {parked for _, parked in (await stream_states(own_database.system, study_id)).values()} == {None}


async def current_sites(own_database: Database, study_id: str) -> dict[str, str]:
    rows = await own_database.system.fetch("select subject, site_id from subject_site where study_id = $1", study_id)
    return {row["subject"]: row["site_id"] for row in rows if row["subject"] != study_id}


def last_site(stream: EventStream) -> str:
    """Returns the site to which the last current transfer leads."""
    transfers = record_of(event.stated_fact() for event in stream.events).stated_of(ParticipantTransferred)
    return transfers[-1].fact.to_site if transfers else "rome"


async def _expected_facts(own_database: Database, streams: list[EventStream]) -> list[tuple[object, ...]]:
    """Returns the current facts of each stream as the write side computes them, in the form of stored rows."""
    events_by_id = {event.event_id: event for stream in streams for event in stream.events}
    records = [record_of(event.stated_fact() for event in stream.events) for stream in streams]
    return sorted(
        [
            _fact_row(events_by_id[stated.event_id], await _normalized_json(own_database, stated.fact))
            for record in records
            for stated in record.stated_facts
        ]
    )


def _fact_row(event: Event, data: str) -> tuple[object, ...]:
    return event.event_id, event.type, event.stream_id, event.site_id, event.version, data


async def _normalized_json(own_database: Database, fact: Fact) -> str:
    return str(await own_database.system.fetchval("select $1::jsonb::text", fact.model_dump_json()))


async def test_position_has_the_time_by_which_all_its_events_were_recorded(
    analytics_database: Database, study_id: str
) -> None:
    reader, hours, positions = analytics_database.system, (10, 9, 11), []
    for hour in hours:
        recorded_time = datetime(2024, 5, 1, hour, tzinfo=UTC)
        events = [replace(event, recorded_at=recorded_time) for event in participant_stream(study_id).events]
        await project_messages(reader, as_messages(events))
        positions.append(await reader.fetchval("select position from study_position where study_id = $1", study_id))
    times = [await recorded_at(reader, study_id, position) for position in positions]
    assert [when.hour for when in times if when] == [10, 10, 11]
    assert [await position_as_of(reader, study_id, when) for when in times if when] == [
        positions[1],
        positions[1],
        None,
    ]


async def test_correction_restates_voids_and_reinstates_and_the_past_stays_readable(
    analytics_database: Database, study_id: str
) -> None:
    stream = participant_stream(study_id)
    lesion_event = stream.record(lesion_registered("L1"))
    stream.correct(lesion_event, lesion_registered("L2"))
    stream.correct(lesion_event, None)
    stream.correct(lesion_event, lesion_registered("L3"))
    await project_messages(analytics_database.system, as_messages(stream.events))

    async def lesion_versions(position: int | None = None) -> list[tuple[str, int, int]]:
        rows = await read_standing_facts(analytics_database.system, study_id, at=position)
        lesion_facts = [(row, row.to_stated_fact(study_id).fact) for row in rows if row.type == "lesion.registered"]
        return [(getattr(fact, "lesion_id", ""), row.version, row.from_position) for row, fact in lesion_facts]

    past_versions = [await lesion_versions(position) for position in range(2, 7)]
    assert past_versions == [[], [("L1", 3, 3)], [("L2", 3, 4)], [], [("L3", 3, 6)]]
    assert await lesion_versions() == [("L3", 3, 6)]
    rows = await fact_rows(analytics_database.system, study_id)
    assert {row["event_id"] for row in rows if row["type"] == "lesion.registered"} == {lesion_event.event_id}
    assert {row["recorded_at"] for row in rows if row["type"] == "lesion.registered"} == {lesion_event.recorded_at}


async def test_rebuild_reproduces_every_row(own_database: Database) -> None:
    studies = [f"study-{secrets.token_hex(6)}" for _ in range(3)]
    for study_id in studies:
        events = [event for stream in study_with_transfer(study_id) for event in stream.events]
        for start in range(0, len(events), 7):
            await project_messages(own_database.system, as_messages(events[start : start + 7]))
    before = [await fact_rows(own_database.system, study_id) for study_id in studies]
    sites = await own_database.system.fetch("select * from subject_site order by study_id, subject")
    await rebuild(own_database.urls["system"])
    assert [await fact_rows(own_database.system, study_id) for study_id in studies] == before
    assert await own_database.system.fetch("select * from subject_site order by study_id, subject") == sites


async def test_projection_continues_correctly_after_a_rebuild(own_database: Database) -> None:
    stream = corrected_participant_stream(study_id := f"study-{secrets.token_hex(6)}")
    messages = as_messages(stream.events)
    await project_messages(own_database.system, messages[:7])
    await rebuild(own_database.urls["system"])
    await project_messages(own_database.system, messages[7:])
    rows = await fact_rows(own_database.system, study_id)
    await rebuild(own_database.urls["system"])
    assert await fact_rows(own_database.system, study_id) == rows


def with_later_schema(event: Event) -> Event:
    """The event as a later release writes it, in which a lesion has a volume."""
    content = event.content
    if replacement := content.get("replacement"):
        replacement["schema_version"] = 2
    (replacement["data"] if replacement else content)["volume_ml"] = 12
    return replace(event, schema_version=2, data=json.dumps(content))


async def test_event_of_a_later_schema_is_applied_as_far_as_known_and_kept_unchanged(own_database: Database) -> None:
    stream = participant_stream(study_id := f"study-{secrets.token_hex(6)}")
    stream.correct(stream.record(lesion_registered("L1")), lesion_registered("L2"))
    later_events = [with_later_schema(event) for event in stream.events[2:]]
    await project_messages(own_database.system, as_messages([*stream.events[:2], *later_events]))

    (row,) = [
        row for row in await read_standing_facts(own_database.system, study_id) if row.type == "lesion.registered"
    ]
    assert row.to_stated_fact(study_id).fact == lesion_registered("L2")
    assert (row.schema_version, json.loads(row.data)["volume_ml"]) == (2, 12)
    journal_entries = [
        (entry["schema_version"], json.loads(entry["data"]))
        for entry in await journal_rows(own_database.system, study_id)
    ][2:]
    assert journal_entries == [(2, event.content) for event in later_events]
    rows = await fact_rows(own_database.system, study_id)
    await rebuild(own_database.urls["system"])
    assert await fact_rows(own_database.system, study_id) == rows


async def test_correction_of_an_unknown_event_parks_its_stream(analytics_database: Database, study_id: str) -> None:
    stream, other = participant_stream(study_id), participant_stream(study_id)
    stream.correct(other.events[1], None)
    result = await project_messages(analytics_database.system, as_messages([*other.events, *stream.events]))
    assert [(event.subject, event.version, event.reason) for event in result.parked] == [
        (stream.stream_id, 2, "no-such-event")
    ]
    assert len(await read_standing_facts(analytics_database.system, study_id)) == 4


async def test_participant_rows_are_visible_at_the_current_site_and_study_rows_everywhere(
    analytics_database: Database, study_id: str
) -> None:
    study_events_stream, staying_stream, transferred_stream = (
        study_stream(study_id),
        participant_stream(study_id),
        participant_stream(study_id, participant_transferred("milan")),
    )
    await project_messages(
        analytics_database.system,
        as_messages([*study_events_stream.events, *staying_stream.events, *transferred_stream.events]),
    )

    async def visible_subjects(site: str, tenant_study: str = study_id) -> set[str]:
        async with transaction(analytics_database.app, Tenant(tenant_study, site)) as connection:
            rows = await connection.fetch("select subject from fact")
            assert {row["subject"] for row in await connection.fetch("select subject from journal")} == {
                row["subject"] for row in rows
            }
        return {row["subject"] for row in rows}

    assert await visible_subjects("rome") == {study_id, staying_stream.stream_id}
    assert await visible_subjects("milan") == {study_id, transferred_stream.stream_id}
    assert await visible_subjects("west") == {study_id}
    assert await visible_subjects("") == {study_id}
    assert await visible_subjects("*") == {study_id, staying_stream.stream_id, transferred_stream.stream_id}
    assert await visible_subjects("*", f"{study_id}-other") == set()


async def test_current_site_follows_the_last_transfer_that_stands(analytics_database: Database, study_id: str) -> None:
    stream = participant_stream(study_id)
    steps: list[tuple[Event, str | None]] = [(stream.events[-1], "rome")]
    milan = stream.record(participant_transferred("milan", "2024-03-31"))
    steps += [(milan, "milan"), (stream.record(participant_transferred("west", "2024-03")), "west")]
    steps += [(stream.record(participant_transferred("east", "2024-02")), "west")]
    steps += [(stream.correct(stream.events[3], None), "milan"), (stream.correct(milan, None), "east")]
    steps += [(stream.correct(stream.events[4], None), "rome"), (stream.correct(stream.events[0], None), None)]
    steps += [(stream.correct(stream.events[0], participant_screened(site_id="rome")), "rome")]
    await project_messages(analytics_database.system, as_messages(stream.events[:2]))
    for (event, site), message in zip(steps, [None, *as_messages(stream.events[2:])], strict=True):
        await project_messages(analytics_database.system, [message] if message else [])
        site_query = "select site_id from subject_site where subject = $1"
        assert await analytics_database.system.fetchval(site_query, stream.stream_id) == site, event.version


@pytest.mark.parametrize(
    "transfers",
    [
        [],
        [("milan", "2024-03-31"), ("west", "2024-03")],
        [("milan", "2024-03"), ("west", "2024-03-31")],
        [("milan", "2024"), ("west", "2024-06-01"), ("rome", "2023")],
        [("milan", "2024-02"), ("west", "2024-02-29"), ("milan", "2024-02-28")],
    ],
)
@pytest.mark.parametrize("corrected", ["nothing", "first", "screening"])
async def test_sql_present_site_equals_current_site(
    analytics_database: Database, study_id: str, transfers: list[tuple[str, str]], corrected: str
) -> None:
    stream = EventStream(study_id)
    screened = stream.record(participant_screened(site_id="rome"))
    moves = [stream.record(participant_transferred(site, day)) for site, day in transfers]
    if corrected == "first" and moves:
        stream.correct(moves[0], participant_transferred("east", "2024-03-31"))
    if corrected == "screening":
        stream.correct(screened, None)
    await project_messages(analytics_database.system, as_messages(stream.events))
    stored = await analytics_database.system.fetchval("select present_site($1, $2)", study_id, stream.stream_id)
    assert stored == current_site(record_of(stated_facts(stream.events)))


@pytest.mark.parametrize("stated", ["2024", "2024-02", "2023-02", "2024-12", "2024-02-29"])
async def test_database_and_kernel_agree_on_the_last_day_of_a_partial_date(
    analytics_database: Database, stated: str
) -> None:
    assert await analytics_database.system.fetchval("select latest_day($1)", stated) == PartialDate.parse(stated).latest


async def test_participant_without_a_screening_is_visible_to_no_single_site(
    analytics_database: Database, study_id: str
) -> None:
    stream = EventStream(study_id)
    stream.record(lesion_registered())
    await project_messages(analytics_database.system, as_messages(stream.events))
    assert await read_standing_facts(analytics_database.app, study_id, site="rome") == []
    assert len(await read_standing_facts(analytics_database.app, study_id)) == 1


@pytest.mark.parametrize("role", ["app", "system"])
async def test_journal_cannot_be_changed(analytics_database: Database, study_id: str, role: str) -> None:
    await project_messages(analytics_database.system, as_messages(participant_stream(study_id).events))
    for statement in ("update journal set position = 0", "delete from journal", "truncate journal"):
        async with transaction(getattr(analytics_database, role), Tenant(study_id)) as connection:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    owner = await asyncpg.connect(analytics_database.superuser_url)
    try:
        for statement in ("update journal set position = 0", "delete from journal", "truncate journal"):
            with pytest.raises(asyncpg.PostgresError, match="never changed"):
                await owner.execute(statement)
    finally:
        await owner.close()


async def test_listener_is_notified_on_commit_of_study_position_and_study_version(
    analytics_database: Database, study_id: str
) -> None:
    notifications: list[str] = []
    listener = await asyncpg.connect(analytics_database.superuser_url)
    await listener.add_listener("quartal_projected", lambda *message: notifications.append(str(message[3])))
    async with analytics_database.system.acquire() as connection:
        writing = connection.transaction()
        await writing.start()
        await apply_events(connection, participant_stream(study_id).events)
        await listener.execute("select")
        assert notifications == []
        await writing.rollback()
    await project_messages(analytics_database.system, as_messages(participant_stream(study_id).events))
    await project_messages(analytics_database.system, as_messages(study_stream(study_id).events, 2))
    await listener.execute("select")
    await listener.close()
    assert notifications == [f"{study_id}:2:0", f"{study_id}:6:4"]


async def test_facts_applied_without_a_journal_stand_at_their_version(
    analytics_database: Database, study_id: str
) -> None:
    stream = corrected_participant_stream(study_id)
    await project_messages(analytics_database.system, as_messages(stream.events), apply_by_version)
    rows = await read_standing_facts(analytics_database.system, study_id)
    assert without_positions(rows) == await _expected_facts(analytics_database, [stream])
    assert await journal_rows(analytics_database.system, study_id) == []
