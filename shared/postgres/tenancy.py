"""Transactions under row-level security: the only access of a service to its database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from shared.postgres.row_mapping import use_standard_uuids

EVERY_SITE = "*"


PooledConnection: TypeAlias = "asyncpg.Connection[Any] | PoolConnectionProxy[Any]"


@dataclass(frozen=True, slots=True)
class Tenant:
    """A study, and one site of it or every site ('*')."""

    study_id: str
    site_id: str = EVERY_SITE


class UnsafeRole(Exception):
    """The role could bypass row-level security: the service refuses to start."""


class EventKeyMismatch(Exception):
    """The database was used with another key for event ids: the service refuses to start."""


async def _skip_reset(_: asyncpg.Connection[Any]) -> None:
    """Resets nothing between users of a connection: settings and locks are local to a transaction."""


async def open_pool(url: str, *, min_size: int = 1, max_size: int = 10) -> asyncpg.Pool[Any]:
    """Connects to a database: UTC, schema `public`, `uuid` columns as `uuid.UUID`."""
    return await asyncpg.create_pool(
        url,
        min_size=min_size,
        max_size=max_size,
        init=use_standard_uuids,
        reset=_skip_reset,
        server_settings={"search_path": "public", "timezone": "UTC"},
    )


async def require_safe_role(pool: asyncpg.Pool[Any]) -> None:
    """Raises UnsafeRole when the role is a superuser, bypasses row-level security, or owns a table."""
    is_unsafe = await pool.fetchval(
        "select rolsuper or rolbypassrls or exists (select from pg_class where relowner = pg_roles.oid)"
        " from pg_roles where rolname = current_user"
    )
    if is_unsafe is not False:
        raise UnsafeRole("the application's database role is a superuser, bypasses row-level security, or owns tables")


async def require_event_key(pool: asyncpg.Pool[Any], key_id: bytes) -> None:
    """Stores the key's id in the database at the first start. Raises EventKeyMismatch if another id is stored."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("insert into event_key (key_id) values ($1) on conflict do nothing", key_id)
        stored_key_id = await connection.fetchval("select key_id from event_key")
    if stored_key_id != key_id:
        raise EventKeyMismatch("QUARTAL_EVENT_KEY names another key than the one that this database was used with")


@asynccontextmanager
async def transaction(pool: asyncpg.Pool[Any], tenant: Tenant) -> AsyncIterator[PooledConnection]:
    """Opens a transaction as the tenant; commits on exit, rolls back on an exception. Outside, no row is visible."""
    async with pool.acquire() as connection, connection.transaction():
        await set_tenant(connection, tenant)
        yield connection


class TenantSnapshot:
    """One state of the database, which several tenants read one after another, as often as they like."""

    def __init__(self, connection: PooledConnection, tenants: Sequence[Tenant]) -> None:
        self._connection, self._tenants = connection, tenants

    async def __aiter__(self) -> AsyncIterator[PooledConnection]:
        """Yields the connection as each tenant in turn."""
        async for _, connection in self.by_tenant():
            yield connection

    async def by_tenant(self) -> AsyncIterator[tuple[Tenant, PooledConnection]]:
        """Yields each tenant with the connection, which reads as this tenant until the next one."""
        for tenant in self._tenants:
            await set_tenant(self._connection, tenant)
            yield tenant, self._connection


@asynccontextmanager
async def open_snapshot(pool: asyncpg.Pool[Any], tenants: Sequence[Tenant]) -> AsyncIterator[TenantSnapshot]:
    """Opens a transaction that only reads. Nothing that is committed meanwhile moves a row from tenant to tenant."""
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        yield TenantSnapshot(connection, tenants)


async def set_tenant(connection: PooledConnection, tenant: Tenant) -> None:
    """Makes the rest of the transaction see what the tenant may see."""
    await connection.execute(
        "select set_config('quartal.study', $1, true), set_config('quartal.site', $2, true)",
        tenant.study_id,
        tenant.site_id,
    )
