from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from infra.local.postgres import LocalPostgres
from infra.postgres.roles import ROLES, RoleTooPrivileged, ensure_databases
from tests.integration.support.servers import query_value

PASSWORDS = {role: f"p/:@% {role}" for role in ROLES}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    with LocalPostgres(tmp_path_factory.mktemp("shared"), fast=True) as server:
        yield server


async def test_databases_and_roles_can_be_ensured_repeatedly_and_concurrently(server: LocalPostgres) -> None:
    first, *repeated = await asyncio.gather(*(ensure_databases(server.url(), PASSWORDS) for _ in range(3)))
    assert repeated == [first, first]
    assert len(first) == 12
    for setting, url in first.items():
        service = re.fullmatch(r"QUARTAL_(\w+)_(OWNER|APP|SYSTEM)_URL", setting)
        assert service
        assert await query_value(url, "select current_database()") == f"quartal_{service[1].lower()}"


async def test_only_owners_can_create_and_read_tables(server: LocalPostgres) -> None:
    urls = await ensure_databases(server.url(), PASSWORDS)
    await query_value(urls["QUARTAL_TOXICITY_OWNER_URL"], "create table own (n int)", "select count(*) from own")
    for purpose in ("APP", "SYSTEM"):
        url = urls[f"QUARTAL_TOXICITY_{purpose}_URL"]
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await query_value(url, "create table other (n int)")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await query_value(url, "select n from own")


async def test_only_the_role_that_rebuilds_analytics_can_create_temporary_tables(server: LocalPostgres) -> None:
    urls = await ensure_databases(server.url(), PASSWORDS)
    allowed = "select has_database_privilege(current_database(), 'temporary')"
    purposes = [setting for setting, url in urls.items() if "OWNER" not in setting and await query_value(url, allowed)]
    assert purposes == ["QUARTAL_ANALYTICS_SYSTEM_URL"]


async def test_no_role_can_connect_to_the_database_of_another_service(server: LocalPostgres) -> None:
    urls = await ensure_databases(server.url(), PASSWORDS)
    for setting, url in urls.items():
        foreign = "quartal_toxicity" if "TOXICITY" not in setting else "quartal_followup"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await query_value(url.rpartition("/")[0] + f"/{foreign}", "select 7")


async def test_role_that_bypasses_row_level_security_is_rejected(server: LocalPostgres) -> None:
    await ensure_databases(server.url(), PASSWORDS)
    await query_value(server.url(), "alter role quartal_followup_app bypassrls", "select 7")
    try:
        with pytest.raises(RoleTooPrivileged, match="quartal_followup_app"):
            await ensure_databases(server.url(), PASSWORDS)
    finally:
        await query_value(server.url(), "alter role quartal_followup_app nobypassrls", "select 7")


async def test_databases_can_be_created_by_a_role_that_is_no_superuser(tmp_path: Path) -> None:
    with LocalPostgres(tmp_path, fast=True) as server:
        await query_value(server.url(), "create role boss login createdb createrole password 'boss'", "select 7")
        admin_url = server.url(user="boss", password="boss")
        await ensure_databases(admin_url, PASSWORDS)
        urls = await ensure_databases(admin_url, PASSWORDS)
        assert await query_value(urls["QUARTAL_ANALYTICS_OWNER_URL"], "create table own (n int)", "select 7") == 7
