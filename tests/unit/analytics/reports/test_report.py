"""The report of a data cut: the same bytes everywhere, of bounded size, and no text of a study is markup."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from services.analytics.figures.registry import FIGURES
from services.analytics.reports.content import Report, build_report
from services.analytics.reports.print_format import MAX_TABLE_ROWS, print_picture, round_cell, visible
from services.analytics.reports.report import make_report
from services.analytics.snapshot.seals import READERS_SCOPE, STUDY_SCOPE, site_scope
from shared.testing.builders import facts
from shared.testing.builders.follow_up_facts import participant_died
from shared.version import VERSION
from tests.unit.analytics.reports.sealed_studies import COHORT, TREATED, sealed_study

ROOT = Path(__file__).parents[4]
HOSTILE_TITLES = (
    '#read("/etc/passwd")',
    "*bold* _it_ $x^2$ `raw` <label> @cite \\ // /* ] } ) #{ #[",
    "= Heading\n- list\n+ enum",
    "\"quotes\" and 'quotes' and \u201equotes\u201d",
    "\u05e9\u05dc\u05d5\u05dd \u202eabc \u0645\u0631\u062d\u0628\u0627",
    "\u4e2d\u6587 \U0001f600 e\u0301 \x00 \x1b[31m",
    "W" * 500,
    "word " * 100,
    "x",
)
PROGRAM = """
from hashlib import sha256
from services.analytics.reports.report import make_report
from services.analytics.snapshot.seals import STUDY_SCOPE
from tests.unit.analytics.reports.sealed_studies import COHORT, sealed_study
print(sha256(make_report(sealed_study(COHORT), STUDY_SCOPE)).hexdigest())
"""


def report(study_title: str = "A study") -> Report:
    return build_report(sealed_study(COHORT, title=study_title), STUDY_SCOPE)


def test_report_is_the_same_bytes_in_another_folder_zone_and_locale(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "TZ": "Pacific/Kiritimati",
        "LANG": "de_DE.UTF-8",
        "LC_ALL": "C",
        "SOURCE_DATE_EPOCH": "1",
        "PYTHONHASHSEED": "7",
    }
    other = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert other.stdout.strip() == sha256(make_report(sealed_study(COHORT), STUDY_SCOPE)).hexdigest()


def test_report_is_a_tagged_pdf_of_the_day_of_the_cut() -> None:
    pdf = make_report(sealed_study(COHORT), STUDY_SCOPE)
    assert pdf.startswith(b"%PDF-1.7")
    assert b"/MarkInfo" in pdf
    assert b"<pdfuaid:part>1</pdfuaid:part>" in pdf
    assert b"/CreationDate (D:20240201090000Z" in pdf.replace(b"/CreationDate(", b"/CreationDate (")
    assert b"<dc:language><rdf:Bag><rdf:li>en-US</rdf:li>" in pdf


@pytest.mark.parametrize("title", HOSTILE_TITLES, ids=range(len(HOSTILE_TITLES)))
def test_title_of_a_study_is_never_markup(title: str) -> None:
    study = sealed_study(COHORT, title=title)
    one_figure = dict([*study.figures.items()][:1])  # a title is typeset the same way beside one figure as beside all
    pdf = make_report(replace(study, figures=one_figure), STUDY_SCOPE)
    stored = re.search(rb'<dc:title><rdf:Alt><rdf:li xml:lang="x-default">(.*?)</rdf:li>', pdf, re.DOTALL)
    assert stored is not None
    title_in_pdf = stored[1].decode()
    assert title_in_pdf.endswith(": report of data cut interim")
    assert b"root:x:0" not in pdf
    if title.isascii() and title.isprintable():
        assert title_in_pdf.startswith(escape(title, {'"': "&quot;", "'": "&apos;"}).strip()[:40])
    assert len(pdf) < 2_000_000


def test_characters_that_no_font_has_are_printed_as_numbers() -> None:
    pdf = make_report(sealed_study(COHORT, title="\u4e2d!"), STUDY_SCOPE)
    assert b'<rdf:li xml:lang="x-default">[U+4E2D]!: report of data cut interim</rdf:li>' in pdf


def test_marks_of_direction_and_controls_are_left_out() -> None:
    assert visible({"a": ["x\u202ey\nz\x00", 1, None]}) == {"a": ["xy z", 1, None]}


@pytest.mark.parametrize("count", [0, 1, 31])
def test_any_number_of_participants_gives_a_report(count: int) -> None:
    participants = {f"{number:04}-2222-2222": (*TREATED, participant_died(100 + number)) for number in range(count)}
    study = sealed_study(participants)
    assert make_report(study, STUDY_SCOPE).startswith(b"%PDF-")
    content = build_report(study, STUDY_SCOPE)
    enrolled = [value for figure in content.figures[:1] for value, words in figure.headline if words == "enrolled"]
    assert enrolled == [str(count)]
    assert [figure.title for figure in content.figures] == [
        figure.TITLE for figure in FIGURES.values() if not figure.DISCLOSURE.person_level
    ]


def test_table_that_is_too_long_for_print_is_named_and_not_cut_off() -> None:
    deaths = range(MAX_TABLE_ROWS + 1)
    participants = {f"{number:04}-2222-2222": (*TREATED, participant_died(100 + number)) for number in deaths}
    content = build_report(sealed_study(participants), STUDY_SCOPE)
    (survival,) = [figure.table for figure in content.figures if figure.title == "Overall survival"]
    assert (survival.header, survival.rows) == ([], [])
    rows = f"Its table has {len(deaths) + 1} rows"
    assert survival.note == f"{rows}, which the file overall-survival.csv of this data cut has."
    assert all(len(figure.table.rows) <= MAX_TABLE_ROWS for figure in content.figures)


def test_report_has_no_row_of_a_single_participant() -> None:
    for scope in (STUDY_SCOPE, site_scope("rome"), READERS_SCOPE):
        printed = build_report(sealed_study(COHORT, scope), scope).model_dump_json()
        assert not [name for name in COHORT if name in printed]
    assert "the figures Treatments and Swimmer plot of the data cut show them" in report().notes[0]


def test_report_of_readers_has_what_was_published_and_nothing_else() -> None:
    exact, published = sealed_study(COHORT), sealed_study(COHORT, READERS_SCOPE)
    content = build_report(published, READERS_SCOPE)
    assert [figure.caption for figure in content.figures] == [
        figure.page_content().caption for figure in published.figures.values()
    ]
    printed = content.model_dump_json()
    assert exact.seal.digest not in printed  # it depends on facts that are not published
    assert "3 streams" not in printed
    assert not {digest for figure in exact.figures.values() for digest in figure.digests.values()} & set(
        re.findall(r"[0-9a-f]{64}", printed)
    ) - {digest for figure in published.figures.values() for digest in figure.digests.values()}


def test_report_states_where_its_numbers_come_from() -> None:
    study = sealed_study(COHORT)
    content = build_report(study, STUDY_SCOPE)
    assert dict(content.facts) | dict(content.provenance) == {
        "Study": "s",
        "Data cut": "interim",
        "Data cut-off": "2024-12-31",
        "Participants": "of all sites (1)",
        "Taken": "2024-02-01 09:00:00 UTC",
        "Position": "412",
        "Epoch of positions": "e1",
        "Frontier": "3 streams of facts",
        "SHA-256 of the frontier and its facts": study.seal.digest,
        "Figures sealed": "by Quartal 0.1.0",
        "Report made": f"by Quartal {VERSION}",
    }
    for name, figure in study.figures.items():
        if not FIGURES[name].DISCLOSURE.person_level:
            assert [f"{name}.json", figure.digests["json"]] in content.digests.rows


def test_who_is_not_counted_and_definitions_in_words_are_those_of_the_figures() -> None:
    study = sealed_study({**COHORT, "5555-5555-5555": facts.ENROLLMENT_FACTS})
    content = build_report(study, STUDY_SCOPE)
    numbers = json.loads(study.figures["overall-survival"].contents["json"])
    assert numbers["not_counted"] == [{"reason": "no_origin", "participants": 1}]
    assert ["Overall survival", "1 participant (no origin)", "0", "0"] in content.not_counted.rows
    words, definition = dict(content.definitions.rows), numbers["definition"]
    assert words.keys() == {figure.title for figure in content.figures}
    assert words["Overall survival"].endswith(f" Definition {definition['id']}, version {definition['version']}.")
    assert len(words["Overall survival"]) > 100


def test_definition_that_was_sealed_without_words_is_named_by_its_version() -> None:
    study = sealed_study(COHORT)
    figure = study.figures["overall-survival"]
    page = json.loads(figure.contents["page"])
    del page["definition"]
    wordless = replace(figure, contents={**figure.contents, "page": json.dumps(page).encode()})
    content = build_report(replace(study, figures={"overall-survival": wordless}), STUDY_SCOPE)
    definition = json.loads(figure.contents["json"])["definition"]
    assert content.definitions.rows == [["Overall survival", f"{definition['id']}, version {definition['version']}"]]


def test_every_picture_says_what_it_shows_and_fits_a_page() -> None:
    figures = report().figures
    assert sum(figure.picture is None for figure in figures) <= 1
    for figure in figures:
        if figure.picture is None:
            continue
        assert figure.picture.alternative.startswith(f"{figure.title}: ")
        assert all(value in figure.picture.alternative for value, _ in figure.headline)
        assert 0 < figure.picture.width <= 476
        assert 0 < figure.picture.height <= 560
        assert set(re.findall(r'font-family="([^"]*)"', figure.picture.svg)) == {"Source Sans Pro"}


def test_picture_that_nobody_could_read_is_left_out() -> None:
    assert print_picture('<svg viewBox="0 0 1 1" width="640" height="900"></svg>', "x") is not None
    assert print_picture('<svg viewBox="0 0 1 1" width="640" height="3000"></svg>', "x") is None


def test_picture_without_a_size_is_refused() -> None:
    with pytest.raises(ValueError, match="no size"):
        print_picture("<svg></svg>", "x")


@pytest.mark.parametrize(
    ("cell", "printed"),
    [
        ("0.171428571428571", "0.1714"),
        ("0.00005", "0.00005"),
        ("-12.345678", "-12.3457"),
        ("1.5e-05", "1.5e-05"),
        ("1.23456e-05", "0.000012"),
        ("0.00012345", "0.00012"),
        ("12", "12"),
        ("0.1234", "0.1234"),
        ("2024-12-31", "2024-12-31"),
        ("1.23456 months", "1.23456 months"),
    ],
)
def test_long_decimals_are_rounded_half_up(cell: str, printed: str) -> None:
    assert round_cell(cell) == printed
