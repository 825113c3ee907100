"""Queries of data cuts that are not sealed, and the writing of seals."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import asyncpg

from services.analytics.cuts.changes import FactDifference
from services.analytics.derivation.derive import DERIVATION_VERSION
from services.analytics.projection.study_changes import SEALING_CHANNEL
from services.analytics.snapshot.seals import SealedFile, SealScope, SealStage
from services.analytics.snapshot.snapshot import DataCut
from shared.postgres.named_queries import load_queries
from shared.postgres.tenancy import PooledConnection

SQL = load_queries(Path(__file__).with_name("repository.sql"))


@dataclass(frozen=True, slots=True)
class DueCut:
    """A data cut that can be sealed. `sealed_later`: it was taken under a version that did not seal."""

    study_id: str
    cut: DataCut
    sealed_later: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSeal:
    """The seal of a data cut as it is written: `frontier` and `digest` as in `Frontier`, `excluded` as in `CutSeal`.

    `documents`: names of those that are made next, as part of the same seal.
    """

    due: DueCut
    frontier: Sequence[tuple[str, str, int]]
    digest: bytes
    excluded: Sequence[str]
    software: str
    documents: Sequence[str]


@dataclass(frozen=True, slots=True)
class FigureFile:
    """A file of a figure with its address among the files of a seal."""

    scope: SealScope
    figure: str
    file_format: str
    file: SealedFile


async def due_cuts(pool: asyncpg.Pool[Any]) -> list[DueCut]:
    """Returns the data cuts without a seal, of studies whose rows are derived up to them by this release."""
    return [_due_cut(row) for row in await pool.fetch(SQL["due_cuts"], DERIVATION_VERSION)]


def _due_cut(row: asyncpg.Record) -> DueCut:
    content = json.loads(row["data"])
    cut = DataCut(content["name"], date.fromisoformat(content["cut_on"]), row["from_position"], row["recorded_at"])
    return DueCut(row["study_id"], cut, row["sealed_later"])


async def fact_changes(
    connection: PooledConnection, study_id: str, earlier: int, later: int, excluded: Iterable[str]
) -> list[FactDifference]:
    """Returns the facts with another content at a later position than at an earlier one, by position.

    `excluded`: participants whose facts are left out. Row-level security limits facts to the study's own and those of
    the participants of the connection's tenant.
    """
    rows = await connection.fetch(SQL["fact_changes"], study_id, earlier, later, list(excluded))
    return [
        FactDifference(
            change=row["change"],
            position=row["position"],
            service=row["service"],
            type=row["type"],
            participant_id=None if row["subject"] == study_id else row["subject"],
            site_id=row["site_id"],
            event_id=row["event_id"],
        )
        for row in rows
    ]


async def write_seal(pool: asyncpg.Pool[Any], seal: NewSeal, files: Iterable[FigureFile]) -> bool:
    """Writes a seal with all its files in one transaction; returns false if another process has written one."""
    due, cut = seal.due, seal.due.cut
    async with pool.acquire() as connection, connection.transaction():
        is_new = await connection.fetchval(
            SQL["insert_seal"],
            due.study_id,
            cut.name,
            cut.cut_on,
            cut.position,
            due.sealed_later,
            json.dumps(seal.frontier),
            seal.digest,
            seal.excluded,
            seal.software,
            seal.documents,
        )
        if is_new is None:
            return False
        for file in files:
            await _insert_file(connection, due.study_id, cut.name, file)
    return True


async def _insert_file(connection: PooledConnection, study_id: str, name: str, part: FigureFile) -> None:
    await connection.execute(
        SQL["insert_file"],
        study_id,
        name,
        part.scope.name,
        part.figure,
        part.file_format,
        part.file.content,
        part.file.sha256,
        list(part.file.file_name_parts),
        part.file.participant_rows,
    )


async def write_progress(
    pool: asyncpg.Pool[Any], study_id: str, name: str, stage: SealStage, done: int, total: int, *, notify: bool
) -> None:
    """States how far a sealing is, outside its transaction. `notify`: also tells the pages of the study."""
    await pool.execute(SQL["write_progress"], study_id, name, stage, done, total)
    if notify:
        await pool.execute(SQL["notify"], SEALING_CHANNEL, study_id)


async def delete_progress(pool: asyncpg.Pool[Any], study_id: str, name: str, stage: SealStage) -> None:
    """Removes the progress of a sealing that has ended, and tells the pages of the study."""
    await pool.execute(SQL["delete_progress"], study_id, name, stage)
    await pool.execute(SQL["notify"], SEALING_CHANNEL, study_id)
