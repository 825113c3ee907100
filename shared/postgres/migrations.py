"""Applies numbered SQL files in order, each once, and refuses a file that was changed after it was applied.

A database identifies a migration by the name of its part and the name of its file. The name of a part is fixed, so that
its folder may move.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncpg

_ADVISORY_LOCK_ID = 7_265_941
_ROLE_NAME = re.compile(r"[a-z_][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Migrations:
    """The numbered SQL files of a folder, and the name of the part, which databases store.

    `left_out`: names of files whose tables the database has from elsewhere.
    """

    part: str
    folder: Path
    left_out: frozenset[str] = frozenset()

    @property
    def files(self) -> list[Path]:
        return sorted(file for file in self.folder.glob("*.sql") if file.name not in self.left_out)


class ChangedMigration(Exception):
    """A migration file was changed after it was applied."""


async def migrate(url: str, parts: Iterable[Migrations], roles: Mapping[str, str]) -> list[str]:
    """Applies the new migrations in one transaction; returns the names of the files applied.

    `url` connects as the owner; `roles` replaces `{app}` and `{system}` in the files. Concurrent callers wait for each
    other. Raises ChangedMigration, and ValueError for a role that is not a plain lower-case name.
    """
    if not all(_ROLE_NAME.fullmatch(role) for role in roles.values()):
        raise ValueError("a role is a plain lower-case name")
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute("select pg_advisory_xact_lock($1)", _ADVISORY_LOCK_ID)
            await connection.execute(
                "create table if not exists migration (name text primary key, sha256 text not null)"
            )
            return [
                file.name
                for migrations in parts
                for file in migrations.files
                if await _apply(connection, f"{migrations.part}/{file.name}", file, roles)
            ]
    finally:
        await connection.close()


async def _apply(connection: asyncpg.Connection, name: str, file: Path, roles: Mapping[str, str]) -> bool:
    text = await asyncio.to_thread(file.read_text, encoding="utf-8")
    digest = hashlib.sha256(text.encode()).hexdigest()
    applied_digest = await connection.fetchval("select sha256 from migration where name = $1", name)
    if applied_digest == digest:
        return False
    if applied_digest is not None:
        raise ChangedMigration(f"{name} was changed after it was applied")
    for placeholder, role in roles.items():
        text = text.replace(f"{{{placeholder}}}", role)
    await connection.execute(text)
    await connection.execute("insert into migration values ($1, $2)", name, digest)
    return True
