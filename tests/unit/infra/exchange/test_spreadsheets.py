"""Small files as spreadsheet programs save them: each is read unambiguously, or refused with advice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infra.exchange.decoding import decode_text
from infra.exchange.fact_conversion import read_line, stated_content
from infra.exchange.import_line import ImportLine, InvalidLine, UnreadableFile
from infra.exchange.import_report import ImportReport
from infra.exchange.table import column_at, read_rows

FILES = Path(__file__).parent / "spreadsheets"
FIRST = {"lesion_id": "L1", "kind": "primary", "body_site": "thyroid", "found_on": "2024-03-07", "size_mm": 12.5}
SECOND = {"lesion_id": "L2", "kind": "node", "body_site": "neck", "found_on": "2024-03-08", "size_mm": 8.0}
BIOPSY = {"performed_on": "2024-03-07", "kind": "biopsy", "body_site": "neck", "lesion_ids": []}
UMLAUTS = {**BIOPSY, "detail": "Dr. Müller, Hélène"}

READABLE_FILES: dict[str, dict[int, Any]] = {
    "blanks-around.csv": {2: FIRST},
    "classic-mac.csv": {2: FIRST, 3: SECOND},
    "column-empty.csv": {2: FIRST, 3: SECOND},
    "excel-de-utf8.csv": {2: FIRST, 3: SECOND},
    "excel-en.csv": {2: FIRST, 3: SECOND},
    "excel-header-case.csv": {2: FIRST, 3: SECOND},
    "excel-sep-line.csv": {3: FIRST, 4: SECOND},
    "excel-sep-line-padded.csv": {3: FIRST, 4: SECOND},
    "excel-title.csv": {4: FIRST, 5: SECOND},
    "excel-unicode-text.txt": {2: FIRST, 3: SECOND},
    "excel-unicode-big-endian.txt": {2: FIRST, 3: SECOND},
    "google-sheets.csv": {2: FIRST, 3: SECOND},
    "inches.csv": {2: {**BIOPSY, "detail": '2" needle'}},
    "libreoffice-quoted.csv": {
        2: {**BIOPSY, "detail": 'first line\nsecond, with "marks" and commas'},
        4: {**BIOPSY, "performed_on": "2024-03-09"},
    },
    "libreoffice-tab.csv": {2: FIRST, 3: SECOND},
    "numbers.csv": {3: FIRST, 4: SECOND},
}
ENCODED_FILES = {
    ("excel-de-ansi.csv", "windows-1252"): {2: UMLAUTS},
    ("excel-mac-roman.csv", "mac-roman"): {2: UMLAUTS},
}
UNREADABLE_FILES = {
    "column-of-no-fact.csv": ["column 8, site", "remove the column"],
    "columns-without-names.csv": ["Two columns have no name: columns 8 and 9.", "Line 2"],
    "excel-de-ansi.csv": ["Line 2, column detail, is not UTF-8", "CSV UTF-8", "--encoding windows-1252"],
    "excel-mac-roman.csv": ["Line 2, column detail, is not UTF-8", "Numbers"],
    "header-below-rows.csv": ["The header is line 2"],
    "header-with-hidden-sign.csv": [r"column 6, found_on\u200b", "is it found_on?", "an invisible character"],
    "lost-letters.csv": ["Line 2, column detail, has the character U+FFFD"],
    "no-header.csv": ["The file has no header", "--template"],
    "old-workbook.xls": ["a workbook of an old Excel", "CSV UTF-8"],
    "only-header.csv": ["a header and no row below it"],
    "only-separators.csv": ["The file is empty."],
    "row-numbers.csv": ["One column has no name: column 1.", "name the column, or remove it"],
    "stray-mark-closed.csv": ["The row that begins in line 2", "look for a stray quotation mark"],
    "stray-mark-in-two-rows.csv": ["The row that begins in line 2", "look for a stray quotation mark"],
    "stray-mark-open.csv": ["The row that begins in line 2", "never closed"],
    "stray-mark-then-text.csv": ["The row that begins in line 2", "after the closing quotation mark"],
    "two-columns-of-one-name.csv": ["Columns 7 and 8 have the same name, size_mm."],
    "utf-16-without-mark.txt": ["UTF-16 without a byte order mark", "CSV UTF-8"],
    "web-page.xls": ["HTML", "save it as CSV"],
    "workbook.xlsx": ["a workbook", "CSV UTF-8"],
}
FILES_WITH_REFUSED_ROWS: dict[str, dict[int, list[str]]] = {
    "cells-beyond-the-header.csv": {2: ["schema-columns"]},
    "excel-de-numbers.csv": {
        2: ["schema-value-error at found_on", "decimal-comma at size_mm"],
        3: ["schema-value-error at found_on", "ambiguous-number at size_mm"],
        4: ["decimal-comma at size_mm"],
    },
    "gap-in-a-list.csv": {
        2: ["schema-float-type at agents/2/dose"],
        3: ["schema-string-pattern-mismatch at agents.2.name"],
    },
    "mixed-facts.csv": {4: ["schema-extra-forbidden"]},
    "nul-byte.csv": {2: ["malformed at body_site"]},
    "several-header-spellings.csv": {2: ["schema-columns at size_mm"]},
    "sum-at-the-end.csv": {4: ["schema-missing at type"]},
    "whole-numbers.csv": {
        2: ["ambiguous-number at agents/0/dose", "schema-int-type at planned_cycles"],
        3: ["ambiguous-number at planned_cycles"],
        4: ["ambiguous-number at agents/0/dose", "ambiguous-number at planned_cycles"],
        5: ["schema-int-type at planned_cycles"],
    },
}


def read_file_facts(name: str, encoding: str | None = None) -> tuple[dict[int, Any], ImportReport]:
    """Returns the content of each row by its line, without nulls, and the report of refused rows."""
    lines = read_rows(decode_text((FILES / name).read_bytes(), encoding, column_at))
    tally, facts = ImportReport(), dict[int, Any]()
    tally.expect_lines(lines)
    for number, line in lines:
        if isinstance(line, InvalidLine):
            tally.refuse_line(number, line.faults)
            continue
        try:
            facts[number] = {
                member: value for member, value in stated_content(read_line(line)).items() if value is not None
            }
        except InvalidLine as wrong:
            tally.refuse(line, wrong.faults)
    return facts, tally


@pytest.mark.parametrize("name", READABLE_FILES)
def test_unambiguous_file_is_read(name: str) -> None:
    facts, tally = read_file_facts(name)
    assert (facts, tally.refusals) == (READABLE_FILES[name], [])


@pytest.mark.parametrize(("name", "encoding"), ENCODED_FILES)
def test_ambiguous_encoding_must_be_named(name: str, encoding: str) -> None:
    assert read_file_facts(name, encoding)[0] == ENCODED_FILES[name, encoding]


@pytest.mark.parametrize("name", UNREADABLE_FILES)
def test_unreadable_file_is_refused_with_advice(name: str) -> None:
    with pytest.raises(UnreadableFile) as error:
        read_file_facts(name)
    for part in UNREADABLE_FILES[name]:
        assert part in str(error.value)
    for cell in ("Müller", "Hélène", "seen\n", "thyroid"):
        assert cell not in str(error.value)


@pytest.mark.parametrize("name", FILES_WITH_REFUSED_ROWS)
def test_every_invalid_cell_is_reported_with_its_column(name: str) -> None:
    _, tally = read_file_facts(name)
    errors_by_line = {}
    for report in tally.refusals:
        errors = [report.error(fault) for fault in report.faults]
        errors_by_line[report.number] = [
            f"{error['code']}{f' at {column}' if (column := error.get('column')) else ''}" for error in errors
        ]
    assert errors_by_line == FILES_WITH_REFUSED_ROWS[name]


def test_every_test_file_has_an_expectation() -> None:
    expected_files = {
        *READABLE_FILES,
        *UNREADABLE_FILES,
        *FILES_WITH_REFUSED_ROWS,
        *(name for name, _ in ENCODED_FILES),
    }
    assert expected_files == {file.name for file in FILES.iterdir()}


def test_utf_8_byte_order_mark_contradicts_another_encoding() -> None:
    with pytest.raises(UnreadableFile, match="mark of UTF-8: leave out --encoding"):
        decode_text(b"\xef\xbb\xbftype,ref\n", "windows-1252")
    with pytest.raises(UnreadableFile, match="is not windows-1252"):
        decode_text(b"type,ref\n\x81,p1\n", "windows-1252")


@pytest.mark.parametrize(
    "number", ["12,5", "1.234,5", "1,234", "1,234.5", "1.234.567", "1 500", "1'500", "1e2", "1.5E+03"]
)
@pytest.mark.parametrize("separator", [";", "\t"])
def test_ambiguous_number_is_refused(number: str, separator: str) -> None:
    table = "participant,lesion_id,kind,body_site,found_on,size_mm\nK7F2-9QXA-3,L1,node,neck,2024,NUMBER\n"
    ((_, line),) = read_rows(table.replace(",", separator).replace("NUMBER", number), "lesion.registered")
    assert isinstance(line, ImportLine)
    with pytest.raises(InvalidLine) as wrong:
        read_line(line)
    assert [fault.code for fault in wrong.value.faults] in (["decimal-comma"], ["ambiguous-number"])
    assert number not in wrong.value.faults[0].message


@pytest.mark.parametrize(
    ("number", "value"), [("12.5", 12.5), ("0.125", 0.125), ("1500", 1500), ("1.50", 1.5), ("7", 7)]
)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_unambiguous_number_is_read(number: str, value: float, separator: str) -> None:
    table = "participant,line_id,on,agents/0/name,agents/0/dose,setting\nK7F2-9QXA-3,S1,2024,x,NUMBER,other\n"
    ((_, line),) = read_rows(table.replace(",", separator).replace("NUMBER", number), "systemic_therapy.started")
    assert isinstance(line, ImportLine)
    assert read_line(line).model_dump()["agents"][0]["dose"] == value


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("#N/A", "spreadsheet-value"),
        ("#NV", "spreadsheet-value"),
        ("#REF!", "spreadsheet-value"),
        ("#WERT!", "spreadsheet-value"),
        ("#NAME?", "spreadsheet-value"),
        ("#DIV/0!", "spreadsheet-value"),
        ("########", "spreadsheet-value"),
        ("4.71123E+11", "spreadsheet-value"),
        ("4,71E+11", "spreadsheet-value"),
        ("Dr. MÃ¼ller", "garbled-text"),
        ("HÃ©lÃ¨ne", "garbled-text"),
    ],
)
def test_texts_damaged_by_a_spreadsheet_program_are_refused(cell: str, code: str) -> None:
    ((_, line),) = read_rows(
        f'performed_on;kind;body_site;participant;detail\n2024;biopsy;neck;K7F2-9QXA-3;"{cell}"\n',
        "procedure.performed",
    )
    assert isinstance(line, ImportLine)
    with pytest.raises(InvalidLine) as wrong:
        read_line(line)
    assert [(fault.code, fault.pointer) for fault in wrong.value.faults] == [(code, "/detail")]


@pytest.mark.parametrize(
    "cell", ["1E5", "00123", "#1", "Müller", "Łódź", "É", "node #2!", "NA", "1.500", "12,5", "=A1"]
)
def test_ordinary_text_is_read_unchanged(cell: str) -> None:
    table = f"performed_on\tkind\tbody_site\tparticipant\tdetail\n2024\tbiopsy\tneck\tK7F2-9QXA-3\t{cell}\n"
    ((_, line),) = read_rows(table, "procedure.performed")
    assert isinstance(line, ImportLine)
    assert stated_content(read_line(line))["detail"] == cell


@pytest.mark.parametrize("cell", ["WAHR", "yes", "1", "x"])
def test_only_true_and_false_are_booleans(cell: str) -> None:
    ((_, line),) = read_rows(
        f"participant,died_on,cause,presumed\nK7F2-9QXA-3,2024,unknown,{cell}\n", "participant.died"
    )
    assert isinstance(line, ImportLine)
    with pytest.raises(InvalidLine, match="schema-bool-type"):
        read_line(line)
