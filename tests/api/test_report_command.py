"""The command `quartal report`: files of a data cut, whole and never over others."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

import pytest

from infra.reference.study import PAPER_CUT, subject
from tests.api.support.import_files import CommandResult, run_quartal
from tests.api.support.study import wait_until
from tests.demo import Demo

REFERENCE, CUT = "atc-rt", PAPER_CUT["name"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def run_report(demo: Demo, folder: Path, *options: str, cut: str = CUT) -> CommandResult:
    return run_quartal(demo, "report", "--study", REFERENCE, "--cut", cut, "--output", str(folder), *options)


def test_report_is_written_once_and_never_over_another_file(demo: Demo, folder: Path) -> None:
    first = run_report(demo, folder)
    assert first.code == 0, first.stderr
    file = folder / f"{REFERENCE}_{CUT}_report.pdf"
    content = file.read_bytes()
    assert content.startswith(b"%PDF-")
    assert f"SHA-256 {sha256(content).hexdigest()}" in first.stdout
    assert {path.name for path in folder.iterdir()} == {Path(line.partition(": ")[0]).name for line in lines(first)}
    assert all("was there already" in line for line in lines(run_report(demo, folder)))
    file.write_bytes(b"notes of somebody")
    refused = run_report(demo, folder)
    assert (refused.code, file.read_bytes()) == (2, b"notes of somebody")
    assert "is there and has other content" in refused.stderr


def lines(result: CommandResult) -> list[str]:
    return result.stdout.splitlines()


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (["--cut", "never"], 1, "no data cut of that name"),
        (["--token", "x.y.z"], 1, "token is not accepted"),
        (["--output", "missing/folder"], 2, "There is no folder"),
    ],
)
def test_report_that_cannot_be_had_writes_nothing(
    demo: Demo, folder: Path, options: list[str], code: int, sentence: str
) -> None:
    refused = run_report(demo, folder, *options)
    assert (refused.code, list(folder.iterdir())) == (code, [])
    assert sentence in refused.stderr
    assert not re.search("Traceback", refused.stderr)


def test_readers_get_the_report_alone(demo: Demo, folder: Path) -> None:
    with demo.client("administrator") as http:
        grant = {"member": subject(REFERENCE, "reader", None), "role": "reader"}
        http.post(f"/enrollment/v1/studies/{REFERENCE}/facts/study.member_granted", json=grant).raise_for_status()
    wait_until(lambda: has_read(demo), "the grant is known")
    result = run_report(demo, folder, "--token", demo.token("reader"))
    assert result.code == 0, result.stderr
    assert [path.name for path in folder.iterdir()] == [f"{REFERENCE}_{CUT}_report.pdf"]


def has_read(demo: Demo) -> bool:
    with demo.client("reader") as http:
        return http.get(f"/analytics/v1/studies/{REFERENCE}/figures/flow.json").status_code == 200
