"""Reads what the deriver has to do, and replaces the rows of participants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import get_type_hints
from uuid import UUID

from pydantic_core import to_json

from services.analytics.derivation.rows import TABLES, ParticipantRows
from services.analytics.queries.derive import QueryWithStatus
from shared.postgres.named_queries import load_queries
from shared.postgres.statements import compose_statement
from shared.postgres.tenancy import PooledConnection

SQL = load_queries(Path(__file__).with_name("repository.sql"))
_TABLES = (*(f"derived_{name}" for name in TABLES), "derived_data_query")


@dataclass(frozen=True, slots=True)
class DerivedState:
    """The state of a study's rows: the position and its epoch, the version of the derivation, a digest of the plans.

    `epoch`: None before the first derivation. `plans`: a digest of the study's own facts that rows depend on.
    """

    position: int
    epoch: UUID | None
    derivation_version: int
    plans: bytes


@dataclass(frozen=True, slots=True)
class Derivation:
    """One derivation of rows of a study: at which position, why, and its number in the study, counted from 1."""

    position: int
    reason: str
    revision: int


@dataclass(frozen=True)
class ParticipantResult:
    """The rows and data queries of one participant. `site_id`: the current site, empty without one."""

    participant_id: str
    site_id: str
    rows: ParticipantRows
    queries: Sequence[QueryWithStatus]

    @cached_property
    def digest(self) -> bytes:
        """A digest of everything that is stored of the participant."""
        values = [list(chain.from_iterable(getattr(self.rows, table))) for table in TABLES]
        return sha256(to_json((values, self.queries, self.site_id))).digest()


async def lock_state(connection: PooledConnection, study_id: str) -> tuple[DerivedState, int]:
    """Returns the state of a study and the number of its last derivation, locked until the end of the transaction."""
    await connection.execute(SQL["create_state"], study_id)
    row = await connection.fetchrow(SQL["lock_state"], study_id)
    if row is None:
        raise RuntimeError("the state of a study was deleted")
    return DerivedState(row["position"], row["epoch"], row["derivation_version"], row["plans"]), row["revision"]


async def store_state(
    connection: PooledConnection, study_id: str, state: DerivedState, revision: int, recorded_at: datetime | None
) -> None:
    """Stores the state of a study, and announces its position at the commit."""
    await connection.execute(
        SQL["store_state"],
        study_id,
        state.position,
        recorded_at,
        state.derivation_version,
        state.plans,
        state.epoch,
        revision,
    )
    await connection.execute(SQL["notify"], study_id, str(state.position))


async def participants_until(connection: PooledConnection, study_id: str, position: int) -> list[str]:
    """Returns the participants with facts up to a position, or with rows."""
    return [row["subject"] for row in await connection.fetch(SQL["participants"], study_id, position)]


async def participants_changed_between(
    connection: PooledConnection, study_id: str, earlier_position: int, position: int
) -> list[str]:
    """Returns the participants of whom facts were applied after the earlier position, up to the later one."""
    rows = await connection.fetch(SQL["changed_participants"], study_id, earlier_position, position)
    return [row["subject"] for row in rows]


async def failed_participants(connection: PooledConnection, study_id: str) -> list[str]:
    """Returns the participants whose last derivation failed."""
    return [row["participant_id"] for row in await connection.fetch(SQL["failed_participants"], study_id)]


async def store_failure(
    connection: PooledConnection, study_id: str, participant_id: str, position: int, reason: str
) -> None:
    await connection.execute(SQL["store_failure"], study_id, participant_id, position, reason)


async def clear_failures(connection: PooledConnection, study_id: str, ids: Sequence[str]) -> None:
    await connection.execute(SQL["clear_failures"], study_id, ids)


async def move_rows(connection: PooledConnection, study_id: str, ids: Sequence[str]) -> None:
    """Gives the rows of participants to their current site, by which row-level security goes."""
    for statement in _MOVES if ids else ():
        await connection.execute(statement, study_id, ids)


async def replace_rows(
    connection: PooledConnection, study_id: str, derivation: Derivation, results: Sequence[ParticipantResult]
) -> None:
    """Replaces all rows of participants whose rows differ from those that are stored."""
    ids = [result.participant_id for result in results]
    digests = {row["participant_id"]: row["digest"] for row in await connection.fetch(SQL["digests"], study_id, ids)}
    changed = [result for result in results if digests.get(result.participant_id) != result.digest]
    if not changed:
        return
    changed_ids = [result.participant_id for result in changed]
    codes = await _word_codes(connection, changed)
    await connection.execute(_DELETE_ROWS, study_id, changed_ids)
    records = {name: _row_records(study_id, name, changed, codes) for name in TABLES}
    records["subject"] = [
        (*record, derivation.position, result.digest, derivation.reason, derivation.revision)
        for record, result in zip(records["subject"], changed, strict=True)
    ]
    for name, table_records in records.items():
        if table_records:
            await connection.execute(_INSERTIONS[name], *zip(*table_records, strict=True))
    await connection.executemany(SQL["insert_query"], _query_records(study_id, changed))


_MOVES = [
    compose_statement(
        "update {table} moved set site_id = present.site_id from subject_site present"
        " where moved.study_id = $1 and moved.participant_id = any($2) and present.study_id = moved.study_id"
        " and present.subject = moved.participant_id and moved.site_id <> present.site_id",
        table=table,
    )
    for table in _TABLES
]
_DELETIONS = [
    compose_statement(
        "{deletion} as (delete from {table} where study_id = $1 and participant_id = any($2::text[]))",
        deletion=f"deletion_{number}",
        table=table,
    )
    for number, table in enumerate(_TABLES)
]
_DELETE_ROWS = f"with {', '.join(_DELETIONS)} select"
_TEXT_COLUMNS: Mapping[str, frozenset[int]] = {
    name: frozenset(
        index
        for index, (column, kind) in enumerate(get_type_hints(row).items())
        if kind is str and column != "participant_id"
    )
    for name, row in TABLES.items()
}


async def _word_codes(connection: PooledConnection, results: Iterable[ParticipantResult]) -> dict[str, int]:
    """Returns the codes of all words in the rows; words without a code are given one."""
    words = sorted(
        {
            str(row[index])
            for result in results
            for name, indexes in _TEXT_COLUMNS.items()
            for row in getattr(result.rows, name)
            for index in indexes
        }
    )
    rows = await connection.fetch(SQL["word_codes"], words)
    if len(rows) < len(words):
        await connection.execute(SQL["add_words"], words)
        rows = await connection.fetch(SQL["word_codes"], words)
    return {row["word"]: row["code"] for row in rows}


_KEY_TYPES = {"study_id": "text", "participant_id": "text", "site_id": "text", "sequence": "integer"}
_ORIGIN_TYPES = {"position": "bigint", "digest": "bytea", "reason": "text", "revision": "bigint"}
"""The columns of `derived_subject` that say from which derivation the rows of a participant are."""
_SQL_TYPES: Mapping[type[object], str] = {date: "date", int: "integer", bool: "boolean", str: "integer"}
_COLUMN_TYPES = {
    name: _KEY_TYPES
    | {column: _SQL_TYPES[kind] for column, kind in get_type_hints(row).items() if column not in _KEY_TYPES}
    for name, row in TABLES.items()
}
_COLUMN_TYPES["subject"] |= _ORIGIN_TYPES


def _insertion(name: str) -> str:
    """Returns the statement that inserts rows from an array for each column."""
    types = _COLUMN_TYPES[name]
    arrays = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(types.values(), 1))
    return f"insert into derived_{name} ({', '.join(types)}) select * from unnest({arrays})"  # noqa: S608 - types of our own columns


_INSERTIONS = {name: _insertion(name) for name in TABLES}


def _row_records(
    study_id: str, name: str, results: Iterable[ParticipantResult], codes: Mapping[str, int]
) -> list[tuple[object, ...]]:
    """Returns the rows of one table with their keys, and with codes in place of words."""
    text_columns = _TEXT_COLUMNS[name]
    records: list[tuple[object, ...]] = []
    for result in results:
        for sequence, row in enumerate(getattr(result.rows, name)):
            participant_id, *values = (
                codes[value] if index in text_columns else value for index, value in enumerate(row)
            )
            records.append((study_id, participant_id, result.site_id, sequence, *values))
    return records


def _query_records(study_id: str, results: Iterable[ParticipantResult]) -> list[tuple[object, ...]]:
    return [
        (
            study_id,
            result.participant_id,
            result.site_id,
            sequence,
            query.key,
            query.query.rule if query.query else None,
            list(query.query.event_ids) if query.query else [],
            query.text,
            query.query.opens_on if query.query else date.min,
            query.query.closes_on if query.query else date.max,
            query.since,
            list(query.explained_by),
        )
        for result in results
        for sequence, query in enumerate(result.queries)
    ]
