"""Derived rows in memory: a table is one NumPy array for every column, sorted by participant. Pure.

Days are whole numbers, counted from 1 January 2000 as PostgreSQL counts them; texts are codes of words. A cut-off is
compared to a column of days in one step, however many participants there are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, get_type_hints

import numpy as np
from numpy.typing import NDArray

from services.analytics.derivation.rows import TABLES, ParticipantRows, Row

Column = NDArray[Any]
PARTICIPANT_DTYPE = "S11"
"""The participant's number, which always has 11 characters."""
ParticipantIds = NDArray[np.bytes_]
"""Participants' numbers, of the type `PARTICIPANT_DTYPE`."""
SUBJECT_INDEX = "subject_index"
"""The column that tables of a snapshot have beside those of their rows: the index of the participant in `subject`."""
NEVER_NUMBER = 2**31 - 1
"""The number of `NEVER`: later than every cut-off."""
_ALWAYS_NUMBER = -(2**31)
_EPOCH_ORDINAL = date(2000, 1, 1).toordinal()
DTYPES: Mapping[type[object], str] = {date: "i4", int: "i4", bool: "?", str: "i4"}
"""The type of a column in memory, by the type of the member of its row."""
_MEMBER_TYPES: Mapping[type[Row], Mapping[str, type[object]]] = {row: get_type_hints(row) for row in TABLES.values()}
"""The types of the members of each row by name: they are slow to find."""


def day_number(day: date) -> int:
    """Returns the number of a day: days since 1 January 2000. `date.max` is `NEVER_NUMBER`."""
    if day == date.max:
        return NEVER_NUMBER
    return _ALWAYS_NUMBER if day == date.min else day.toordinal() - _EPOCH_ORDINAL


def day_of_number(number: int) -> date:
    """Returns the day of a number."""
    if number == NEVER_NUMBER:
        return date.max
    return date.min if number == _ALWAYS_NUMBER else date.fromordinal(int(number) + _EPOCH_ORDINAL)


class WordCodes:
    """The words by their codes. Codes are those of the database, or given in the order of the first use."""

    def __init__(self, words: Mapping[int, str] | None = None) -> None:
        self._by_code = dict(words or {})
        self._codes = {word: code for code, word in self._by_code.items()}

    def code(self, word: str) -> int:
        """Returns the code of a word; -1, which no row has, for one that has none."""
        return self._codes.get(word, -1)

    def codes(self, words: Iterable[str]) -> list[int]:
        return [self.code(word) for word in words]

    def word(self, code: int) -> str:
        """Returns the word of a code. Raises KeyError for an unknown code."""
        return self._by_code[int(code)]

    def add(self, word: str) -> int:
        """Returns the code of a word, which is given one if it has none yet."""
        code = self._codes.setdefault(word, len(self._codes))
        self._by_code[code] = word
        return code

    def extend(self, words: Mapping[int, str]) -> None:
        """Adds words of the database."""
        self._by_code |= words
        self._codes |= {word: code for code, word in words.items()}

    @property
    def known_codes(self) -> Collection[int]:
        return self._by_code.keys()


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a table: arrays of one length by the names of the columns, sorted by participant.

    `indexes`: the chosen rows of the columns, in order; None: all of them. A column of chosen rows is made when it is
    read, so that a choice costs nothing for the columns that an analysis does not need. The tables of a snapshot are
    whole.
    """

    columns: Mapping[str, Column]
    indexes: NDArray[np.intp] | None = None

    def __getitem__(self, name: str) -> Column:
        column = self.columns[name]
        return column if self.indexes is None else column[self.indexes]

    def __len__(self) -> int:
        return len(self.columns["participant_id"] if self.indexes is None else self.indexes)

    def where(self, mask: NDArray[np.bool_]) -> Table:
        """Returns the rows for which the mask is true."""
        chosen = np.flatnonzero(mask)
        return Table(self.columns, chosen if self.indexes is None else self.indexes[chosen])

    def gather(self, mask: NDArray[np.bool_]) -> Table:
        """Returns the same rows as a whole table."""
        return Table({name: self[name][mask] for name in self.columns})


def first_of_each(groups: NDArray[np.intp]) -> NDArray[np.intp]:
    """Returns the index of the first element of each group. `groups`: the number of the group of each, in order."""
    is_first = np.ones(len(groups), dtype=bool)
    np.not_equal(groups[1:], groups[:-1], out=is_first[1:])
    return np.flatnonzero(is_first)


def column_types(row: type[Row]) -> dict[str, str]:
    """Returns the NumPy types of the columns of a table, in the order of the members of its rows."""
    return {
        name: PARTICIPANT_DTYPE if name == "participant_id" else DTYPES[kind]
        for name, kind in _MEMBER_TYPES[row].items()
    }


def table_of_rows(row: type[Row], rows: Sequence[Row], words: WordCodes) -> Table:
    """Returns rows as columns; their words are given codes."""
    kinds = _MEMBER_TYPES[row]
    values = zip(*rows, strict=True) if rows else iter([()] * len(kinds))
    return Table(
        {
            name: np.array(_encode(name, kinds[name], column, words), dtype=dtype)
            for (name, dtype), column in zip(column_types(row).items(), values, strict=True)
        }
    )


def _encode(name: str, kind: type[object], values: Sequence[Any], words: WordCodes) -> Sequence[Any]:
    if name == "participant_id":
        return [value.encode() for value in values]
    if kind is date:
        return [day_number(day) for day in values]
    return [words.add(word) for word in values] if kind is str else values


def tables_of_participants(participants: Iterable[ParticipantRows], words: WordCodes) -> dict[str, Table]:
    """Returns the tables of participants, who come in the order of their numbers."""
    rows_by_table: dict[str, list[Row]] = {name: [] for name in TABLES}
    for participant_rows in participants:
        for name, rows in rows_by_table.items():
            rows += getattr(participant_rows, name)
    return index_subjects(
        {name: table_of_rows(row_type, rows_by_table[name], words) for name, row_type in TABLES.items()}
    )


def index_subjects(tables: Mapping[str, Table]) -> dict[str, Table]:
    """Returns whole tables with the column `SUBJECT_INDEX`."""
    everybody = tables["subject"]["participant_id"]
    return {name: index_rows(table, everybody) for name, table in tables.items()}


def index_rows(table: Table, everybody: ParticipantIds) -> Table:
    """Returns a whole table with the column `SUBJECT_INDEX`. `everybody`: the numbers of all participants, sorted."""
    ids = table.columns["participant_id"]
    starts = np.flatnonzero(np.append(len(ids) > 0, ids[1:] != ids[:-1]))
    indexes = np.repeat(np.searchsorted(everybody, ids[starts]), np.diff(np.append(starts, len(ids))))
    return Table({**table.columns, SUBJECT_INDEX: indexes})


def renumber_subjects(table: Table, numbers: NDArray[np.intp]) -> Table:
    """Returns a whole table with other indexes of participants. `numbers`: the new index by the old one."""
    return Table({**table.columns, SUBJECT_INDEX: numbers[table.columns[SUBJECT_INDEX]]})


def replace_rows(tables: Mapping[str, Table], changed: Mapping[str, Table], ids: ParticipantIds) -> dict[str, Table]:
    """Returns the tables of a study in which the rows of these participants are those of `changed`.

    `ids`: sorted, without repetition. `changed` has rows of these participants alone, without `SUBJECT_INDEX`.
    """
    earlier, stated = (part["subject"]["participant_id"] for part in (tables, changed))
    everybody = _replace_parts(earlier, stated, _slices_of(tables["subject"], ids), _slices_of(changed["subject"], ids))
    if not np.array_equal(earlier, everybody):  # the index of a participant moves when others come before it
        numbers = np.searchsorted(everybody, earlier)
        tables = {name: renumber_subjects(table, numbers) for name, table in tables.items()}
    return {
        name: replace_participants(table, index_rows(changed[name], everybody), ids) for name, table in tables.items()
    }


def replace_participants(table: Table, changed: Table, participant_ids: Column) -> Table:
    """Returns a table in which the rows of these participants are those of `changed`; the same table if they are equal.

    `participant_ids`: sorted, without repetition. `changed` has rows of these participants alone.
    """
    old, new = _slices_of(table, participant_ids), _slices_of(changed, participant_ids)
    if all(_equals_parts(changed[name], column, old) for name, column in table.columns.items()):
        return table
    return Table({name: _replace_parts(column, changed[name], old, new) for name, column in table.columns.items()})


def _slices_of(table: Table, participant_ids: Column) -> list[slice]:
    """Returns the slice of the rows of each participant; an empty slice where those of one without rows would be."""
    first, last = (np.searchsorted(table["participant_id"], participant_ids, side) for side in ("left", "right"))
    return [slice(start, end) for start, end in zip(first.tolist(), last.tolist(), strict=True)]


def _equals_parts(values: Column, column: Column, slices: Sequence[slice]) -> bool:
    """Returns whether the values are those of a column in these slices."""
    return np.array_equal(values, np.concatenate([column[:0], *(column[rows] for rows in slices)]))


def _replace_parts(column: Column, changed: Column, old: Sequence[slice], new: Sequence[slice]) -> Column:
    """Returns a column with other values in the old slices."""
    parts, kept_from = list[Column](), 0
    for old_slice, new_slice in zip(old, new, strict=True):
        parts += [column[kept_from : old_slice.start], changed[new_slice]]
        kept_from = old_slice.stop
    return np.concatenate([*parts, column[kept_from:]])


def number_combinations(columns: Sequence[Column]) -> tuple[NDArray[np.int64], list[tuple[int, ...]]]:
    """Returns the number of the combination of values in each row, and the combinations by their number.

    There are few different values in each column.
    """
    keys, sizes, uniques = np.zeros(len(columns[0]), dtype=np.int64), list[int](), list[Column]()
    for column in columns:
        values, indexes = np.unique(column, return_inverse=True)
        keys = keys * max(len(values), 1) + indexes
        sizes.append(max(len(values), 1))
        uniques.append(values)
    present, numbers = np.unique(keys, return_inverse=True)
    indexes_of_keys = np.unravel_index(present, sizes)
    columns_of_values = [values[indexes].tolist() for values, indexes in zip(uniques, indexes_of_keys, strict=True)]
    return numbers, list(zip(*columns_of_values, strict=True))
