"""Makes the four databases and their twelve login roles on a server.

Each database has three roles: `_owner` owns it and migrates, `_app` and `_system` may connect and get their rights
object by object from the migrations. No role is a superuser or bypasses row-level security.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from collections.abc import Mapping
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from shared.settings import SERVICES

PURPOSES = ("owner", "app", "system")
DATABASES = tuple(f"quartal_{service}" for service in SERVICES)
ROLES = tuple(f"{database}_{purpose}" for database in DATABASES for purpose in PURPOSES)
_REBUILT_DATABASE = "quartal_analytics"
"""The database whose tables are computed again in temporary tables (`quartal rebuild`)."""
URL_SETTINGS = {role: f"{role}_url".upper() for role in ROLES}  # each role's URL: QUARTAL_ENROLLMENT_OWNER_URL …
_ADVISORY_LOCK_ID = 0x5155415254414C  # advisory lock: "QUARTAL"
_SCRAM_ITERATIONS = 4096  # PostgreSQL's own default for scram-sha-256
_ROLES_QUERY = """
    select rolname, rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication as mighty
    from pg_roles where rolname = any($1)
"""


class RoleTooPrivileged(RuntimeError):
    """A role of Quartal exists with rights that would defeat row-level security; nothing was changed."""


async def ensure_databases(server: str, passwords: Mapping[str, str]) -> dict[str, str]:
    """Makes or complete databases and roles; safe to repeat, also from several processes at once.

    `server` is the URL of a superuser (or of a role with CREATEDB and CREATEROLE) at any database of the server;
    `passwords` has one for each of ROLES. Returns URLs by the names of their settings: `QUARTAL_ENROLLMENT_OWNER_URL` …
    Raises RoleTooPrivileged.
    """
    connection = await asyncpg.connect(server)
    try:
        await connection.execute("select pg_advisory_lock($1)", _ADVISORY_LOCK_ID)
        await _ensure_roles(connection, passwords)
        for database in DATABASES:
            await _ensure_database(connection, database)
        for database in DATABASES:
            await _restrict_schema_to_owner(database_url(server, database), database)
    finally:
        await connection.close()
    return role_urls(server, passwords)


def role_urls(server: str, passwords: Mapping[str, str]) -> dict[str, str]:
    """Returns the URL of each role at its database, by the name of its setting."""
    databases = {role: role.rpartition("_")[0] for role in ROLES}
    return {URL_SETTINGS[role]: database_url(server, databases[role], role, passwords[role]) for role in ROLES}


def database_url(server: str, database: str, role: str | None = None, password: str = "") -> str:
    """Returns the URL `server` with another database and, if given, another role; host, port and options stay."""
    parts = urlsplit(server)
    address = parts.netloc.rpartition("@")[2]
    credentials = (
        parts.netloc.rpartition("@")[0] if role is None else f"{quote(role, safe='')}:{quote(password, safe='')}"
    )
    return urlunsplit(parts._replace(netloc=f"{credentials}@{address}", path=f"/{database}"))


def scram_verifier(password: str) -> str:
    """Returns the verifier that PostgreSQL stores (RFC 5803), so that no statement and no log has the password."""
    if not password.isascii() or not password:
        raise ValueError("a role's password must be plain ASCII and not empty")
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _SCRAM_ITERATIONS)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    salt_text, stored_text, server_text = (base64.b64encode(part).decode() for part in (salt, stored_key, server_key))
    return f"SCRAM-SHA-256${_SCRAM_ITERATIONS}:{salt_text}${stored_text}:{server_text}"


async def _ensure_roles(connection: asyncpg.Connection, passwords: Mapping[str, str]) -> None:
    rows = await connection.fetch(_ROLES_QUERY, ROLES)
    if privileged := [row["rolname"] for row in rows if row["mighty"]]:
        raise RoleTooPrivileged(f"These roles have rights they must not have: {', '.join(sorted(privileged))}.")
    existing = {row["rolname"] for row in rows}
    for role in ROLES:
        verb = "alter" if role in existing else "create"
        await connection.execute(f"{verb} role {role} login password '{scram_verifier(passwords[role])}'")


async def _ensure_database(connection: asyncpg.Connection, database: str) -> None:
    if not await connection.fetchval("select rolsuper from pg_roles where rolname = current_user"):
        await connection.execute(
            f"grant {database}_owner to current_user"
        )  # creating a database for another owner needs membership
    if not await connection.fetchval("select true from pg_database where datname = $1", database):
        await connection.execute(
            f"create database {database} owner {database}_owner template template0 encoding 'UTF8'"
        )
    await connection.execute(f"""
        revoke all on database {database} from public;
        grant connect on database {database} to {database}_app, {database}_system;
    """)
    if database == _REBUILT_DATABASE:
        await connection.execute(f"grant temporary on database {database} to {database}_system")


async def _restrict_schema_to_owner(url: str, database: str) -> None:
    """Allows only the owner to create objects in schema public; the other roles may use it."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"""
            alter schema public owner to {database}_owner;
            revoke all on schema public from public;
            grant usage on schema public to {database}_app, {database}_system;
        """)
    finally:
        await connection.close()
