"""What a service knows of the participants that enrollment registers, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence

import pytest

from shared.contracts.event import Event
from shared.eventstore.migrate import migrate
from shared.eventstore.store import Head, PostgresStore, StreamMoved, StudyMoved
from shared.inbox.facts import state_by_version
from shared.inbox.registry.effect import register
from shared.inbox.registry.reading import participant as read_participant
from shared.kernel.ids import new_participant_id
from shared.kernel.record import Record
from shared.outbox.confirmation import confirm
from shared.security.tenancy import Tenant
from shared.testing.appends import keep, seen
from shared.testing.elsewhere_contract import ElsewhereContract, Tell, published, stating
from shared.testing.facts import correction, enrolled, opened, protocol, screened, site_activated, transferred
from tests.conftest import MIGRATIONS, Database, PostgresServer, Somewhere, on_server, roles_of
from tests.conftest import opened as opened_database
from tests.integration.analytics import apply
from tests.integration.stated import arrived
from tests.integration.stated import participant as told_participant
from tests.integration.stated import study as told_study


@pytest.fixture(scope="session")
async def followup_database(postgres: PostgresServer, databases: Mapping[str, str]) -> AsyncIterator[Database]:
    async with opened_database(postgres, "quartal_followup", "followup") as database:
        yield database


@pytest.fixture
def store(followup_database: Database) -> PostgresStore:
    return PostgresStore("followup", followup_database.app, elsewhere=read_participant)


@pytest.fixture
def tell(followup_database: Database) -> Tell:
    async def tell(events: Sequence[Event]) -> None:
        async with followup_database.system.acquire() as connection, connection.transaction():
            await register(connection, events)  # type: ignore[arg-type] # the pool's proxy

    return tell


class TestPostgresStore(ElsewhereContract):
    """The fixtures `store` and `tell` of this module."""


@pytest.fixture
async def participant(tell: Tell, study_id: str) -> str:
    await tell(published(study_id, study_id, [opened(protocol()), site_activated("rome")]))
    participant = new_participant_id()
    await tell(published(study_id, participant, [screened(), enrolled()]))
    return participant


async def test_who_has_no_site_yet_is_not_known(store: PostgresStore, tell: Tell, study_id: str) -> None:
    participant = new_participant_id()
    await tell(published(study_id, participant, [enrolled()]))
    assert not (await seen(store, Tenant(study_id), participant)).head.is_there
    await tell(published(study_id, participant, [screened()], 2))
    assert (await seen(store, Tenant(study_id, "rome"), participant)).head.known == 2


async def test_who_was_screened_by_mistake_keeps_the_facts_and_the_site(
    store: PostgresStore, tell: Tell, participant: str, study_id: str
) -> None:
    await keep(store, stating(study_id, participant, 0, 2), "rome")
    known = (await seen(store, Tenant(study_id), participant)).elsewhere
    assert known
    await tell(published(study_id, participant, [correction(known.stated[0].event_id, None)], 3))
    recalled = await seen(store, Tenant(study_id, "rome"), participant)
    assert (recalled.head.version, recalled.head.known, recalled.head.site_id) == (1, 3, "rome")
    assert recalled.elsewhere == Record()


@pytest.mark.parametrize("attempt", range(10))
async def test_a_first_fact_and_a_transfer_at_one_moment_leave_the_stream_where_the_participant_is(
    store: PostgresStore, tell: Tell, participant: str, study_id: str, attempt: int
) -> None:
    async def states() -> bool:
        try:
            await store.append(Tenant(study_id, "rome"), stating(study_id, participant, 0, 2))
        except StreamMoved:
            return False
        return True

    kept, _ = await asyncio.gather(states(), tell(published(study_id, participant, [transferred("milan")], 3)))
    head = (await seen(store, Tenant(study_id), participant)).head
    assert (head.version, head.site_id, head.known) == (int(kept), "milan", 3)


async def test_many_facts_while_the_study_and_its_people_move_end_well(
    store: PostgresStore, tell: Tell, participant: str, study_id: str
) -> None:
    """No deadlock, and every fact is decided by what was known when it was kept."""

    async def moves() -> None:
        for version in range(3, 13):
            await tell(published(study_id, study_id, [site_activated(f"site-{version}")], version))
            await tell(published(study_id, participant, [enrolled(version)], version))

    async def states() -> int:
        kept = 0
        for _ in range(30):
            recalled = await seen(store, Tenant(study_id, "rome"), participant)
            proposal = stating(
                study_id, participant, recalled.head.version, recalled.head.known, study_version=recalled.study_version
            )
            try:
                await store.append(Tenant(study_id, "rome"), proposal)
                kept += 1
            except (StreamMoved, StudyMoved):
                continue
        return kept

    _, *kept = await asyncio.gather(moves(), states(), states(), states())
    assert (await seen(store, Tenant(study_id), participant)).head.version == sum(kept)


async def test_what_was_taken_in_before_there_was_a_registry_is_known_by_it(
    postgres: PostgresServer, databases: Mapping[str, str], study_id: str
) -> None:
    name = f"test_{secrets.token_hex(6)}"
    await on_server(postgres, f"create database {name} owner quartal_followup_owner template template0")
    try:
        await on_server(
            Somewhere(server=postgres.url(name)), "alter schema public owner to quartal_followup_owner", name
        )
        async with opened_database(postgres, name, "followup") as database:
            *earlier, _ = MIGRATIONS["followup"]
            await migrate(database.url, earlier, roles_of("followup"))
            told = [told_study(study_id), told_participant(study_id)]
            await apply(database.system, arrived([event for each in told for event in each.events]), state_by_version)
            await migrate(database.url, MIGRATIONS["followup"], roles_of("followup"))
            await confirm(database.system)
            store = PostgresStore("followup", database.app, elsewhere=read_participant)
            recalled = await seen(store, Tenant(study_id, "north"), told[1].stream_id)
        assert (recalled.study_version, recalled.head) == (4, Head(0, "north", known=2))
    finally:
        await on_server(postgres, f"drop database {name} with (force)")
