"""Files that people keep: what they are called, and what a spreadsheet makes of them."""

from __future__ import annotations

import csv
from io import StringIO

import pytest

from services.analytics.api import LONGEST_NAME, file_name
from services.analytics.pages.render import csv_text


@pytest.mark.parametrize("text", ["=1+1", "+1-2", "-HYPERLINK(1)", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "-", "＝1",
                                  "-1e5x", "--1", "-5 Gy"])  # fmt: skip
def test_no_cell_of_a_table_is_run_as_a_formula(text: str) -> None:
    [header, row] = csv.reader(StringIO(csv_text(["participant_id", "label"], [["K7", text]]), newline=""))
    assert header == ["participant_id", "label"]
    assert row == ["K7", f"'{text}"]


@pytest.mark.parametrize("text", ["-5", "+5", "-0.25", "1.5", "0", "", "GTV -1", "a=b", "2024-01-01"])
def test_numbers_and_plain_texts_stay_as_they_are(text: str) -> None:
    [_, row] = csv.reader(StringIO(csv_text(["a", "b"], [["K7", text]]), newline=""))
    assert row == ["K7", text]


def test_a_file_has_a_name_that_every_file_system_takes() -> None:
    sites = [f"site-{number:04}-{'long' * 6}" for number in range(60)]
    many, fewer = (file_name(["study", "flow", f"followed_at-{','.join(some)}", "cut-2026-01-01"], 4711, "csv")
                   for some in (sites, sites[:-1]))  # fmt: skip
    assert {len(many), len(fewer)} == {LONGEST_NAME}
    assert many != fewer, "where they differ behind the place of the cut"
    assert many.endswith("_position-4711.csv")
    assert many.isascii()
    assert file_name(["study", "flow"], 4, "json") == "study_flow_position-4.json"
    assert file_name(['a"b\r\nc', "flow"], 4, "svg") == "a-b--c_flow_position-4.svg"
