"""The replica of enrollment's studies and participants in another service, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence

import pytest

from shared.contracts.event import Event
from shared.eventstore.postgres_store import PostgresStore
from shared.eventstore.store import StreamHead, StreamVersionConflict, StudyVersionConflict
from shared.inbox.participant_registry.projector import apply_enrollment_events
from shared.inbox.participant_registry.repository import load_participant as read_participant
from shared.inbox.standing_facts import apply_by_version
from shared.kernel.ids import new_participant_id
from shared.kernel.record import Record
from shared.outbox.confirmation import confirm_database
from shared.postgres.migrations import migrate
from shared.postgres.tenancy import Tenant
from shared.testing.append_requests import append_in_unit, load_stream
from shared.testing.builders.events import enrollment_events
from shared.testing.builders.facts import (
    correction,
    participant_enrolled,
    participant_screened,
    participant_transferred,
    protocol,
    site_activated,
    study_opened,
)
from shared.testing.builders.messages import as_messages
from shared.testing.builders.participant_history import participant_stream as told_participant
from shared.testing.builders.participant_history import study_stream as told_study
from shared.testing.foreign_participant_contract import ForeignParticipantContract, Replicate, append_of_one_fact
from tests.conftest import MIGRATIONS, Database, PostgresServer, ServerAddress, execute_as_superuser, runtime_roles
from tests.conftest import open_database as opened_database
from tests.integration.support.analytics_database import project_messages


@pytest.fixture(scope="session")
async def followup_database(postgres: PostgresServer, databases: Mapping[str, str]) -> AsyncIterator[Database]:
    async with opened_database(postgres, "quartal_followup", "followup") as database:
        yield database


@pytest.fixture
def store(followup_database: Database) -> PostgresStore:
    return PostgresStore("followup", followup_database.app, foreign_facts_reader=read_participant)


@pytest.fixture
def replicate(followup_database: Database) -> Replicate:
    async def replicate(events: Sequence[Event]) -> None:
        async with followup_database.system.acquire() as connection, connection.transaction():
            await apply_enrollment_events(connection, events)

    return replicate


class TestPostgresForeignFacts(ForeignParticipantContract):
    """The fixtures `store` and `replicate` of this module."""


@pytest.fixture
async def participant(replicate: Replicate, study_id: str) -> str:
    await replicate(enrollment_events(study_id, study_id, [study_opened(protocol()), site_activated("rome")]))
    participant_number = new_participant_id()
    await replicate(enrollment_events(study_id, participant_number, [participant_screened(), participant_enrolled()]))
    return participant_number


async def test_participant_without_a_screening_is_unknown(
    store: PostgresStore, replicate: Replicate, study_id: str
) -> None:
    participant = new_participant_id()
    await replicate(enrollment_events(study_id, participant, [participant_enrolled()]))
    assert not (await load_stream(store, Tenant(study_id), participant)).head.exists
    await replicate(enrollment_events(study_id, participant, [participant_screened()], 2))
    assert (await load_stream(store, Tenant(study_id, "rome"), participant)).head.enrollment_version == 2


async def test_voided_screening_keeps_the_participants_site_and_own_facts(
    store: PostgresStore, replicate: Replicate, participant: str, study_id: str
) -> None:
    await append_in_unit(store, append_of_one_fact(study_id, participant, 0, 2), "rome")
    foreign_facts = (await load_stream(store, Tenant(study_id), participant)).foreign_facts
    assert foreign_facts
    await replicate(
        enrollment_events(study_id, participant, [correction(foreign_facts.stated_facts[0].event_id, None)], 3)
    )
    stream = await load_stream(store, Tenant(study_id, "rome"), participant)
    assert (stream.head.version, stream.head.enrollment_version, stream.head.site_id) == (1, 3, "rome")
    assert stream.foreign_facts == Record()


@pytest.mark.parametrize("attempt", range(10))
async def test_concurrent_first_fact_and_transfer_leave_the_stream_at_the_current_site(
    store: PostgresStore, replicate: Replicate, participant: str, study_id: str, attempt: int
) -> None:
    async def try_append() -> bool:
        try:
            await store.append(Tenant(study_id, "rome"), append_of_one_fact(study_id, participant, 0, 2))
        except StreamVersionConflict:
            return False
        return True

    appended, _ = await asyncio.gather(
        try_append(), replicate(enrollment_events(study_id, participant, [participant_transferred("milan")], 3))
    )
    head = (await load_stream(store, Tenant(study_id), participant)).head
    assert (head.version, head.site_id, head.enrollment_version) == (int(appended), "milan", 3)


async def test_concurrent_facts_and_registry_updates_neither_deadlock_nor_lose_an_append(
    store: PostgresStore, replicate: Replicate, participant: str, study_id: str
) -> None:
    """Every fact is decided by the state of the registry at its append."""

    async def update_registry() -> None:
        for version in range(3, 13):
            await replicate(enrollment_events(study_id, study_id, [site_activated(f"site-{version}")], version))
            await replicate(enrollment_events(study_id, participant, [participant_enrolled(version)], version))

    async def append_repeatedly() -> int:
        append_count = 0
        for _ in range(30):
            stream = await load_stream(store, Tenant(study_id, "rome"), participant)
            proposal = append_of_one_fact(
                study_id,
                participant,
                stream.head.version,
                stream.head.enrollment_version,
                study_version=stream.study_version,
            )
            try:
                await store.append(Tenant(study_id, "rome"), proposal)
                append_count += 1
            except (StreamVersionConflict, StudyVersionConflict):
                continue
        return append_count

    _, *append_counts = await asyncio.gather(
        update_registry(), append_repeatedly(), append_repeatedly(), append_repeatedly()
    )
    assert (await load_stream(store, Tenant(study_id), participant)).head.version == sum(append_counts)


async def test_registry_migration_covers_events_applied_before_it(
    postgres: PostgresServer, databases: Mapping[str, str], study_id: str
) -> None:
    name = f"test_{secrets.token_hex(6)}"
    await execute_as_superuser(postgres, f"create database {name} owner quartal_followup_owner template template0")
    try:
        await execute_as_superuser(
            ServerAddress(server=postgres.url(name)), "alter schema public owner to quartal_followup_owner", name
        )
        async with opened_database(postgres, name, "followup") as database:
            *earlier, _ = MIGRATIONS["followup"]
            await migrate(database.url, earlier, runtime_roles("followup"))
            streams = [told_study(study_id), told_participant(study_id)]
            await project_messages(
                database.system, as_messages([event for stream in streams for event in stream.events]), apply_by_version
            )
            await migrate(database.url, MIGRATIONS["followup"], runtime_roles("followup"))
            await confirm_database(database.system)
            store = PostgresStore("followup", database.app, foreign_facts_reader=read_participant)
            stream = await load_stream(store, Tenant(study_id, "rome"), streams[1].stream_id)
        assert (stream.study_version, stream.head) == (4, StreamHead(0, "rome", enrollment_version=2))
    finally:
        await execute_as_superuser(postgres, f"drop database {name} with (force)")
