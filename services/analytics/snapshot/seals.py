"""Reads seals: the stored bytes of figures at named data cuts, which no later fact and no software changes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

import asyncpg

from shared.postgres.named_queries import load_queries
from shared.postgres.tenancy import EVERY_SITE, Tenant, transaction

SQL = load_queries(Path(__file__).with_name("seals.sql"))
SealStage = Literal["figures", "documents"]
"""The stages of sealing a data cut: first its figures, then the documents that repeat them."""


@dataclass(frozen=True, slots=True)
class SealScope:
    """The members who see the same sealed bytes: of the whole study, of one site, or readers.

    `name`: in the database. `site_id`: the site whose participants the figures count; None: those of all sites.
    """

    name: str
    site_id: str | None = None

    @classmethod
    def from_name(cls, name: str) -> SealScope:
        """Returns the scope that has this name in the database."""
        prefix, _, site_id = name.partition(":")
        return cls(name, site_id if prefix == "site" else None)


STUDY_SCOPE, READERS_SCOPE = SealScope("study"), SealScope("readers")


def site_scope(site_id: str) -> SealScope:
    """Returns the scope of members of one site."""
    return SealScope(f"site:{site_id}", site_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class CutSeal:
    """The seal of a named data cut.

    `position`: that at which the cut was applied. `sealed_later`: the cut was taken under a version that did not seal.
    `digest`: SHA-256, in hexadecimal, over the version of every stream at the position and the digests of all events
    up to it. `excluded`: the participants who are in none of its figures. `software`: the version that computed them.
    """

    name: str
    cut_on: date
    position: int
    sealed_later: bool
    digest: str
    excluded: frozenset[str]
    software: str
    sealed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedFile:
    """A file of a figure as it was sealed.

    `file_name_parts`: the parts of its name in a download. `participant_rows`: rows about single participants.
    """

    content: bytes
    sha256: bytes
    file_name_parts: tuple[str, ...]
    participant_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedDocument:
    """A document of a data cut as one scope gets it. `size` in bytes; `sha256` in hexadecimal.

    `sealed_later`: it was added to the seal by a later version, `software`, at `sealed_at`.
    """

    name: str
    size: int
    sha256: str
    participant_rows: int
    sealed_later: bool
    software: str
    sealed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SealProgress:
    """The progress of sealing a data cut: `done` of `total` files of a stage are made, as of `updated_at`."""

    stage: SealStage
    done: int
    total: int
    updated_at: datetime

    @property
    def words(self) -> str:
        """The numbers for people, such as `12 of 57 files`."""
        return f"{self.done} of {self.total} files"


class Seals:
    """Reads seals. `app_pool` reads files under row-level security, `system_pool` the seals themselves."""

    def __init__(self, app_pool: asyncpg.Pool[Any], system_pool: asyncpg.Pool[Any]) -> None:
        self._app_pool, self._system_pool = app_pool, system_pool

    async def all(self, study_id: str) -> list[CutSeal]:
        """Returns the seals of a study in the order in which the data cuts were taken."""
        return [_seal_of_row(row) for row in await self._system_pool.fetch(SQL["seals"], study_id)]

    async def seal(self, study_id: str, name: str) -> CutSeal | None:
        """Returns the seal of a data cut; None while it is not sealed."""
        row = await self._system_pool.fetchrow(SQL["seal"], study_id, name)
        return _seal_of_row(row) if row else None

    async def file(
        self, study_id: str, name: str, scope: SealScope, figure: str, file_format: str
    ) -> SealedFile | None:
        """Returns a sealed file; None for a scope or a figure that was not sealed with the data cut."""
        async with transaction(self._app_pool, Tenant(study_id, scope.site_id or EVERY_SITE)) as connection:
            row = await connection.fetchrow(SQL["sealed_file"], study_id, name, scope.name, figure, file_format)
        if row is None:
            return None
        return SealedFile(
            content=row["content"],
            sha256=row["sha256"],
            file_name_parts=tuple(row["file_name_parts"]),
            participant_rows=row["participant_rows"],
        )

    async def progress(self, study_id: str) -> dict[str, SealProgress]:
        """Returns how far the sealings of data cuts are that are under way, by the name of the cut."""
        rows = await self._system_pool.fetch(SQL["seal_progress"], study_id)
        return {
            row["name"]: SealProgress(
                stage=row["stage"], done=row["done"], total=row["total"], updated_at=row["updated_at"]
            )
            for row in rows
        }

    async def made_documents(self, study_id: str, name: str) -> frozenset[str]:
        """Returns the names of the documents that a data cut has for some scope, or for none."""
        rows = await self._system_pool.fetch(SQL["made_documents"], study_id, name)
        return frozenset(row["document"] for row in rows)

    async def documents(self, study_id: str, name: str, scope: SealScope) -> list[SealedDocument]:
        """Returns the documents of a data cut for a scope, by name."""
        rows = await self._system_pool.fetch(SQL["documents"], study_id, name, scope.name)
        return [SealedDocument(**row) for row in rows]

    async def document_content(self, study_id: str, name: str, scope: SealScope, document: str) -> bytes | None:
        """Returns the bytes of a document; None for a scope that has no such document at the data cut."""
        async with transaction(self._app_pool, Tenant(study_id, scope.site_id or EVERY_SITE)) as connection:
            content: bytes | None = await connection.fetchval(
                SQL["document_content"], study_id, name, scope.name, document
            )
        return content


def _seal_of_row(row: asyncpg.Record) -> CutSeal:
    return CutSeal(**{**row, "excluded": frozenset(row["excluded"])})
