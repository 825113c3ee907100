"""Access that row-level security of the database refuses, independent of the program."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from services.analytics.app import create_app as analytics
from services.enrollment.app import create_app as enrollment
from services.followup.app import create_app as followup
from services.toxicity.app import create_app as toxicity
from shared.eventstore.store import IdempotentResult
from shared.postgres.statements import compose_statement
from shared.postgres.tenancy import PooledConnection, Tenant, UnsafeRole, open_pool, require_safe_role, transaction
from shared.settings import Settings
from shared.testing.append_requests import append_in_unit, build_append
from tests.conftest import Database, PostgresServer

APP_FACTORIES = {"enrollment": enrollment, "toxicity": toxicity, "followup": followup, "analytics": analytics}
TENANT_TABLES = ("streams", "events", "idempotency", "data_keys")
FORBIDDEN_CHANGES = (
    "update events set data = '{}' where study_id = $1",
    "update events set version = version where study_id = $1",
    "delete from events where study_id = $1",
)


@pytest.fixture
async def study(enrollment_database: Database, study_id: str) -> str:
    """A study with a participant at each of two sites."""
    store = enrollment_database.store()
    await append_in_unit(store, build_append(study_id, study_id))
    for number, site in enumerate(("S1", "S2")):
        outcome = IdempotentResult(b"fingerprint", {})
        key = f"k{number}"
        proposal = build_append(
            study_id, f"P{number}", site=site, data_key=b"wrapped", key=key, key_site=site, outcome=outcome
        )
        await append_in_unit(store, proposal)
    return study_id


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def count_rows(connection: PooledConnection, table: str) -> int:
    return int(await connection.fetchval(compose_statement("select count(*) from {table}", table=table)))


async def test_every_table_has_row_level_security_enabled_and_forced(databases: Mapping[str, str]) -> None:
    owners = [url for name, url in databases.items() if name.endswith("_OWNER_URL")]
    assert len(owners) == 4
    for url in owners:
        async with connect(url) as connection:
            tables = await connection.fetch("""
                select relname, relrowsecurity, relforcerowsecurity from pg_class
                 where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace and relname <> 'migration'
            """)
        assert tables
        unguarded = [row["relname"] for row in tables if not (row["relrowsecurity"] and row["relforcerowsecurity"])]
        assert unguarded == [], urlsplit(url).path


async def test_only_the_owner_may_read_the_list_of_migrations(databases: Mapping[str, str]) -> None:
    for name, url in databases.items():
        if not name.endswith("_OWNER_URL"):
            async with connect(url) as connection:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.fetch("select from migration")


@pytest.mark.parametrize("table", TENANT_TABLES)
async def test_no_rows_are_visible_without_a_tenant(enrollment_database: Database, study: str, table: str) -> None:
    async with connect(enrollment_database.urls["app"]) as connection:
        count_before = await count_rows(connection, table)
        async with connection.transaction():
            await connection.execute("select set_config('quartal.study', $1, true)", study)
            await connection.execute("select set_config('quartal.site', '*', true)")
            count_within = await count_rows(connection, table)
        count_after = await count_rows(connection, table)
    assert (count_before, count_within > 0, count_after) == (0, True, 0)


@pytest.mark.parametrize("tenant", [("", "*"), ("*", "*"), ("%", "*"), ("' or true --", "*")])
async def test_wildcard_or_injected_study_shows_no_rows(
    enrollment_database: Database, study: str, tenant: tuple[str, str]
) -> None:
    async with transaction(enrollment_database.app, Tenant(*tenant)) as connection:
        for table in TENANT_TABLES:
            assert await count_rows(connection, table) == 0


@pytest.mark.parametrize(("site", "expected"), [("S1", ["P0"]), ("S2", ["P1"]), ("*", ["P0", "P1"]), ("", [])])
async def test_site_sees_only_its_own_participants(
    enrollment_database: Database, study: str, site: str, expected: list[str]
) -> None:
    async with transaction(enrollment_database.app, Tenant(study, site)) as connection:
        for table in TENANT_TABLES:
            query = compose_statement("select stream_id from {table} where stream_id <> $1 order by 1", table=table)
            assert [row["stream_id"] for row in await connection.fetch(query, study)] == expected, table


async def test_application_role_cannot_write_for_another_study(enrollment_database: Database, study: str) -> None:
    for statement in (
        "insert into streams values ('other', 'P', 1)",
        "insert into outbox values (-7, '5', 0, 'other', 'P', 1)",
        "insert into idempotency values ('other', 'k', '*', 'P', '', '{}', now())",
        "insert into data_keys values ('other', 'P', '')",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await execute_as_tenant(enrollment_database, Tenant(study), statement)


async def execute_as_tenant(database: Database, tenant: Tenant, statement: str, *arguments: object) -> str:
    async with transaction(database.app, tenant) as connection:
        return await connection.execute(statement, *arguments)


@pytest.mark.parametrize("change", [*FORBIDDEN_CHANGES, "truncate events"])
async def test_application_role_cannot_change_an_event(enrollment_database: Database, study: str, change: str) -> None:
    arguments = [study] if "$1" in change else []
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
        await execute_as_tenant(enrollment_database, Tenant(study), change, *arguments)


@pytest.mark.parametrize("change", [*FORBIDDEN_CHANGES, "truncate events"])
async def test_system_role_cannot_change_an_event(enrollment_database: Database, study: str, change: str) -> None:
    arguments = [study] if "$1" in change else []
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
        await enrollment_database.system.execute(change, *arguments)


@pytest.mark.parametrize("change", [*FORBIDDEN_CHANGES, "truncate events"])
async def test_owner_cannot_change_an_event(enrollment_database: Database, study: str, change: str) -> None:
    """Row-level security hides the rows from the owner; with a policy of its own the triggers still refuse."""
    arguments = [study] if "$1" in change else []
    async with connect(enrollment_database.urls["owner"]) as connection:
        changing = connection.transaction()
        await changing.start()
        try:
            await connection.execute("create policy everything on events to current_user using (true)")
            assert await connection.fetchval("select count(*) from events where study_id = $1", study) == 3
            with pytest.raises(asyncpg.PostgresError, match="never changed") as refusal:
                await connection.execute(change, *arguments)
        finally:
            await changing.rollback()
    assert refusal.value.sqlstate == "QR000"


async def test_owner_sees_no_participant_rows(enrollment_database: Database, study: str) -> None:
    async with connect(enrollment_database.urls["owner"]) as connection:
        for table in (*TENANT_TABLES, "outbox"):
            assert await count_rows(connection, table) == 0


@pytest.mark.parametrize("statement", ["select from outbox", "delete from outbox", "select done from relay_cursor"])
async def test_application_role_cannot_access_relay_tables(
    enrollment_database: Database, study: str, statement: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await execute_as_tenant(enrollment_database, Tenant(study), statement)


async def test_system_role_sees_every_study(enrollment_database: Database, study: str) -> None:
    event_count = await enrollment_database.system.fetchval("select count(*) from events where study_id = $1", study)
    assert event_count == 3


async def test_application_roles_are_accepted_as_safe(databases: Mapping[str, str]) -> None:
    for name, url in databases.items():
        if name.endswith("_APP_URL"):
            async with await open_pool(url) as pool:
                await require_safe_role(pool)


@pytest.mark.parametrize("right", ["superuser", "bypassrls"])
async def test_role_that_bypasses_row_level_security_is_rejected(
    postgres: PostgresServer, enrollment_database: Database, right: str
) -> None:
    role = f"test_{right}"
    async with connect(postgres.url("quartal_enrollment")) as connection:
        await connection.execute(f"create role {role} login {right} password 'p'")
        await connection.execute(f"grant connect on database quartal_enrollment to {role}")
        try:
            await assert_refused(url_as(enrollment_database.urls["owner"], role, "p"))
        finally:
            await connection.execute(f"revoke connect on database quartal_enrollment from {role}; drop role {role}")


async def test_role_that_owns_tables_is_rejected(enrollment_database: Database) -> None:
    await assert_refused(enrollment_database.urls["owner"])


@pytest.mark.parametrize("service", APP_FACTORIES)
async def test_service_does_not_start_with_a_role_that_bypasses_row_level_security(
    postgres: PostgresServer, databases: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, service: str
) -> None:
    for name, url in databases.items():
        monkeypatch.setenv(name, postgres.url(f"quartal_{service}") if name.endswith("_APP_URL") else url)
    app = APP_FACTORIES[service](Settings())
    with pytest.raises(UnsafeRole):
        async with app.router.lifespan_context(app):
            pass


async def assert_refused(url: str) -> None:
    async with await open_pool(url) as pool:
        with pytest.raises(UnsafeRole):
            await require_safe_role(pool)


def url_as(url: str, role: str, password: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{role}:{password}@{parts.netloc.rpartition('@')[2]}").geturl()
