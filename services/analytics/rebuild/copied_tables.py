"""Copies of the tables of facts and derived rows, in which a rebuild works beside the running ones.

The copies are temporary tables of the same names. A connection finds them before the running tables, so the statements
of the deriver read and write the copies there. They vanish with the connection.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import get_type_hints

from services.analytics.derivation.rows import TABLES
from shared.postgres.statements import compose_statement
from shared.postgres.tenancy import PooledConnection

_ROW_KEY = ("study_id", "participant_id", "sequence")


@dataclass(frozen=True, slots=True)
class CopiedTable:
    """A table with a copy. `subject`: the column of the participant. `compared`: what equal rows have in common."""

    name: str
    subject: str
    key: tuple[str, ...]
    compared: tuple[str, ...] = ("*",)


FACT_TABLES = (
    CopiedTable("fact", "subject", ("event_id", "from_position")),
    CopiedTable("subject_site", "subject", ("study_id", "subject")),
)
ROW_TABLES = (
    *(
        CopiedTable(
            f"derived_{name}", "participant_id", _ROW_KEY, (*_ROW_KEY, "site_id", *list(get_type_hints(row))[1:])
        )
        for name, row in TABLES.items()
    ),
    CopiedTable("derived_data_query", "participant_id", _ROW_KEY),
)
_NAMES = (*(table.name for table in (*FACT_TABLES, *ROW_TABLES)), "derived_failure")


async def create_copies(connection: PooledConnection) -> None:
    """Creates the copies, empty."""
    for name in _NAMES:
        await connection.execute(f"create temporary table {name} (like public.{name} including all)")


async def empty_copies(connection: PooledConnection) -> None:
    await connection.execute("truncate " + ", ".join(f"pg_temp.{name}" for name in _NAMES))


async def analyze_copies(connection: PooledConnection) -> None:
    """Gives the planner the sizes of the copies, which no background process looks at."""
    await connection.execute("analyze " + ", ".join(f"pg_temp.{name}" for name in _NAMES))


async def differing_subjects(
    connection: PooledConnection, tables: Iterable[CopiedTable], study_id: str, among: Sequence[str] | None = None
) -> set[str]:
    """Returns the subjects of a study whose rows are others in the copy. `among`: compares only these subjects."""
    different = set[str]()
    for table in tables:
        different |= {row["subject"] for row in await connection.fetch(_difference(table), study_id, among)}
    return different


def _difference(table: CopiedTable) -> str:
    """Returns the query of the subjects whose rows in the copy and in the running table are not the same."""
    return compose_statement(
        "select distinct coalesce(running.{subject}, copied.{subject}) as subject"
        " from (select {columns} from public.{table}"
        " where study_id = $1 and ($2::text[] is null or {subject} = any($2))) as running"
        " full join (select {columns} from pg_temp.{table}"
        " where study_id = $1 and ($2::text[] is null or {subject} = any($2))) as copied using ({key})"
        " where running is distinct from copied",
        subject=table.subject,
        columns=table.compared,
        table=table.name,
        key=table.key,
    )


async def replace_from_copies(
    connection: PooledConnection, tables: Iterable[CopiedTable], study_id: str, subjects: Sequence[str]
) -> None:
    """Replaces the rows of these subjects in the running tables by those of the copies."""
    for table in tables:
        for statement in (
            "delete from public.{table} where study_id = $1 and {subject} = any($2)",
            "insert into public.{table} select * from pg_temp.{table} where study_id = $1 and {subject} = any($2)",
        ):
            await connection.execute(
                compose_statement(statement, table=table.name, subject=table.subject), study_id, subjects
            )
