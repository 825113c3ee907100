"""Reads derived rows from the database as columns: rows of fixed width are read as one block of memory."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.analytics.derivation.rows import TABLES, Row
from services.analytics.snapshot.columns import PARTICIPANT_DTYPE, Table, column_types
from shared.postgres.statements import compose_statement
from shared.postgres.tenancy import PooledConnection

_FILE_HEADER_BYTES = 19  # the signature of COPY, flags and the length of an extension, which is 0
_FILE_TRAILER_BYTES = 2
_ROWS = 'select {columns} from {table} where study_id = $1 order by participant_id collate "C", sequence'
_ROWS_OF_PARTICIPANTS = _ROWS.replace("$1", "$1 and participant_id = any($2)")


class UnexpectedRowWidth(Exception):
    """Rows of a table do not have the width that their columns have."""


async def read_table(
    connection: PooledConnection, name: str, study_id: str, participant_ids: Sequence[str] | None = None
) -> Table:
    """Returns the rows of a study, or of these participants of it, that the connection's role and tenant may see."""
    row = TABLES[name]
    query = compose_statement(
        _ROWS if participant_ids is None else _ROWS_OF_PARTICIPANTS, columns=column_types(row), table=f"derived_{name}"
    )
    arguments = (study_id,) if participant_ids is None else (study_id, list(participant_ids))
    output = io.BytesIO()
    await connection.copy_from_query(query, *arguments, output=output, format="binary")
    return await asyncio.to_thread(_parse_copy, output.getbuffer(), row)


def _parse_copy(data: memoryview, row: type[Row]) -> Table:
    """Returns the columns of COPY in the binary format: each row has a count of fields, each field a length."""
    dtype = _copy_dtype(row)
    body = data[_FILE_HEADER_BYTES : len(data) - _FILE_TRAILER_BYTES]
    if len(body) % dtype.itemsize:
        raise UnexpectedRowWidth(row.__name__)
    block = np.frombuffer(body, dtype=dtype)
    if len(block) and not _has_expected_lengths(block, row):
        raise UnexpectedRowWidth(row.__name__)
    return Table({name: block[name].astype(kind) for name, kind in column_types(row).items()})


def _copy_dtype(row: type[Row]) -> np.dtype[Any]:
    fields: list[tuple[str, str]] = [("fields", ">i2")]
    for name, kind in column_types(row).items():
        fields += [(f"length of {name}", ">i4"), (name, kind if kind in (PARTICIPANT_DTYPE, "?") else f">{kind}")]
    return np.dtype(fields)


def _has_expected_lengths(block: NDArray[Any], row: type[Row]) -> bool:
    kinds = column_types(row)
    lengths = (np.dtype(kind).itemsize == block[f"length of {name}"] for name, kind in kinds.items())
    return bool(all(np.all(equal) for equal in lengths) and np.all(block["fields"] == len(kinds)))


async def read_words(connection: PooledConnection, known_codes: Collection[int] = ()) -> Mapping[int, str]:
    """Returns the words of all codes but the known ones.

    A word is not new because its code is higher: of two transactions, the one with the lower code may commit last.
    """
    query = "select code, word from derived_word where code <> all($1::integer[])"
    rows = await connection.fetch(query, list(known_codes))
    return {row["code"]: row["word"] for row in rows}
