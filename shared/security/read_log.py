"""The log of reads and the log of exports: an entry for every read of participants' rows, and for every page exported.

An entry is committed before the response is sent, and no role of the services can change it afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from shared.postgres.tenancy import Tenant, transaction

_INSERT_READ = """
insert into read_log (study_id, read_by, what, site_id, participant_id, row_count, address)
values ($1, $2, $3, $4, $5, $6, $7)
"""
_SELECT_READS = """
select place as position, read_by, read_at, what as resource, site_id, participant_id, row_count as rows, address
  from read_log where study_id = $1 and place > $2 order by place limit $3
"""
_INSERT_EXPORT_PAGE = """
insert into export_log (study_id, export_id, what, exported_by, exported_at, site_id, after_row, row_count)
values ($1, $2, $3, $4, $5, $6, $7, $8)
"""
_SELECT_EXPORTS = """
select export_id, what as resource, exported_by, site_id, min(exported_at) as begun_at, max(exported_at) as ended_at,
       count(*) as pages, sum(row_count) as rows, min(place) as position
  from export_log where study_id = $1
 group by export_id, what, exported_by, site_id having min(place) > $2
 order by min(place) limit $3
"""


@dataclass(frozen=True, slots=True)
class ReadAccess:
    """One read of a resource of a study, possibly restricted to a site or a participant, and the number of rows."""

    study_id: str
    resource: str
    rows: int
    site_id: str | None = None
    participant_id: str | None = None


@dataclass(frozen=True, slots=True)
class ReadLogEntry:
    """An entry of the log of reads. `position` orders entries; times are in UTC; `address` is the client's."""

    position: int
    read_by: str
    read_at: datetime
    address: str
    read: ReadAccess


async def log_read(pool: asyncpg.Pool[Any], read: ReadAccess, read_by: str, address: str) -> None:
    """Commits an entry for a read; the response must be sent afterwards."""
    async with transaction(pool, Tenant(read.study_id)) as connection:
        await connection.execute(
            _INSERT_READ, read.study_id, read_by, read.resource, read.site_id, read.participant_id, read.rows, address
        )


async def list_reads(pool: asyncpg.Pool[Any], study_id: str, *, after: int, limit: int) -> Sequence[ReadLogEntry]:
    """Returns at most `limit` reads of a study after a position, in the order of their responses."""
    async with transaction(pool, Tenant(study_id)) as connection:
        rows = await connection.fetch(_SELECT_READS, study_id, after, limit)
    return [
        ReadLogEntry(
            position=row["position"],
            read_by=row["read_by"],
            read_at=row["read_at"],
            address=row["address"],
            read=ReadAccess(study_id, row["resource"], row["rows"], row["site_id"], row["participant_id"]),
        )
        for row in rows
    ]


@dataclass(frozen=True, slots=True)
class ExportLogEntry:
    """One page of an export: the rows of a resource after `after_row`, of one site or (None) of all visible sites."""

    export_id: UUID
    resource: str
    exported_by: str
    exported_at: datetime
    site_id: str | None
    after_row: str
    rows: int


@dataclass(frozen=True, slots=True)
class ExportSummary:
    """One export as a whole. `position` orders exports; times are in UTC."""

    position: int
    export_id: UUID
    resource: str
    exported_by: str
    site_id: str | None
    begun_at: datetime
    ended_at: datetime
    pages: int
    rows: int


async def log_export_page(pool: asyncpg.Pool[Any], study_id: str, entry: ExportLogEntry) -> None:
    """Commits an entry for a page; the response with the page must be sent afterwards."""
    async with transaction(pool, Tenant(study_id)) as connection:
        await connection.execute(
            _INSERT_EXPORT_PAGE,
            study_id,
            entry.export_id,
            entry.resource,
            entry.exported_by,
            entry.exported_at,
            entry.site_id,
            entry.after_row,
            entry.rows,
        )


async def list_exports(pool: asyncpg.Pool[Any], study_id: str, *, after: int, limit: int) -> Sequence[ExportSummary]:
    """Returns at most `limit` exports of a study after a position, in the order in which they began."""
    async with transaction(pool, Tenant(study_id)) as connection:
        rows = await connection.fetch(_SELECT_EXPORTS, study_id, after, limit)
    return [ExportSummary(**row) for row in rows]
