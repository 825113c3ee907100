"""The R script of an archive: it passes on the sets, and stops where a number of a figure is another one."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from services.analytics.datasets.archive import make_datasets
from services.analytics.figures.registry import FIGURES
from services.analytics.snapshot.seals import site_scope
from services.analytics.snapshot.snapshot import StudySnapshot
from tests.unit.analytics.datasets.support import (
    archive,
    divided_cohort,
    empty_cohort,
    files,
    linked_cohort,
    study_at_cut,
    two_sites,
    various_cohort,
)
from tests.unit.analytics.endpoints.cohorts import alive, cohort_of, dead, four_cases, treated
from tests.unit.analytics.endpoints.toxicity_cohorts import graded

RSCRIPT = shutil.which("Rscript")
pytestmark = pytest.mark.skipif(RSCRIPT is None, reason="R is not installed on this machine")
COHORTS: dict[str, Callable[[], StudySnapshot]] = {
    "four published cases": four_cases,
    "every kind of end": various_cohort,
    "registry links": linked_cohort,
    "several groups": divided_cohort,
    "nobody": empty_cohort,
    "one, censored on day 0": lambda: cohort_of([treated()]),
    "all censored": lambda: cohort_of([treated(*alive(day)) for day in (30, 60, 90)]),
    "nobody censored": lambda: cohort_of([treated(dead(day)) for day in (0, 30, 60)]),
    "graded in two versions": lambda: cohort_of(
        [
            treated(graded(10, 3)),
            treated(graded(20, 3, term="5.0:0130"), dead(30)),
            treated(graded(10, 1), graded(60, 3, term="5.0:0130"), *alive(90)),
        ]
    ),
    "graded in two versions, everybody": lambda: cohort_of([treated(graded(10, 1), graded(60, 3, term="5.0:0130"))]),
    "all die while others enter": lambda: cohort_of([treated(dead(20)), treated(dead(90), enrolled=50)]),
}


def check(folder: Path, content: bytes) -> subprocess.CompletedProcess[str]:
    """Unpacks an archive, and runs its script."""
    for name, member in files(content).items():
        (folder / name).write_bytes(member)
    return run(folder)


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(RSCRIPT), "check.R"], cwd=folder, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("snapshot", COHORTS.values(), ids=[*COHORTS])
def test_numbers_of_the_figures_are_those_of_the_sets(snapshot: Callable[[], StudySnapshot], tmp_path: Path) -> None:
    result = check(tmp_path, archive(snapshot()))
    numbers = len((tmp_path / "headline.csv").read_text().splitlines()) - 1
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{numbers} numbers of the figures are those of the data sets\n"


def test_script_stops_where_a_set_or_a_number_was_changed(tmp_path: Path) -> None:
    assert check(tmp_path, archive(various_cohort())).returncode == 0
    for name, pattern, changed, message in (
        ("adtte.csv", r"(,OS,.*),247,DAYS", r"\1,248,DAYS", "overall-survival/all/median/estimate: headline 246"),
        ("adsl.csv", r"^s,P-LOST.*\n", "", "flow/enrolled: headline 12, computed 11"),
        ("adtox.csv", r"(GRADED),3,", r"\1,2,", "toxicity-grades/3.0:"),
        ("headline.csv", r"(overall-survival,all/n),\d+", r"\1,99", "overall-survival/all/n: headline 99, computed "),
        ("headline.csv", r"flow,died", "flow,perished", "not computed: flow/perished"),
    ):
        original = (tmp_path / name).read_text()
        damaged, count = re.subn(pattern, changed, original, count=1, flags=re.MULTILINE)
        assert count == 1, (name, pattern)
        (tmp_path / name).write_text(damaged)
        result = run(tmp_path)
        assert result.returncode == 1, (name, result.stdout)
        assert message in result.stderr
        (tmp_path / name).write_text(original)


def check_site(folder: Path, moved: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Runs the script of the archive of Rome. `moved`: the sites that follow participants who were transferred."""
    return check(folder, make_datasets(study_at_cut(two_sites(), moved), site_scope("rome")))


def test_script_of_a_site_checks_its_figures_without_those_who_came_from_another_site(tmp_path: Path) -> None:
    result = check_site(tmp_path, {"P05": "rome"})
    numbers = len((tmp_path / "headline.csv").read_text().splitlines()) - 1
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"{numbers} numbers of the figures are those of the data sets\n"
    headline = (tmp_path / "headline.csv").read_text()
    assert "archive,overall-survival,page/deaths,3.0" in headline
    damaged = headline.replace("enrolled,overall-survival,page/deaths,2.0", "enrolled,overall-survival,page/deaths,3.0")
    assert damaged != headline
    (tmp_path / "headline.csv").write_text(damaged)
    result = run(tmp_path)
    assert result.returncode == 1
    assert "overall-survival/page/deaths: headline 3, computed 2" in result.stderr


def test_script_of_a_site_says_what_it_cannot_check(tmp_path: Path) -> None:
    result = check_site(tmp_path, {"P02": "milan"})
    rows = (tmp_path / "headline.csv").read_text().splitlines()
    unknown = sum(row.startswith("enrolled,") for row in rows)
    assert (result.returncode, result.stderr) == (0, "")
    first, second, *figures = result.stdout.splitlines()
    assert first == f"{len(rows) - 1 - unknown} numbers of the figures are those of the data sets"
    assert second == (
        f"{unknown} numbers of the figures of rome cannot be checked. They count 1 of its participants who are "
        "followed at another site, and whose records are not in these sets:"
    )
    names = [line.partition(":")[0].strip() for line in figures]
    assert names == [name for name, figure in FIGURES.items() if not figure.DISCLOSURE.person_level]
    assert "  flow: screened 5, enrolled 4, treated 4, stereotactic 0, and " in result.stdout
