"""Numbered SQL files, applied once each, in order, by whoever comes first; a file that was changed since is refused."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import asyncpg

_LOCK = 7_265_941
_ROLE = re.compile(r"[a-z_][a-z0-9_]*")


class ChangedMigration(Exception):
    """A file that was applied once reads differently now."""


async def migrate(url: str, folders: Sequence[Path], roles: Mapping[str, str]) -> list[str]:
    """Apply what is new, all in one transaction; return the names of the files applied.

    `url` connects as the owner; `roles` fills `{app}` and `{system}` in. Several callers at once apply once.
    """
    if not all(_ROLE.fullmatch(role) for role in roles.values()):
        raise ValueError("a role is a plain lower-case name")
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
            await connection.execute(
                "create table if not exists migration (name text primary key, sha256 text not null)"
            )
            return [file.name for file in _files(folders) if await _apply(connection, file, roles)]
    finally:
        await connection.close()


def _files(folders: Sequence[Path]) -> list[Path]:
    return [file for folder in folders for file in sorted(folder.glob("*.sql"))]


async def _apply(connection: asyncpg.Connection, file: Path, roles: Mapping[str, str]) -> bool:
    text = await asyncio.to_thread(file.read_text, encoding="utf-8")
    name, digest = f"{file.parent.parent.name}/{file.name}", hashlib.sha256(text.encode()).hexdigest()
    applied = await connection.fetchval("select sha256 from migration where name = $1", name)
    if applied == digest:
        return False
    if applied is not None:
        raise ChangedMigration(f"{name} was changed after it was applied")
    for placeholder, role in roles.items():
        text = text.replace(f"{{{placeholder}}}", role)
    await connection.execute(text)
    await connection.execute("insert into migration values ($1, $2)", name, digest)
    return True
