"""The archive of data sets: the same bytes anywhere, and files that agree with each other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from hashlib import sha256
from io import BytesIO
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import pytest

from services.analytics.cuts.rendering import render_scope
from services.analytics.datasets.archive import make_datasets
from services.analytics.datasets.registry import DATA_SETS
from services.analytics.figures.page_content import PageContent
from services.analytics.figures.registry import FIGURES
from services.analytics.snapshot.seals import READERS_SCOPE, STUDY_SCOPE, site_scope
from shared.kernel.errors import ReadersSeeCuts
from tests.unit.analytics.datasets.support import (
    CUT_DAY,
    archive,
    cut_cohort,
    empty_cohort,
    files,
    study_at_cut,
    table,
    two_sites,
    various_cohort,
)
from tests.unit.analytics.endpoints.cohorts import four_cases

NAMES = [data_set.file_name for data_set in DATA_SETS]
DIGEST = (
    "from hashlib import sha256; from tests.unit.analytics.datasets.support import archive;"
    " from tests.unit.analytics.endpoints.cohorts import four_cases; print(sha256(archive(four_cases())).hexdigest())"
)


def test_bytes_depend_on_no_zone_locale_day_or_order_of_hashes() -> None:
    environment = {**os.environ, "TZ": "Pacific/Kiritimati", "LC_ALL": "de_DE.UTF-8", "PYTHONHASHSEED": "2"}
    elsewhere = subprocess.run(
        [sys.executable, "-c", DIGEST], env=environment, capture_output=True, check=True, text=True
    )
    assert elsewhere.stdout.strip() == sha256(archive(four_cases())).hexdigest()


def test_members_have_a_fixed_time_and_are_stored() -> None:
    with ZipFile(BytesIO(archive(various_cohort()))) as archived:
        members = archived.infolist()
    assert {member.date_time for member in members} == {(1980, 1, 1, 0, 0, 0)}
    assert {(member.compress_type, member.create_system, member.external_attr >> 16) for member in members} == {
        (ZIP_STORED, 3, 0o644)
    }
    names = [member.filename for member in members]
    assert names[:4] == ["README.txt", "check.R", "numbers.R", "headline.csv"]
    assert names[-1] == "manifest.sha256"
    assert {f"{name}.{kind}" for name in NAMES for kind in ("csv", "json")} <= set(names)


def test_manifest_has_the_digest_of_every_file() -> None:
    archived = files(archive(various_cohort()))
    manifest = archived.pop("manifest.sha256").decode()
    assert manifest == "".join(f"{sha256(content).hexdigest()}  {name}\n" for name, content in archived.items())


@pytest.mark.parametrize("name", NAMES)
def test_dataset_json_has_the_values_of_the_table(name: str) -> None:
    archived = files(archive(various_cohort()))
    document: dict[str, Any] = json.loads(archived[f"{name}.json"])
    columns = [column["name"] for column in document["columns"]]
    values = [
        {column: "" if value is None else str(value) for column, value in zip(columns, row, strict=True)}
        for row in document["rows"]
    ]
    assert values == table(archived, name)
    assert document["records"] == len(values) > 0
    assert (document["datasetJSONVersion"], document["itemGroupOID"]) == ("1.1.0", f"IG.{name.upper()}")
    assert document["datasetJSONCreationDateTime"] == "2024-02-01T09:00:00Z"
    kinds = {column["dataType"] for column in document["columns"]}
    assert kinds <= {"string", "integer", "double", "date"}
    keys = sorted(column["keySequence"] for column in document["columns"] if "keySequence" in column)
    assert keys == [*range(1, len(keys) + 1)]


def test_lines_end_with_a_line_feed_alone() -> None:
    archived = files(archive(various_cohort()))
    for name in NAMES:
        content = archived[f"{name}.csv"]
        assert b"\r" not in content
        assert content.endswith(b"\n")


def test_cohort_without_anybody_has_all_files() -> None:
    archived = files(archive(empty_cohort()))
    assert {name: records for name in NAMES if (records := len(table(archived, name)))} == {"adscr": 1, "adcut": 1}
    assert b"flow,enrolled,0\n" in archived["headline.csv"]


def test_nothing_that_is_dated_after_the_cut_is_shown() -> None:
    archived = files(archive(various_cohort(), 30))
    planned = {"advis", "adcut"}
    days = {
        value
        for name in set(NAMES) - planned
        for row in table(archived, name)
        for value in row.values()
        if len(value) == len("2024-02-01") and value[4] == value[7] == "-"
    }
    assert days
    assert max(days) <= cut_cohort(various_cohort(), 30).cut.cut_on.isoformat()


def test_sites_get_their_participants_and_readers_nobody() -> None:
    snapshot = various_cohort()
    sites = dict.fromkeys(cut_cohort(snapshot).numbers, "rome") | {"P-LOSTXXXXX": "milan"}
    study = study_at_cut(snapshot, sites)
    sites_by_scope = {
        scope.name: {row["USUBJID"]: row["CURSITE"] for row in table(files(make_datasets(study, scope)), "adsl")}
        for scope in (STUDY_SCOPE, site_scope("rome"), site_scope("milan"), site_scope("paris"))
    }
    assert sites_by_scope["site:milan"] == {"P-LOSTXXXXX": "milan"}
    assert sites_by_scope["site:paris"] == {}
    assert sites_by_scope["study"] == {**sites_by_scope["site:rome"], **sites_by_scope["site:milan"]}
    with pytest.raises(ReadersSeeCuts):
        make_datasets(study, READERS_SCOPE)


def test_read_me_names_the_study_the_cut_and_the_participants() -> None:
    archived = files(archive(various_cohort()))
    beginning = archived["README.txt"].decode()
    assert beginning.startswith(f"Data sets of the study s, data cut interim\nData cut-off {CUT_DAY}, position 412")
    assert "all participants" in beginning


@pytest.mark.parametrize("moved", [{}, {"P05": "rome"}, {"P02": "milan", "P05": "rome"}])
def test_archive_of_a_site_has_the_numbers_of_its_sealed_figures(moved: dict[str, str]) -> None:
    study, scope = study_at_cut(two_sites(), moved), site_scope("rome")
    pages = {
        file.figure: PageContent.model_validate_json(file.file.content)
        for file in render_scope(study, scope)
        if file.file_format == "page"
    }
    sealed = {(name, number): value for name, page in pages.items() for number, value, _ in page.headline}
    archived = files(make_datasets(study, scope))
    counted = {name: "archive" if FIGURES[name].DISCLOSURE.person_level else "enrolled" for name in FIGURES}
    numbers = {
        (row["FIGURE"], row["NAME"].removeprefix("page/")): row["VALUE"]
        for row in table(archived, "headline")
        if row["NAME"].startswith("page/") and row["PARTICIPANTS"] == counted[row["FIGURE"]]
    }
    undefined = {"not reached": "", "not defined": ""}
    assert numbers.keys() == sealed.keys()
    assert [key for key, value in sealed.items() if not is_same(numbers[key], undefined.get(value, value))] == []


def is_same(number: str, text: str) -> bool:
    return number == text == "" or float(number) == float(text.removesuffix(" %"))


def test_archive_of_a_site_names_nobody_whom_another_site_follows() -> None:
    archived = files(make_datasets(study_at_cut(two_sites(), {"P02": "milan", "P05": "rome"}), site_scope("rome")))
    hidden = [name for name, content in archived.items() for number in (b"P02", b"P06") if number in content]
    assert hidden == []
    (cut,) = table(archived, "adcut")
    assert (cut["SITEID"], cut["ELSEWHN"]) == ("rome", "1")
    assert b"of whom 1 are" in archived["README.txt"]
