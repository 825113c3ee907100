"""Files for spreadsheet programs: no cell is run as a formula, and no file is taken for another format."""

from __future__ import annotations

import csv
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.ui.csv import neutralize_formula, to_csv


@given(st.lists(st.lists(st.text(st.characters(exclude_characters="\0")), min_size=2, max_size=2), max_size=5))
def test_csv_round_trips_except_escaped_formulas(rows: list[list[str]]) -> None:
    text = to_csv(["a", "b"], rows)
    assert text.startswith("a,b\r\n")
    assert list(csv.reader(StringIO(text, newline=""))) == [
        ["a", "b"],
        *([neutralize_formula(cell) for cell in row] for row in rows),
    ]


FORMULAS = (
    *("=1+1", "=HYPERLINK(1)", " =1", "\t=1", "\r=1", "\n=1", "\uff1d1", "@SUM(A1)", "@x"),
    *("+1-2", "+1+1", "-", "--1", "-1+2", "-1e5x", "-5 Gy", "-HYPERLINK", "-HYPERLINK(1)"),
)
PLAIN_CELLS = (
    *("-5", "+5", "+3.5", "-0.25", "0", "1.5", "12"),
    *("", "a-b", "a=b", "GTV -1", "PTV_7000", "2024-01-01", "2024-03-07"),
)


@pytest.mark.parametrize("cell", FORMULAS)
def test_formulas_in_csv_cells_are_escaped(cell: str) -> None:
    header, row = csv.reader(StringIO(to_csv(["participant_id", "label"], [["K7", cell]]), newline=""))
    assert header == ["participant_id", "label"]
    assert row == ["K7", f"'{cell}"]


@pytest.mark.parametrize("cell", PLAIN_CELLS)
def test_numbers_and_plain_texts_are_not_escaped(cell: str) -> None:
    assert to_csv(["a", "b"], [["K7", cell]]) == f"a,b\r\nK7,{cell}\r\n"


@pytest.mark.parametrize("header", [["ID", "b"], ["IDs of lesions", "b"], ["ID, or none", "b"]])
def test_csv_does_not_start_like_an_excel_sylk_file(header: list[str]) -> None:
    text = to_csv(header, [])
    assert not text.startswith("ID")
    assert next(csv.reader(StringIO(text, newline=""))) == header
