"""The log of reads: a line for every read of rows about single participants, and for every page of an export.

Nobody changes it afterwards. A line is kept before the answer is sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from shared.security.tenancy import Tenant, transaction

_NOTE_READ = """
insert into read_log (study_id, read_by, what, site_id, participant_id, row_count, address)
values ($1, $2, $3, $4, $5, $6, $7)
"""
_READS = """
select place, read_by, read_at, what, site_id, participant_id, row_count, address
  from read_log where study_id = $1 and place > $2 order by place limit $3
"""
_NOTE = """
insert into export_log (study_id, export_id, what, exported_by, exported_at, site_id, after_row, row_count)
values ($1, $2, $3, $4, $5, $6, $7, $8)
"""
_EXPORTS = """
select export_id, what, exported_by, site_id, min(exported_at) as begun_at, max(exported_at) as ended_at,
       count(*) as pages, sum(row_count) as rows, min(place) as place
  from export_log where study_id = $1
 group by export_id, what, exported_by, site_id having min(place) > $2
 order by min(place) limit $3
"""


@dataclass(frozen=True, slots=True)
class Read:
    """One read: `what` of a study, restricted to a site or a participant (None: to neither), and how many rows."""

    study_id: str
    what: str
    rows: int
    site_id: str | None = None
    participant_id: str | None = None


@dataclass(frozen=True, slots=True)
class LoggedRead:
    """A read as the log has it. `place` orders reads; the time is in UTC; `address` is the client's."""

    place: int
    by: str
    at: datetime
    address: str
    read: Read


async def note_read(pool: asyncpg.Pool[Any], read: Read, by: str, address: str) -> None:
    """Keep a read; the caller answers only afterwards."""
    async with transaction(pool, Tenant(read.study_id)) as connection:
        await connection.execute(
            _NOTE_READ, read.study_id, by, read.what, read.site_id, read.participant_id, read.rows, address
        )


async def reads(pool: asyncpg.Pool[Any], study_id: str, *, after: int, limit: int) -> Sequence[LoggedRead]:
    """Return the reads of a study in the order in which they were answered."""
    async with transaction(pool, Tenant(study_id)) as connection:
        rows = await connection.fetch(_READS, study_id, after, limit)
    return [
        LoggedRead(
            row["place"], row["read_by"], row["read_at"], row["address"],
            Read(study_id, row["what"], row["row_count"], row["site_id"], row["participant_id"]),
        )
        for row in rows
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Page:
    """A page of what was exported: `what`, by whom, of which site (None: of all that the caller sees), from where."""

    export_id: UUID
    what: str
    by: str
    at: datetime
    site_id: str | None
    after: str
    rows: int


@dataclass(frozen=True, slots=True)
class Exported:
    """One export as a whole. `place` orders exports; times are in UTC."""

    place: int
    export_id: UUID
    what: str
    by: str
    site_id: str | None
    begun_at: datetime
    ended_at: datetime
    pages: int
    rows: int


async def note_export(pool: asyncpg.Pool[Any], study_id: str, page: Page) -> None:
    """Kept when it returns: whoever answers with the page does so afterwards."""
    async with transaction(pool, Tenant(study_id)) as connection:
        await connection.execute(
            _NOTE, study_id, page.export_id, page.what, page.by, page.at, page.site_id, page.after, page.rows
        )


async def exports(pool: asyncpg.Pool[Any], study_id: str, *, after: int, limit: int) -> Sequence[Exported]:
    """The exports of a study, in the order in which they began."""
    async with transaction(pool, Tenant(study_id)) as connection:
        rows = await connection.fetch(_EXPORTS, study_id, after, limit)
    return [
        Exported(
            row["place"], UUID(int=row["export_id"].int), row["what"], row["exported_by"], row["site_id"],
            row["begun_at"], row["ended_at"], row["pages"], row["rows"],
        )
        for row in rows
    ]  # fmt: skip
