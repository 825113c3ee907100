from __future__ import annotations

import json
import random
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.analytics.projection.journal import project, rebuild
from services.analytics.projection.reading import frontier, position_as_of, recorded_at
from shared.contracts.enrollment import Transferred
from shared.contracts.event import Event
from shared.inbox.facts import Standing, state_by_version
from shared.kernel.dates import PartialDate
from shared.kernel.fact import Fact
from shared.kernel.record import standing as record_of
from shared.security.tenancy import Tenant, transaction
from shared.testing import followup_facts as followup
from shared.testing import toxicity_facts as toxicity
from tests.conftest import Database, PostgresServer
from tests.integration.analytics import analytics_of_its_own, apply, facts, journal, lines, stands, without_positions
from tests.integration.stated import (
    Telling,
    arrived,
    corrected_participant,
    lesion,
    participant,
    screened,
    study,
    transferred,
)


@pytest.fixture(scope="module")
async def own(postgres: PostgresServer, databases: Mapping[str, str]) -> AsyncIterator[Database]:
    async with analytics_of_its_own(postgres) as database:
        yield database


def story(study_id: str) -> list[Telling]:
    """A study and four participants; of one, who moves to another site, all services tell."""
    moved = participant(study_id, lesion(), transferred("south"))
    effects, visits = (Telling(study_id, moved.stream_id, service) for service in ("toxicity", "followup"))
    wrong = effects.tell(toxicity.assessed(5, toxicity.finding()))
    effects.tell(toxicity.serious("A", 6))
    effects.correct(wrong, toxicity.assessed(7))
    visits.tell(followup.contact(40), followup.died(60))
    known = [corrected_participant(study_id), participant(study_id, lesion()), participant(study_id)]
    return [study(study_id), *known, moved, effects, visits]


def described(rows: list[Standing]) -> list[tuple[str, str]]:
    return [(row.type, row.data) for row in rows]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), cut=st.integers(1, 12), repeats=st.integers(0, 15))
async def test_every_interleaving_repetition_and_cut_leads_to_the_same_facts(
    own: Database, seed: int, cut: int, repeats: int
) -> None:
    study_id, chance = f"study-{secrets.token_hex(6)}", random.Random(seed)  # noqa: S311 - a seeded shuffle
    told = story(study_id)
    events = [event for telling in told for event in telling.events]
    shuffled = chance.sample(events, len(events)) + chance.choices(events, k=repeats)
    for start in range(0, len(shuffled), cut):
        await apply(own.system, arrived(shuffled[start : start + cut]))

    rows = await stands(own.system, study_id)
    assert without_positions(rows) == await _as_told_in_order(own, told)
    people = [each for each in told if each.service == "enrollment" and each.stream_id != study_id]
    assert await sites(own, study_id) == {each.stream_id: at_last(each) for each in people}
    positions = [row["position"] for row in await journal(own.system, study_id)]
    assert positions == list(range(1, len(events) + 1))
    assert {parked for _, parked in (await lines(own.system, study_id)).values()} == {None}


async def sites(own: Database, study_id: str) -> dict[str, str]:
    rows = await own.system.fetch("select subject, site_id from subject_site where study_id = $1", study_id)
    return {row["subject"]: row["site_id"] for row in rows if row["subject"] != study_id}


def at_last(telling: Telling) -> str:
    """The site of somebody by the transfers that stand."""
    moves = record_of(event.stated() for event in telling.events).all(Transferred)
    return moves[-1].fact.to_site if moves else "north"


async def _as_told_in_order(own: Database, told: list[Telling]) -> list[tuple[object, ...]]:
    """What the record mechanism of the write side makes of each stream, in the words of the stored rows."""
    known = {event.event_id: event for telling in told for event in telling.events}
    records = [record_of(event.stated() for event in telling.events) for telling in told]
    return sorted(
        [
            _row(known[stated.event_id], await _as_stored(own, stated.fact))
            for record in records
            for stated in record.stated
        ]
    )


def _row(event: Event, data: str) -> tuple[object, ...]:
    return event.event_id, event.type, event.stream_id, event.site_id, event.version, data


async def _as_stored(own: Database, fact: Fact) -> str:
    return str(await own.system.fetchval("select $1::jsonb::text", fact.model_dump_json()))


async def test_a_position_has_the_time_by_which_everything_up_to_it_was_recorded(
    analytics_database: Database, study_id: str
) -> None:
    reader, hours, ends = analytics_database.system, (10, 9, 11), []
    for hour in hours:
        when = datetime(2024, 5, 1, hour, tzinfo=UTC)
        told = [replace(event, recorded_at=when) for event in participant(study_id).events]
        await apply(reader, arrived(told))
        ends.append((await frontier(reader, study_id)).position)
    times = [await recorded_at(reader, study_id, position) for position in ends]
    assert [when.hour for when in times if when] == [10, 10, 11]
    assert (await frontier(reader, study_id)).recorded_at == times[-1]
    assert [await position_as_of(reader, study_id, when) for when in times if when] == [ends[1], ends[1], None]


async def test_a_correction_moves_voids_and_re_instates_and_the_past_stays_readable(
    analytics_database: Database, study_id: str
) -> None:
    telling = participant(study_id)
    told = telling.tell(lesion("L1"))
    telling.correct(told, lesion("L2"))
    telling.correct(told, None)
    telling.correct(told, lesion("L3"))
    await apply(analytics_database.system, arrived(telling.events))

    async def lesions(at: int | None = None) -> list[tuple[str, int, int]]:
        rows = await stands(analytics_database.system, study_id, at=at)
        found = [(row, row.stated(study_id).fact) for row in rows if row.type == "lesion.registered"]
        return [(getattr(fact, "lesion_id", ""), row.version, row.from_position) for row, fact in found]

    past = [await lesions(position) for position in range(2, 7)]
    assert past == [[], [("L1", 3, 3)], [("L2", 3, 4)], [], [("L3", 3, 6)]]
    assert await lesions() == [("L3", 3, 6)]
    rows = await facts(analytics_database.system, study_id)
    assert {row["event_id"] for row in rows if row["type"] == "lesion.registered"} == {told.event_id}
    assert {row["recorded_at"] for row in rows if row["type"] == "lesion.registered"} == {told.recorded_at}


async def test_a_rebuild_gives_every_row_as_it_was(own: Database) -> None:
    studies = [f"study-{secrets.token_hex(6)}" for _ in range(3)]
    for study_id in studies:
        events = [event for telling in story(study_id) for event in telling.events]
        for start in range(0, len(events), 7):
            await apply(own.system, arrived(events[start : start + 7]))
    before = [await facts(own.system, study_id) for study_id in studies]
    sites = await own.system.fetch("select * from subject_site order by study_id, subject")
    await rebuild(own.system)
    assert [await facts(own.system, study_id) for study_id in studies] == before
    assert await own.system.fetch("select * from subject_site order by study_id, subject") == sites


async def test_what_is_applied_after_a_rebuild_goes_on_where_it_was(own: Database) -> None:
    telling = corrected_participant(study_id := f"study-{secrets.token_hex(6)}")
    messages = arrived(telling.events)
    await apply(own.system, messages[:7])
    await rebuild(own.system)
    await apply(own.system, messages[7:])
    rows = await facts(own.system, study_id)
    await rebuild(own.system)
    assert await facts(own.system, study_id) == rows


def of_a_later_version(event: Event) -> Event:
    """The event as a later release writes it, in which a lesion has a volume."""
    said = event.content
    if replacement := said.get("replacement"):
        replacement["schema_version"] = 2
    (replacement["data"] if replacement else said)["volume_ml"] = 12
    return replace(event, schema_version=2, data=json.dumps(said))


async def test_what_a_later_release_says_is_applied_as_far_as_it_is_known_and_kept_as_it_came(own: Database) -> None:
    telling = participant(study_id := f"study-{secrets.token_hex(6)}")
    telling.correct(telling.tell(lesion("L1")), lesion("L2"))
    later = [of_a_later_version(event) for event in telling.events[2:]]
    await apply(own.system, arrived([*telling.events[:2], *later]))

    (row,) = [row for row in await stands(own.system, study_id) if row.type == "lesion.registered"]
    assert row.stated(study_id).fact == lesion("L2")
    assert (row.schema_version, json.loads(row.data)["volume_ml"]) == (2, 12)
    kept = [(entry["schema_version"], json.loads(entry["data"])) for entry in await journal(own.system, study_id)][2:]
    assert kept == [(2, event.content) for event in later]
    rows = await facts(own.system, study_id)
    await rebuild(own.system)
    assert await facts(own.system, study_id) == rows


async def test_a_correction_of_what_was_never_stated_parks_the_stream(
    analytics_database: Database, study_id: str
) -> None:
    telling, other = participant(study_id), participant(study_id)
    telling.correct(other.events[1], None)
    applied = await apply(analytics_database.system, arrived([*other.events, *telling.events]))
    assert [(each.subject, each.version, each.reason) for each in applied.parked] == [
        (telling.stream_id, 2, "no-such-event")
    ]
    assert len(await stands(analytics_database.system, study_id)) == 4


async def test_patients_rows_are_seen_where_the_patient_is_and_the_studys_everywhere(
    analytics_database: Database, study_id: str
) -> None:
    told, stayed, moved = study(study_id), participant(study_id), participant(study_id, transferred("south"))
    await apply(analytics_database.system, arrived([*told.events, *stayed.events, *moved.events]))

    async def subjects(site: str, which: str = study_id) -> set[str]:
        async with transaction(analytics_database.app, Tenant(which, site)) as connection:
            rows = await connection.fetch("select subject from fact")
            assert {row["subject"] for row in await connection.fetch("select subject from journal")} == {
                row["subject"] for row in rows
            }
        return {row["subject"] for row in rows}

    assert await subjects("north") == {study_id, stayed.stream_id}
    assert await subjects("south") == {study_id, moved.stream_id}
    assert await subjects("west") == {study_id}
    assert await subjects("") == {study_id}
    assert await subjects("*") == {study_id, stayed.stream_id, moved.stream_id}
    assert await subjects("*", f"{study_id}-other") == set()


async def test_the_present_site_follows_the_last_transfer_that_stands(
    analytics_database: Database, study_id: str
) -> None:
    telling = participant(study_id)
    steps: list[tuple[Event, str | None]] = [(telling.events[-1], "north")]
    south = telling.tell(transferred("south", "2024-03-31"))
    steps += [(south, "south"), (telling.tell(transferred("west", "2024-03")), "west")]
    steps += [(telling.tell(transferred("east", "2024-02")), "west")]
    steps += [(telling.correct(telling.events[3], None), "south"), (telling.correct(south, None), "east")]
    steps += [(telling.correct(telling.events[4], None), "north"), (telling.correct(telling.events[0], None), None)]
    steps += [(telling.correct(telling.events[0], screened("north")), "north")]
    await apply(analytics_database.system, arrived(telling.events[:2]))
    for (event, site), message in zip(steps, [None, *arrived(telling.events[2:])], strict=True):
        await apply(analytics_database.system, [message] if message else [])
        known = "select site_id from subject_site where subject = $1"
        assert await analytics_database.system.fetchval(known, telling.stream_id) == site, event.version


@pytest.mark.parametrize("stated", ["2024", "2024-02", "2023-02", "2024-12", "2024-02-29"])
async def test_the_database_and_the_kernel_agree_on_the_last_day_of_a_date(
    analytics_database: Database, stated: str
) -> None:
    assert await analytics_database.system.fetchval("select latest_day($1)", stated) == PartialDate.parse(stated).latest


async def test_whose_screening_is_not_here_yet_is_seen_by_no_single_site(
    analytics_database: Database, study_id: str
) -> None:
    telling = Telling(study_id)
    telling.tell(lesion())
    await apply(analytics_database.system, arrived(telling.events))
    assert await stands(analytics_database.app, study_id, site="north") == []
    assert len(await stands(analytics_database.app, study_id)) == 1


@pytest.mark.parametrize("role", ["app", "system"])
async def test_the_journal_is_never_changed(analytics_database: Database, study_id: str, role: str) -> None:
    await apply(analytics_database.system, arrived(participant(study_id).events))
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


async def test_who_listens_is_told_study_position_and_version_of_the_study_with_the_commit(
    analytics_database: Database, study_id: str
) -> None:
    heard: list[str] = []
    listener = await asyncpg.connect(analytics_database.superuser_url)
    await listener.add_listener("quartal_live", lambda *message: heard.append(str(message[3])))
    async with analytics_database.system.acquire() as connection:
        writing = connection.transaction()
        await writing.start()
        await project(connection, participant(study_id).events)  # type: ignore[arg-type] # the pool's proxy
        await listener.execute("select")
        assert heard == []
        await writing.rollback()
    await apply(analytics_database.system, arrived(participant(study_id).events))
    await apply(analytics_database.system, arrived(study(study_id).events, 2))
    await listener.execute("select")
    await listener.close()
    assert heard == [f"{study_id}:2:0", f"{study_id}:6:4"]


async def test_without_a_journal_a_fact_stands_at_its_version(analytics_database: Database, study_id: str) -> None:
    telling = corrected_participant(study_id)
    await apply(analytics_database.system, arrived(telling.events), state_by_version)
    rows = await stands(analytics_database.system, study_id)
    assert without_positions(rows) == await _as_told_in_order(analytics_database, [telling])
    assert await journal(analytics_database.system, study_id) == []
