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

from shared.eventstore.memory_store import MemoryStore
from shared.eventstore.postgres_store import PostgresStore
from shared.eventstore.store import (
    AppendRequest,
    Conflict,
    IdempotencyKeyConflict,
    LoadedStream,
    SearchKeyConflict,
    Store,
    StreamHead,
    StreamVersionConflict,
    StudyVersionConflict,
)
from shared.postgres.tenancy import Tenant, open_pool
from shared.testing.append_requests import (
    RollbackRequested,
    append_and_roll_back,
    append_in_unit,
    build_append,
    build_outcome,
    comparable_event,
    load_stream,
)
from shared.testing.store_contract import StoreContract
from tests.conftest import Database

T = TypeVar("T")
CONNECTION_ERRORS = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""Errors that a cut connection raises."""
TIMEOUT_SECONDS = 30.0  # seconds until a promise counts as broken


class TestPostgresStore(StoreContract):
    @pytest.fixture
    def store(self, enrollment_database: Database) -> Store:
        return enrollment_database.store()


@pytest.fixture
async def store(enrollment_database: Database, study_id: str) -> PostgresStore:
    """A store in which the study is open."""
    store = enrollment_database.store()
    await append_in_unit(store, build_append(study_id, study_id))
    return store


async def start_blocked(attempt: Awaitable[T]) -> asyncio.Future[T]:
    """The attempt, which another transaction holds up."""
    task = asyncio.ensure_future(attempt)
    done, _ = await asyncio.wait([task], timeout=0.3)
    assert not done
    return task


async def wait_for(task: asyncio.Future[T]) -> T:
    return await asyncio.wait_for(task, TIMEOUT_SECONDS)


async def test_rolled_back_unit_leaves_no_row_in_any_table(
    enrollment_database: Database, store: PostgresStore, study_id: str
) -> None:
    proposal = build_append(
        study_id, "P", count=3, key="k", outcome=build_outcome("first"), data_key=b"wrapped", search_key=b"r"
    )
    before = await row_counts(enrollment_database, study_id)
    with pytest.raises(RollbackRequested):
        await append_and_roll_back(store, proposal)
    assert await row_counts(enrollment_database, study_id) == before
    await append_in_unit(store, proposal)
    after = await row_counts(enrollment_database, study_id)
    added = {table: after[table] - before[table] for table in after}
    assert added == {"streams": 1, "events": 3, "outbox": 3, "idempotency": 1, "data_keys": 1}


async def row_counts(database: Database, study_id: str) -> dict[str, int]:
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


async def test_every_event_has_an_outbox_row_in_version_order(
    enrollment_database: Database, store: PostgresStore, study_id: str
) -> None:
    await append_in_unit(store, build_append(study_id, "P", count=50))
    await append_in_unit(store, build_append(study_id, "P", 50, count=50))
    outbox_rows = await enrollment_database.system.fetch(
        """
        select o.version, o.seq = e.seq and o.xid = e.xid as same
          from outbox o join events e using (study_id, stream_id, version)
         where o.study_id = $1 and o.stream_id = 'P' order by o.seq
        """,
        study_id,
    )
    assert [tuple(row) for row in outbox_rows] == [(version, True) for version in range(1, 101)]


async def test_enrollment_decided_before_accrual_closed_is_not_recorded_after_it(
    store: PostgresStore, study_id: str
) -> None:
    async with store.unit(Tenant(study_id)) as closing_unit:
        await closing_unit.append(build_append(study_id, study_id, 1))
        pending_enrollment = await start_blocked(append_in_unit(store, build_append(study_id, "P", study_version=1)))
    with pytest.raises(StudyVersionConflict):
        await wait_for(pending_enrollment)
    assert (await load_stream(store, Tenant(study_id), "P")).head == StreamHead()


async def test_accrual_closes_after_an_enrollment_in_progress(store: PostgresStore, study_id: str) -> None:
    async with store.unit(Tenant(study_id)) as enrolling_unit:
        await enrolling_unit.append(build_append(study_id, "P", study_version=1))
        pending_closing = await start_blocked(append_in_unit(store, build_append(study_id, study_id, 1)))
    await wait_for(pending_closing)
    stream = await load_stream(store, Tenant(study_id), "P")
    assert (stream.study_version, stream.head.version) == (2, 1)


async def test_rolled_back_accrual_closing_blocks_no_enrollment(store: PostgresStore, study_id: str) -> None:
    closing_unit = store.unit(Tenant(study_id))
    await (await closing_unit.__aenter__()).append(build_append(study_id, study_id, 1))
    pending_enrollment = await start_blocked(append_in_unit(store, build_append(study_id, "P", study_version=1)))
    assert not await closing_unit.__aexit__(RollbackRequested, RollbackRequested(), None)
    await wait_for(pending_enrollment)


async def test_appends_to_different_participants_do_not_wait_for_each_other(
    store: PostgresStore, study_id: str
) -> None:
    async with asyncio.timeout(TIMEOUT_SECONDS), store.unit(Tenant(study_id)) as open_unit:
        await open_unit.append(build_append(study_id, "P"))
        await append_in_unit(store, build_append(study_id, "Q"))


async def test_appends_to_different_studies_do_not_wait_for_each_other(store: PostgresStore, study_id: str) -> None:
    async with asyncio.timeout(TIMEOUT_SECONDS), store.unit(Tenant(study_id)) as open_unit:
        await open_unit.append(build_append(study_id, study_id, 1))
        await append_in_unit(store, build_append(f"{study_id}-b", f"{study_id}-b"))


async def test_appends_waiting_for_their_study_do_not_block_other_studies(store: PostgresStore, study_id: str) -> None:
    other = f"{study_id}-b"
    await append_in_unit(store, build_append(other, other))
    async with store.unit(Tenant(study_id)) as open_unit:
        await open_unit.append(build_append(study_id, study_id, 1))
        blocked_appends = [
            await start_blocked(store.append(Tenant(study_id), build_append(study_id, name))) for name in ("P", "Q")
        ]
        await asyncio.wait_for(store.append(Tenant(other), build_append(other, "R")), TIMEOUT_SECONDS)
    for blocked_append in blocked_appends:
        with pytest.raises(StudyVersionConflict):
            await wait_for(blocked_append)


async def test_later_of_two_units_on_one_stream_gets_a_version_conflict(store: PostgresStore, study_id: str) -> None:
    await append_in_unit(store, build_append(study_id, "P"))
    for expected, stream_id in ((1, "P"), (0, "Q")):
        async with store.unit(Tenant(study_id)) as open_unit:
            await open_unit.append(build_append(study_id, stream_id, expected))
            blocked_append = await start_blocked(append_in_unit(store, build_append(study_id, stream_id, expected)))
        with pytest.raises(StreamVersionConflict):
            await wait_for(blocked_append)


async def test_later_of_two_units_with_one_key_gets_a_key_conflict_and_can_replay(
    store: PostgresStore, study_id: str
) -> None:
    async with store.unit(Tenant(study_id)) as open_unit:
        await open_unit.append(build_append(study_id, "P", key="k", key_site="S1", outcome=build_outcome("first")))
        request = build_append(study_id, "Q", key="k", key_site="S1", outcome=build_outcome("second"))
        blocked_append = await start_blocked(append_in_unit(store, request))
    with pytest.raises(IdempotencyKeyConflict):
        await wait_for(blocked_append)
    stream = await load_stream(store, Tenant(study_id), "Q", key="k", key_site="S1")
    assert (stream.head, stream.outcome) == (StreamHead(), build_outcome("first"))


STREAMS, SITES, KEYS = ("P", "Q", "R"), ("S1", "S2"), ("k", "l")


MACHINE_SETTINGS = settings(
    max_examples=20,
    stateful_step_count=15,
    deadline=None,
    database=None,
    phases=[Phase.generate],  # to shrink a failure takes minutes, and fifteen steps can be read
    suppress_health_check=list(HealthCheck),
)


class StoreComparison(RuleBasedStateMachine):
    """The same units on the store and on its twin in memory: same outcome, same refusal, same sight for everybody."""

    def __init__(self, loop: asyncio.AbstractEventLoop, real: Store) -> None:
        super().__init__()
        self._loop, self._postgres, self._memory = loop, real, MemoryStore("enrollment")
        self._study = f"study-{secrets.token_hex(6)}"
        self._used_keys: set[tuple[str, str | None]] = set()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(work)

    @initialize()
    def open_study(self) -> None:
        self._append_to_both(build_append(self._study, self._study), "*", undo=False)

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
    def append_to_participant(
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
        key = None if (stream_id, key) in self._used_keys else key
        stream = self._run(load_stream(self._memory, Tenant(self._study), stream_id))
        current_site = site if tenant == "*" else tenant
        proposal = build_append(
            self._study,
            stream_id,
            max(stream.head.version - behind, 0),
            count=count,
            site=current_site,
            study_version=stream.study_version - study_behind,
            search_key=search_key,
            key=key,
            key_site=current_site,
            outcome=build_outcome(f"{stream_id}{stream.head.version}") if key else None,
            data_key=b"wrapped" if stream.head.version == behind == 0 else None,
        )
        if self._append_to_both(proposal, tenant, undo=undo) is None:
            self._used_keys.add((stream_id, key))
        if study_behind:
            self._append_to_both(
                build_append(self._study, self._study, stream.study_version - behind % 2), "*", undo=undo
            )

    def _append_to_both(self, proposal: AppendRequest, tenant: str, *, undo: bool) -> type[Exception] | None:
        refusal = self._refusal_of(self._postgres, proposal, tenant, undo)
        assert refusal == self._refusal_of(self._memory, proposal, tenant, undo)
        return refusal

    def _refusal_of(self, store: Store, proposal: AppendRequest, tenant: str, undo: bool) -> type[Exception] | None:
        try:
            self._run(
                append_and_roll_back(store, proposal)
                if undo and tenant == "*"
                else append_in_unit(store, proposal, tenant)
            )
        except (Conflict, SearchKeyConflict, RollbackRequested) as refusal:
            return type(refusal)
        return None

    @invariant()
    def both_stores_read_the_same(self) -> None:
        assert self._run(read_everything(self._postgres, self._study)) == self._run(
            read_everything(self._memory, self._study)
        )


async def read_everything(store: Store, study_id: str) -> list[object]:
    """Events that the whole study and each site can replay, list and read."""
    results: list[object] = []
    for site in ("*", *SITES):
        async with store.unit(Tenant(study_id, site)) as unit:
            for stream_id in (study_id, *STREAMS):
                for key, at in (("k", "S1"), ("l", "S2")):
                    results.append(comparable(await unit.load_stream(stream_id, key=key, key_site=at)))
                results.append(await unit.data_key(stream_id))
            results.append(await unit.list_streams(site=None, status=None, search_key=None, after="", limit=9))
            results.append(
                [comparable_event(event) for event in await unit.list_events(sites=SITES, after=("", 0), limit=99)]
            )
    return results


def comparable(loaded_stream: LoadedStream) -> tuple[object, ...]:
    return (
        loaded_stream.study_version,
        loaded_stream.head,
        [comparable_event(event) for event in loaded_stream.events],
        loaded_stream.outcome,
    )


def test_postgres_and_memory_store_are_indistinguishable(databases: Mapping[str, str]) -> None:
    """The steps of the state machine are not coroutines, so it runs its own event loop."""
    loop = asyncio.new_event_loop()
    pool = loop.run_until_complete(open_pool(databases["QUARTAL_ENROLLMENT_APP_URL"], max_size=2))

    class BoundStoreComparison(StoreComparison):
        def __init__(self) -> None:
            super().__init__(loop, PostgresStore("enrollment", pool))

    try:
        run_state_machine_as_test(BoundStoreComparison, settings=MACHINE_SETTINGS)
    finally:
        loop.run_until_complete(pool.close())
        loop.close()


async def test_append_over_a_lost_connection_either_succeeds_or_fails_visibly(
    enrollment_database: Database, study_id: str
) -> None:
    name = f"cut-{secrets.token_hex(4)}"
    succeeded, failed = list[str](), list[str]()

    async def terminate_connections() -> None:
        connection = await asyncpg.connect(enrollment_database.superuser_url)
        while len(failed) < 5:
            await asyncio.sleep(0.01)
            await connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1", name
            )
        await connection.close()

    async def append_repeatedly(store: PostgresStore) -> None:
        while not terminator.done():
            stream_id = secrets.token_hex(8)
            try:
                await store.append(Tenant(study_id), build_append(study_id, stream_id))
            except CONNECTION_ERRORS:
                failed.append(stream_id)
            else:
                succeeded.append(stream_id)

    async with await open_pool(f"{enrollment_database.urls['app']}?application_name={name}", max_size=4) as pool:
        store = PostgresStore("enrollment", pool)
        await append_in_unit(store, build_append(study_id, study_id))
        terminator = asyncio.create_task(terminate_connections())
        await asyncio.wait_for(
            asyncio.gather(terminator, *(append_repeatedly(store) for _ in range(8))), TIMEOUT_SECONDS
        )
        for _ in range(4):  # a connection that was cut may lie in the pool still
            with suppress(*CONNECTION_ERRORS):
                await store.append(Tenant(study_id), build_append(study_id, secrets.token_hex(8)))
        await store.append(Tenant(study_id), build_append(study_id, "after"))
    for stream_id in (*succeeded, "after"):
        assert (await load_stream(enrollment_database.store(), Tenant(study_id), stream_id)).head.version == 1
