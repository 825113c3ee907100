from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from infra.postgres.roles import database_url
from shared.postgres.migrations import ChangedMigration, Migrations, migrate
from tests.conftest import (
    MIGRATIONS,
    PASSWORDS,
    PostgresServer,
    execute_as_superuser,
    runtime_roles,
)

ROLES = {"app": "quartal_enrollment_app", "system": "quartal_enrollment_system"}
APPLIED_ANYWHERE = {
    "eventstore/0001_event_store.sql",
    "eventstore/0002_known_elsewhere.sql",
    "eventstore/0003_export_log.sql",
    "eventstore/0004_append_cheaply.sql",
    "eventstore/0005_keyed_hashes.sql",
    "eventstore/0006_read_log.sql",
    "eventstore/0007_feed.sql",
    "eventstore/0008_confirmation.sql",
    "eventstore/0009_recorded_by.sql",
    "inbox/0001_facts.sql",
    "inbox/0002_inbox.sql",
    "inbox/0003_watch.sql",
    "inbox/0004_known_on.sql",
    "registry/0004_registry.sql",
    "projection/0001_journal.sql",
    "projection/0002_fact_of_subject.sql",
    "projection/0003_by_time.sql",
    "projection/0004_read_log.sql",
    "projection/0005_known_on.sql",
}


@pytest.fixture
async def owner_url(postgres: PostgresServer, databases: object) -> AsyncIterator[str]:
    """The owner's, of a database that is still empty."""
    name = f"test_{secrets.token_hex(6)}"
    await execute_as_superuser(postgres, f"create database {name} owner quartal_enrollment_owner template template0")
    role = "quartal_enrollment_owner"
    yield database_url(postgres.url(), name, role, PASSWORDS[role])
    await execute_as_superuser(postgres, f"drop database {name} with (force)")


@pytest.fixture
def part(tmp_path: Path) -> Migrations:
    """One migration, that makes a table and gives it to the application."""
    folder = tmp_path / "part" / "migrations"
    folder.mkdir(parents=True)
    (folder / "0001_first.sql").write_text("create table first (n int);\ngrant select on first to {app};\n")
    return Migrations("part", folder)


async def fetch_rows(owner_url: str, query: str) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(owner_url)
    try:
        return [tuple(row) for row in await connection.fetch(query)]
    finally:
        await connection.close()


async def test_a_migration_is_applied_once(owner_url: str, part: Migrations) -> None:
    assert await migrate(owner_url, [part], ROLES) == ["0001_first.sql"]
    assert await migrate(owner_url, [part], ROLES) == []
    (part.folder / "0002_second.sql").write_text("alter table first add m int;")
    assert await migrate(owner_url, [part], ROLES) == ["0002_second.sql"]


async def test_concurrent_migrations_apply_each_file_once(owner_url: str, part: Migrations) -> None:
    applied = await asyncio.gather(*(migrate(owner_url, [part], ROLES) for _ in range(4)))
    assert sorted(applied) == [[], [], [], ["0001_first.sql"]]


async def test_migration_changed_after_application_is_rejected(owner_url: str, part: Migrations) -> None:
    await migrate(owner_url, [part], ROLES)
    (part.folder / "0001_first.sql").write_text("create table first (n bigint);")
    with pytest.raises(ChangedMigration):
        await migrate(owner_url, [part], ROLES)


async def test_failing_migration_rolls_back_those_before_it(owner_url: str, part: Migrations) -> None:
    (part.folder / "0002_second.sql").write_text("create table second (n int); select 1 / 0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(owner_url, [part], ROLES)
    assert (
        await fetch_rows(owner_url, "select relname from pg_class where relname in ('first', 'second', 'migration')")
        == []
    )


async def test_migration_grants_rights_to_the_named_roles(owner_url: str, part: Migrations) -> None:
    await migrate(owner_url, [part], ROLES)
    query = """
        select grantee, privilege_type from information_schema.role_table_grants
         where table_name = 'first' and grantee <> current_user
    """
    assert await fetch_rows(owner_url, query) == [("quartal_enrollment_app", "SELECT")]


@pytest.mark.parametrize("role", ["", "x; drop table first", 'a"b', "Upper", "public, postgres"])
async def test_role_name_that_is_not_plain_is_rejected(owner_url: str, part: Migrations, role: str) -> None:
    with pytest.raises(ValueError, match="plain lower-case name"):
        await migrate(owner_url, [part], {**ROLES, "app": role})


@pytest.mark.parametrize("service", MIGRATIONS)
async def test_migrations_of_every_service_apply_to_an_empty_database_once(owner_url: str, service: str) -> None:
    """Roles are the server's, not the database's: any service's may be named."""
    applied = await migrate(owner_url, MIGRATIONS[service], runtime_roles(service))
    assert applied == [file.name for part in MIGRATIONS[service] for file in part.files]
    assert applied != []
    assert await migrate(owner_url, MIGRATIONS[service], runtime_roles(service)) == []


def test_migrations_keep_the_names_under_which_databases_know_them() -> None:
    """A database would apply a migration again whose part has another name."""
    names = {f"{part.part}/{file.name}" for parts in MIGRATIONS.values() for part in parts for file in part.files}
    assert names >= APPLIED_ANYWHERE
