from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from shared.eventstore.memory import MemoryStore
from shared.eventstore.store import (
    Append,
    Head,
    KeyTaken,
    Moved,
    PostgresStore,
    Recalled,
    SearchKeyTaken,
    Store,
    StreamMoved,
    StudyMoved,
)
from shared.security.tenancy import Tenant, open_pool
from shared.testing.appends import Undone, answered, append, keep, keep_and_undo, seen, shown
from shared.testing.store_contract import StoreContract
from tests.conftest import Database

T = TypeVar("T")
CUT = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""How it shows that a connection was cut."""
PATIENCE = 30.0  # seconds until a promise counts as broken


class TestPostgresStore(StoreContract):
    @pytest.fixture
    def store(self, enrollment_database: Database) -> Store:
        return enrollment_database.store()


@pytest.fixture
async def store(enrollment_database: Database, study_id: str) -> PostgresStore:
    """A store in which the study is open."""
    store = enrollment_database.store()
    await keep(store, append(study_id, study_id))
    return store


async def waits(attempt: Awaitable[T]) -> asyncio.Future[T]:
    """The attempt, which another transaction holds up."""
    task = asyncio.ensure_future(attempt)
    done, _ = await asyncio.wait([task], timeout=0.3)
    assert not done
    return task


async def outcome(task: asyncio.Future[T]) -> T:
    return await asyncio.wait_for(task, PATIENCE)


async def test_an_undone_unit_leaves_no_row_in_any_table(
    enrollment_database: Database, store: PostgresStore, study_id: str
) -> None:
    proposal = append(study_id, "P", count=3, key="k", outcome=answered("first"), data_key=b"wrapped", search_key=b"r")
    before = await rows(enrollment_database, study_id)
    with pytest.raises(Undone):
        await keep_and_undo(store, proposal)
    assert await rows(enrollment_database, study_id) == before
    await keep(store, proposal)
    after = await rows(enrollment_database, study_id)
    added = {table: after[table] - before[table] for table in after}
    assert added == {"streams": 1, "events": 3, "outbox": 3, "idempotency": 1, "data_keys": 1}


async def rows(database: Database, study_id: str) -> dict[str, int]:
    """Rows of the study by table; read by the role that sees them."""
    counts = await database.system.fetchrow(
        """
        select (select count(*) from streams where study_id = $1) as streams,
               (select count(*) from events where study_id = $1) as events,
               (select count(*) from outbox where study_id = $1) as outbox,
               (select count(*) from idempotency where study_id = $1) as idempotency
        """,
        study_id,
    )
    assert counts
    async with database.app.acquire() as connection, connection.transaction():
        await connection.execute(
            "select set_config('quartal.study', $1, true), set_config('quartal.site', '*', true)", study_id
        )
        keys = await connection.fetchval("select count(*) from data_keys")
    return {**dict(counts), "data_keys": keys}


async def test_every_event_has_its_outbox_row_in_the_order_of_versions(
    enrollment_database: Database, store: PostgresStore, study_id: str
) -> None:
    await keep(store, append(study_id, "P", count=50))
    await keep(store, append(study_id, "P", 50, count=50))
    found = await enrollment_database.system.fetch(
        """
        select o.version, o.seq = e.seq and o.xid = e.xid as same
          from outbox o join events e using (study_id, stream_id, version)
         where o.study_id = $1 and o.stream_id = 'P' order by o.seq
        """,
        study_id,
    )
    assert [tuple(row) for row in found] == [(version, True) for version in range(1, 101)]


async def test_an_enrolment_that_was_decided_before_accrual_closed_cannot_land_after_it(
    store: PostgresStore, study_id: str
) -> None:
    async with store.unit(Tenant(study_id)) as closing:
        await closing.append(append(study_id, study_id, 1))
        enrolment = await waits(keep(store, append(study_id, "P", study_version=1)))
    with pytest.raises(StudyMoved):
        await outcome(enrolment)
    assert (await seen(store, Tenant(study_id), "P")).head == Head()


async def test_accrual_closes_after_an_enrolment_that_is_under_way(store: PostgresStore, study_id: str) -> None:
    async with store.unit(Tenant(study_id)) as enrolling:
        await enrolling.append(append(study_id, "P", study_version=1))
        closing = await waits(keep(store, append(study_id, study_id, 1)))
    await outcome(closing)
    recalled = await seen(store, Tenant(study_id), "P")
    assert (recalled.study_version, recalled.head.version) == (2, 1)


async def test_an_undone_closing_of_accrual_refuses_nobody(store: PostgresStore, study_id: str) -> None:
    closing = store.unit(Tenant(study_id))
    await (await closing.__aenter__()).append(append(study_id, study_id, 1))
    enrolment = await waits(keep(store, append(study_id, "P", study_version=1)))
    assert not await closing.__aexit__(Undone, Undone(), None)
    await outcome(enrolment)


async def test_participants_of_a_study_do_not_wait_for_each_other(store: PostgresStore, study_id: str) -> None:
    async with asyncio.timeout(PATIENCE), store.unit(Tenant(study_id)) as first:
        await first.append(append(study_id, "P"))
        await keep(store, append(study_id, "Q"))


async def test_studies_do_not_wait_for_each_other(store: PostgresStore, study_id: str) -> None:
    async with asyncio.timeout(PATIENCE), store.unit(Tenant(study_id)) as first:
        await first.append(append(study_id, study_id, 1))
        await keep(store, append(f"{study_id}-b", f"{study_id}-b"))


async def test_appends_that_wait_for_their_study_hold_up_no_other_study(store: PostgresStore, study_id: str) -> None:
    other = f"{study_id}-b"
    await keep(store, append(other, other))
    async with store.unit(Tenant(study_id)) as first:
        await first.append(append(study_id, study_id, 1))
        held = [await waits(store.append(Tenant(study_id), append(study_id, name))) for name in ("P", "Q")]
        await asyncio.wait_for(store.append(Tenant(other), append(other, "R")), PATIENCE)
    for each in held:
        with pytest.raises(StudyMoved):
            await outcome(each)


async def test_the_later_of_two_open_units_on_one_stream_is_told_that_it_moved(
    store: PostgresStore, study_id: str
) -> None:
    await keep(store, append(study_id, "P"))
    for expected, stream_id in ((1, "P"), (0, "Q")):
        async with store.unit(Tenant(study_id)) as first:
            await first.append(append(study_id, stream_id, expected))
            later = await waits(keep(store, append(study_id, stream_id, expected)))
        with pytest.raises(StreamMoved):
            await outcome(later)


async def test_the_later_of_two_open_units_with_one_key_is_told_and_recalls_the_outcome(
    store: PostgresStore, study_id: str
) -> None:
    async with store.unit(Tenant(study_id)) as first:
        await first.append(append(study_id, "P", key="k", key_site="S1", outcome=answered("first")))
        request = append(study_id, "Q", key="k", key_site="S1", outcome=answered("second"))
        later = await waits(keep(store, request))
    with pytest.raises(KeyTaken):
        await outcome(later)
    recalled = await seen(store, Tenant(study_id), "Q", key="k", key_site="S1")
    assert (recalled.head, recalled.outcome) == (Head(), answered("first"))


STREAMS, SITES, KEYS = ("P", "Q", "R"), ("S1", "S2"), ("k", "l")


BOUNDED = settings(
    max_examples=20,
    stateful_step_count=15,
    deadline=None,
    database=None,
    phases=[Phase.generate],  # to shrink a failure takes minutes, and fifteen steps can be read
    suppress_health_check=list(HealthCheck),
)


class Twins(RuleBasedStateMachine):
    """The same units on the store and on its twin in memory: same outcome, same refusal, same sight for everybody."""

    def __init__(self, loop: asyncio.AbstractEventLoop, real: Store) -> None:
        super().__init__()
        self._loop, self._real, self._twin = loop, real, MemoryStore("enrollment")
        self._study = f"study-{secrets.token_hex(6)}"
        self._keyed: set[tuple[str, str | None]] = set()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(work)

    @initialize()
    def open_the_study(self) -> None:
        self._both(append(self._study, self._study), "*", undo=False)

    @rule(
        stream_id=st.sampled_from(STREAMS),
        behind=st.sampled_from((0, 0, 0, 0, 1, -1)),
        study_behind=st.sampled_from((0, 0, 0, 0, 0, 1)),
        count=st.integers(1, 2),
        site=st.sampled_from(SITES),
        tenant=st.sampled_from(("*", *SITES)),
        search_key=st.sampled_from((None, None, b"r")),
        key=st.sampled_from((None, None, None, *KEYS)),
        undo=st.sampled_from((False, False, False, True)),
    )
    def append_to_a_participant(
        self,
        stream_id: str,
        behind: int,
        study_behind: int,
        count: int,
        site: str,
        tenant: str,
        search_key: bytes | None,
        key: str | None,
        undo: bool,
    ) -> None:
        """A site appends to what it has or could have; `*` moves participants between sites too.

        A key that served in the stream is not used there again: who recalls first, as one must, has its outcome.
        """
        key = None if (stream_id, key) in self._keyed else key
        known = self._run(seen(self._twin, Tenant(self._study), stream_id))
        own = site if tenant == "*" else tenant
        proposal = append(
            self._study, stream_id, max(known.head.version - behind, 0), count=count, site=own,
            study_version=known.study_version - study_behind, search_key=search_key, key=key, key_site=own,
            outcome=answered(f"{stream_id}{known.head.version}") if key else None,
            data_key=b"wrapped" if known.head.version == behind == 0 else None,
        )  # fmt: skip
        if self._both(proposal, tenant, undo=undo) is None:
            self._keyed.add((stream_id, key))
        if study_behind:
            self._both(append(self._study, self._study, known.study_version - behind % 2), "*", undo=undo)

    def _both(self, proposal: Append, tenant: str, *, undo: bool) -> type[Exception] | None:
        told = self._told(self._real, proposal, tenant, undo)
        assert told == self._told(self._twin, proposal, tenant, undo)
        return told

    def _told(self, store: Store, proposal: Append, tenant: str, undo: bool) -> type[Exception] | None:
        try:
            self._run(keep_and_undo(store, proposal) if undo and tenant == "*" else keep(store, proposal, tenant))
        except (Moved, SearchKeyTaken, Undone) as told:
            return type(told)
        return None

    @invariant()
    def everybody_sees_the_same(self) -> None:
        assert self._run(everything(self._real, self._study)) == self._run(everything(self._twin, self._study))


async def everything(store: Store, study_id: str) -> list[object]:
    """What the whole study and each site can recall, list and read."""
    found: list[object] = []
    for site in ("*", *SITES):
        async with store.unit(Tenant(study_id, site)) as unit:
            for stream_id in (study_id, *STREAMS):
                for key, at in (("k", "S1"), ("l", "S2")):
                    found.append(comparable(await unit.recall(stream_id, key=key, key_site=at)))
                found.append(await unit.data_key(stream_id))
            found.append(await unit.listing(site=None, status=None, search_key=None, after="", limit=9))
            found.append([shown(each) for each in await unit.feed(sites=SITES, after=("", 0), limit=99)])
    return found


def comparable(recalled: Recalled) -> tuple[object, ...]:
    return recalled.study_version, recalled.head, [shown(each) for each in recalled.events], recalled.outcome


def test_the_store_and_its_twin_in_memory_cannot_be_told_apart(databases: Mapping[str, str]) -> None:
    """On a loop of its own: the machine's steps are not coroutines, and the tests' loop stands still meanwhile."""
    loop = asyncio.new_event_loop()
    pool = loop.run_until_complete(open_pool(databases["QUARTAL_ENROLLMENT_APP_URL"], largest=2))

    class OnThisLoop(Twins):
        def __init__(self) -> None:
            super().__init__(loop, PostgresStore("enrollment", pool))

    try:
        run_state_machine_as_test(OnThisLoop, settings=BOUNDED)
    finally:
        loop.run_until_complete(pool.close())
        loop.close()


async def test_when_connections_are_cut_every_append_is_kept_or_told_so_and_those_after_go_on(
    enrollment_database: Database, study_id: str
) -> None:
    name = f"cut-{secrets.token_hex(4)}"
    kept, lost = list[str](), list[str]()

    async def cut() -> None:
        connection = await asyncpg.connect(enrollment_database.superuser_url)
        while len(lost) < 5:
            await asyncio.sleep(0.01)
            await connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1", name
            )
        await connection.close()

    async def append_on(store: PostgresStore) -> None:
        while not cutting.done():
            stream_id = secrets.token_hex(8)
            try:
                await store.append(Tenant(study_id), append(study_id, stream_id))
            except CUT:
                lost.append(stream_id)
            else:
                kept.append(stream_id)

    async with await open_pool(f"{enrollment_database.urls['app']}?application_name={name}", largest=4) as pool:
        store = PostgresStore("enrollment", pool)
        await keep(store, append(study_id, study_id))
        cutting = asyncio.create_task(cut())
        await asyncio.wait_for(asyncio.gather(cutting, *(append_on(store) for _ in range(8))), PATIENCE)
        for _ in range(4):  # a connection that was cut may lie in the pool still
            with suppress(*CUT):
                await store.append(Tenant(study_id), append(study_id, secrets.token_hex(8)))
        await store.append(Tenant(study_id), append(study_id, "after"))
    for stream_id in (*kept, "after"):
        assert (await seen(enrollment_database.store(), Tenant(study_id), stream_id)).head.version == 1
