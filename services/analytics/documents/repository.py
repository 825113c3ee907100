"""Queries of sealed data cuts that lack documents, and the writing of documents."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from services.analytics.cuts.sealed_study import SealedFigure
from services.analytics.derivation.derive import DERIVATION_VERSION
from services.analytics.figures.registry import FIGURES
from services.analytics.snapshot.seals import SealScope
from services.analytics.snapshot.snapshot import DataCut
from shared.postgres.named_queries import load_queries
from shared.postgres.tenancy import PooledConnection

SQL = load_queries(Path(__file__).with_name("repository.sql"))
_KEPT_FORMATS = ["page", "svg", "json"]
"""The formats of figures whose bytes documents are made of."""


@dataclass(frozen=True, slots=True)
class DueDocuments:
    """Documents that a sealed data cut lacks. `sealed_later`: a later version adds them to the seal."""

    study_id: str
    cut: DataCut
    sealed_later: bool
    documents: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentFile:
    """The bytes of a document for a scope, with their SHA-256. `participant_rows`: whom it shows singly."""

    document: str
    scope: SealScope
    content: bytes
    sha256: bytes
    participant_rows: int


async def due_documents(pool: asyncpg.Pool[Any], names: Sequence[str]) -> list[DueDocuments]:
    """Returns the sealed data cuts that lack some of the documents, in the order in which they were taken."""
    rows = await pool.fetch(SQL["due_documents"], DERIVATION_VERSION, names)
    return [
        DueDocuments(row["study_id"], _data_cut(row), row["sealed_later"], tuple(sorted(row["documents"])))
        for row in rows
    ]


async def earlier_cut(pool: asyncpg.Pool[Any], study_id: str, position: int) -> DataCut | None:
    """Returns the last sealed data cut before a position."""
    row = await pool.fetchrow(SQL["earlier_cut"], study_id, position)
    return _data_cut(row) if row else None


def _data_cut(row: asyncpg.Record) -> DataCut:
    return DataCut(row["name"], row["cut_on"], row["position"], row["recorded_at"])


async def scopes_and_streams(pool: asyncpg.Pool[Any], study_id: str, name: str) -> tuple[list[SealScope], int]:
    """Returns the scopes that a data cut was sealed for, and the number of streams in its frontier."""
    rows = await pool.fetch(SQL["scopes"], study_id, name)
    return [SealScope.from_name(row["scope"]) for row in rows], max((row["streams"] for row in rows), default=0)


async def sealed_figures(
    pool: asyncpg.Pool[Any], study_id: str, name: str, scope: SealScope
) -> dict[str, SealedFigure]:
    """Returns the figures that were sealed for a scope, in the order of the cohort page."""
    contents, digests = defaultdict[str, dict[str, bytes]](dict), defaultdict[str, dict[str, str]](dict)
    for row in await pool.fetch(SQL["figure_files"], study_id, name, scope.name, _KEPT_FORMATS):
        digests[row["figure"]][row["format"]] = row["sha256"]
        if row["content"] is not None:
            contents[row["figure"]][row["format"]] = row["content"]
    order = [name for name in FIGURES if name in digests]
    return {name: SealedFigure(contents[name], digests[name]) for name in order}


async def write_documents(
    pool: asyncpg.Pool[Any], due: DueDocuments, files: Iterable[DocumentFile], software: str
) -> bool:
    """Writes documents with their files in one transaction; returns false if another process has written one."""
    async with pool.acquire() as connection, connection.transaction():
        for document in due.documents:
            key = (due.study_id, due.cut.name, document)
            if await connection.fetchval(SQL["insert_document"], *key, due.sealed_later, software) is None:
                return False
        for file in files:
            await _insert_file(connection, due, file)
    return True


async def _insert_file(connection: PooledConnection, due: DueDocuments, file: DocumentFile) -> None:
    await connection.execute(
        SQL["insert_document_file"],
        due.study_id,
        due.cut.name,
        file.document,
        file.scope.name,
        file.content,
        file.sha256,
        file.participant_rows,
    )
