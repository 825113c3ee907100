"""The recipe of CONTRIBUTING.md, followed to the letter on a copy of the code."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECIPE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
CLASS, RULE, TEST, SECOND_CLASS = re.findall(r"^```python\n(.*?)^```$", RECIPE, re.MULTILINE | re.DOTALL)
LANGUAGE, RULES, TESTS = (
    "shared/contracts/enrollment.py",
    "services/enrollment/participant.py",
    "tests/unit/enrollment/test_imaging.py",
)
PLUGINS_OF_OTHER_TESTS = ("cacheprovider", "playwright", "schemathesis")
MAKE_CONTRACTS = ("-m tests.contracts.snapshots", "-m shared.contracts.schemas write")
ASKS_FOR_ROUTES = """
import json
from shared.web.problem_types import PROBLEMS
from services.enrollment.app import create_app
from shared.settings import Settings
app = create_app(Settings())
print(*app.openapi()["paths"], *json.loads(PROBLEMS.read_text("utf-8")), sep="\\n")
"""

TAKES_ANY_FACT = (
    "tests/contracts",
    "tests/unit/analytics",
    "tests/unit/exchange",
    "tests/unit/infra/test_lives.py::test_every_kind_of_fact_that_a_timeline_has_words_for_is_told_and_what_is_about_records",
    *(
        f"tests/unit/test_properties.py::test_{name}"
        for name in (
            "every_fact_that_may_be_stated_is_among_those_that_are_tried",
            "every_fact_is_sometimes_admitted",
            "rules_object_to_any_set_of_facts_in_declared_words_and_never_fail",
        )
    ),
)
NOT_OF_OTHERS = "imaging or correct or enrollment or not ["
"""What is tried once for each fact is tried in the copy for the new one; the others are tried where they are."""
TRIED_OVER_HTTP = """
from tests.api.own_study import SAID
from tests.api.test_corrections import STORIES
print("imaging.performed" in SAID, "imaging.performed" in STORIES)
"""
ASKS_ABOUT_DEATH = """
from tests.unit.analytics.stories import died, treated
from tests.unit.enrollment.test_imaging import scan
print(*(query.text for query in treated(died(30), scan("CT1")).asked("fact_after_death")), sep="\\n")
"""


def python(folder: Path, *arguments: str) -> str:
    ended = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "HYPOTHESIS_STORAGE_DIRECTORY": str(ROOT / ".hypothesis")},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def passes(folder: Path, *what: str) -> None:
    python(
        folder, "-m", "pytest", "-q", *(f"-pno:{name}" for name in PLUGINS_OF_OTHER_TESTS), "-k", NOT_OF_OTHERS, *what
    )


def write_contracts(folder: Path) -> None:
    for command in MAKE_CONTRACTS:
        python(folder, *command.split())


def followed(folder: Path) -> None:
    """Steps 1 to 3."""
    language, rules, tests = folder / LANGUAGE, folder / RULES, folder / TESTS
    language.write_text(f"{language.read_text('utf-8')}\n\n{CLASS}", "utf-8")
    text = rules.read_text("utf-8").replace("    Enrolled,\n", "    Enrolled,\n    ImagingPerformed,\n", 1)
    (function,) = (
        node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef) and node.name == "objections"
    )
    lines = text.splitlines(keepends=True)
    rules.write_text("".join([*lines[: function.end_lineno], RULE, *lines[function.end_lineno :]]), "utf-8")
    tests.write_text(TEST, "utf-8")


@pytest.fixture(scope="module")
def later(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, published, and then with the recipe's second version."""
    folder = tmp_path_factory.mktemp("later") / "tree"
    shutil.copytree(tree, folder)
    language = folder / LANGUAGE
    language.write_text(language.read_text("utf-8").replace(CLASS, SECOND_CLASS), "utf-8")
    write_contracts(folder)
    return folder


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout with the recipe's fact in it and its contract written."""
    folder = tmp_path_factory.mktemp("recipe")
    listed = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    followed(folder)
    write_contracts(folder)
    return folder


def test_a_new_fact_takes_fewer_than_sixty_lines() -> None:
    assert len(f"{CLASS}{RULE}{TEST}".splitlines()) + len(["ImagingPerformed,"]) < 60


def test_all_that_is_tested_of_every_kind_of_fact_holds_for_the_new_one_without_a_word(tree: Path) -> None:
    passes(tree, TESTS, *TAKES_ANY_FACT)
    assert python(tree, "-c", TRIED_OVER_HTTP).split() == ["True", "True"]
    assert "The fact imaging.performed of 2024-03-07 is dated after the death" in python(tree, "-c", ASKS_ABOUT_DEATH)


def test_a_second_version_of_it_is_published_beside_the_first_and_the_whole_contract_holds(later: Path) -> None:
    names = {path.name for path in (later / "shared/contracts/golden").glob("*.json")}
    assert {f"imaging.performed.v{version}.json" for version in (1, 2)} <= names
    assert {f"record.corrected.enrollment.v{version}.json" for version in (1, 2)} <= names
    passes(later, "tests/contracts")


def test_the_new_fact_has_its_route_and_its_refusal_a_meaning(tree: Path) -> None:
    served = python(tree, "-c", ASKS_FOR_ROUTES).splitlines()
    assert "/enrollment/v1/studies/{study_id}/participants/{participant_id}/facts/imaging.performed" in served
    assert "imaging-exists" in served


@pytest.mark.parametrize("which", ["tree", "later"])
def test_the_recipe_is_written_in_our_own_style(which: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(which)
    python(folder, "-m", "ruff", "check", "--no-cache", LANGUAGE, RULES, TESTS)
    python(folder, "-m", "ruff", "format", "--no-cache", "--check", LANGUAGE, RULES, TESTS)


def test_make_contracts_writes_what_the_recipe_says() -> None:
    rule = re.search(r"^contracts:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert rule
    assert [line.strip().removeprefix("$(PY) ") for line in rule[1].splitlines()] == [*MAKE_CONTRACTS]
