"""Files that people keep: what they are called, and what a spreadsheet makes of them."""

from __future__ import annotations

import csv
from io import StringIO

import pytest

from shared.ui.csv import to_csv
from shared.web.file_names import MAX_FILE_NAME_LENGTH, file_name


@pytest.mark.parametrize(
    "text", ["=1+1", "+1-2", "-HYPERLINK(1)", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "-", "＝1", "-1e5x", "--1", "-5 Gy"]
)
def test_formulas_in_csv_cells_are_escaped(text: str) -> None:
    [header, row] = csv.reader(StringIO(to_csv(["participant_id", "label"], [["K7", text]]), newline=""))
    assert header == ["participant_id", "label"]
    assert row == ["K7", f"'{text}"]


@pytest.mark.parametrize("text", ["-5", "+5", "-0.25", "1.5", "0", "", "GTV -1", "a=b", "2024-01-01"])
def test_numbers_and_plain_texts_are_not_escaped(text: str) -> None:
    [_, row] = csv.reader(StringIO(to_csv(["a", "b"], [["K7", text]]), newline=""))
    assert row == ["K7", text]


def test_file_names_are_short_ascii_and_unique() -> None:
    sites = [f"site-{number:04}-{'long' * 6}" for number in range(60)]
    many, fewer = (
        file_name(["study", "flow", f"followed_at-{','.join(some)}", "cut-2026-01-01"], 4711, "csv")
        for some in (sites, sites[:-1])
    )
    assert {len(many), len(fewer)} == {MAX_FILE_NAME_LENGTH}
    assert many != fewer, "where they differ behind the place of the cut"
    assert many.endswith("_position-4711.csv")
    assert many.isascii()
    assert file_name(["study", "flow"], 4, "json") == "study_flow_position-4.json"
    assert file_name(['a"b\r\nc', "flow"], 4, "svg") == "a-b--c_flow_position-4.svg"
