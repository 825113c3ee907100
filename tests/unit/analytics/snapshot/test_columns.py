"""Columns of derived rows: the rows of changed participants are replaced, and days are found by participant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.derivation.follow_up_rows import AbsenceRow
from services.analytics.derivation.rows import NEVER, Row
from services.analytics.snapshot.columns import (
    PARTICIPANT_DTYPE,
    Table,
    WordCodes,
    day_of_number,
    index_subjects,
    replace_participants,
    replace_rows,
    table_of_rows,
)
from services.analytics.snapshot.flow import DayColumn, first_days, last_days
from services.analytics.snapshot.snapshot import StudySnapshot
from shared.kernel.record import Record

NAMES = [f"PARTICIP-{number}{number}" for number in range(5)]
Dated = tuple[date, int]
DATED = st.tuples(
    st.sampled_from([date(2024, 1, 1) + timedelta(days=number) for number in range(3)]), st.integers(0, 2)
)
ROWS = st.dictionaries(st.sampled_from(NAMES), st.lists(DATED, max_size=3))
"""The days, with their precisions, of some participants; one without rows has an empty list."""


def absences(rows: Mapping[str, Sequence[Dated]]) -> Table:
    return table_of_rows(
        AbsenceRow, [absence(name, *dated) for name in sorted(rows) for dated in rows[name]], WordCodes()
    )


def absence(name: str, lost_on: date, precision: int) -> Row:
    return AbsenceRow(
        participant_id=name,
        lost_on=lost_on,
        lost_precision=precision,
        resumed_on=NEVER,
        resumed_precision=0,
        reason="",
        alive_before=date.min,
    )


def as_lists(table: Table) -> dict[str, list[object]]:
    return {name: column.tolist() for name, column in table.columns.items()}


@given(ROWS, ROWS)
def test_rows_of_changed_participants_are_replaced_and_no_others(
    before: dict[str, list[Dated]], changed: dict[str, list[Dated]]
) -> None:
    ids = np.array(sorted(name.encode() for name in changed), dtype=PARTICIPANT_DTYPE)
    replaced = replace_participants(absences(before), absences(changed), ids)
    assert as_lists(replaced) == as_lists(absences(before | changed))


@given(ROWS, ROWS, ROWS)
def test_rows_know_their_participants_after_others_came_before_them(
    before: dict[str, list[Dated]], changed: dict[str, list[Dated]], days: dict[str, list[Dated]]
) -> None:
    """A participant who has a row in `subject` has one alone; `days` are the rows of another table."""

    def tables(names: Iterable[str], days: Mapping[str, Sequence[Dated]]) -> dict[str, Table]:
        dated = {name: rows for name, rows in days.items() if name in names}
        return {"subject": absences({name: [(NEVER, 0)] for name in names}), "absence": absences(dated)}

    ids = np.array(sorted(name.encode() for name in changed), dtype=PARTICIPANT_DTYPE)
    replaced = replace_rows(index_subjects(tables(before, before)), tables(changed, days), ids)
    of_changed = {name: days.get(name, []) for name in changed}
    anew = index_subjects(tables(before | changed, before | of_changed))
    assert {name: as_lists(table) for name, table in replaced.items()} == {
        name: as_lists(table) for name, table in anew.items()
    }


@given(ROWS, st.sets(st.sampled_from(NAMES)))
def test_snapshot_of_some_participants_is_that_of_their_rows_alone(
    rows: dict[str, list[Dated]], chosen: set[str]
) -> None:
    def snapshot(names: Iterable[str]) -> StudySnapshot:
        everybody = {name: [(NEVER, 0)] for name in names}
        dated = {name: days for name, days in rows.items() if name in names}
        tables = index_subjects({"subject": absences(everybody), "absence": absences(dated)})
        return StudySnapshot("study", 1, None, Record(), tables, WordCodes())

    ids = np.array(sorted(name.encode() for name in chosen), dtype=PARTICIPANT_DTYPE)
    limited = snapshot(NAMES).limited_to(ids)
    assert {name: as_lists(table) for name, table in limited.tables.items()} == {
        name: as_lists(table) for name, table in snapshot(chosen).tables.items()
    }


def test_table_of_which_no_row_differs_is_kept() -> None:
    table = absences({NAMES[0]: [(date(2024, 1, 1), 0)], NAMES[1]: [(date(2024, 1, 2), 1)]})
    ids = np.array([NAMES[1].encode()], dtype=PARTICIPANT_DTYPE)
    assert replace_participants(table, absences({NAMES[1]: [(date(2024, 1, 2), 1)]}), ids) is table


@pytest.mark.parametrize(
    ("find", "best"),
    [
        (first_days, lambda rows: min(rows)),
        (last_days, lambda rows: max(rows, key=lambda row: (row[0], -row[1]))),
    ],
)
@given(ROWS)
def test_day_of_each_participant_is_the_most_precise_of_the_first_or_last_day(
    find: Callable[[StudySnapshot, Table, str, str], DayColumn],
    best: Callable[[Sequence[Dated]], Dated],
    rows: dict[str, list[Dated]],
) -> None:
    everybody = absences({name: [(date(2024, 1, 1), 0)] for name in NAMES})
    tables = index_subjects({"subject": everybody, "absence": absences(rows)})
    snapshot = StudySnapshot("study", 1, None, Record(), tables, WordCodes())
    column = find(snapshot, snapshot.tables["absence"], "lost_on", "lost_precision")
    dated = [(day_of_number(day), precision) for day, precision in zip(column.day, column.precision, strict=True)]
    assert dated == [best(rows[name]) if rows.get(name) else (NEVER, 0) for name in NAMES]
