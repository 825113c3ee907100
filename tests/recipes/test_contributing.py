"""The recipe of a fact in CONTRIBUTING.md, followed to the letter on a copy of the code."""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path

import pytest

from tests.recipes.recipe_text import ROOT, assert_tests_pass, code_blocks, copy_code, run_python

FACT_CLASS_SOURCE, PROBLEM_SOURCE, RULE_SOURCE, TEST_SOURCE = code_blocks("A new fact in under 60 lines")
(SECOND_VERSION_SOURCE,) = code_blocks("A second version of a fact")
FACTS_FILE, RULES_FILE, TEST_FILE = (
    "shared/contracts/enrollment.py",
    "services/enrollment/rules/participant.py",
    "tests/unit/enrollment/test_imaging.py",
)
CONTRACT_COMMANDS = ("-m tests.contracts.snapshots", "-m shared.contracts.json_schemas write")
PRINT_ROUTES_SCRIPT = """
import json
from shared.contracts.problem_types import PROBLEMS
from services.enrollment.app import create_app
from shared.settings import Settings
app = create_app(Settings())
print(*app.openapi()["paths"], *json.loads(PROBLEMS.read_text("utf-8")), sep="\\n")
"""

TESTS_OF_EVERY_FACT = (
    "tests/contracts",
    "tests/unit/contracts",
    "tests/unit/analytics",
    "tests/unit/infra/exchange",
    "tests/simulation/test_simulated_participants.py::test_every_described_fact_type_and_record_fact_is_simulated",
    *(
        f"tests/unit/test_rule_properties.py::test_{name}"
        for name in (
            "every_fact_type_is_generated",
            "every_fact_is_sometimes_admitted",
            "rules_raise_only_declared_objections_for_any_facts",
        )
    ),
)
WITHOUT_FACTS = tuple(
    f"--ignore=tests/unit/analytics/{name}"
    for name in ("datasets", "disclosure", "endpoints", "figures", "reminders", "reports", "statistics")
)
"""Tests of what is computed from rows. They know no type of a fact, and run in the checkout."""
TEST_SELECTION = "imaging or correct or enrollment or not ["
"""Tests that are parametrized by fact run in the copy for the new fact only; others run in the checkout."""
PRINT_HTTP_CASES_SCRIPT = """
from tests.api.support.study import EXAMPLE_BODIES
from tests.api.test_corrections import CORRECTION_CASES
print("imaging.performed" in EXAMPLE_BODIES, "imaging.performed" in CORRECTION_CASES)
"""
PRINT_DEATH_QUERIES_SCRIPT = """
from shared.testing.builders.follow_up_facts import participant_died
from tests.unit.analytics.support import treated_participant
from tests.unit.enrollment.test_imaging import scan
history = treated_participant(participant_died(30), scan("CT1"))
print(*(query.text for query in history.queries_of_rule("fact_after_death")), sep="\\n")
"""


def write_contracts(folder: Path) -> None:
    for command in CONTRACT_COMMANDS:
        run_python(folder, *command.split())


def apply_recipe(folder: Path) -> None:
    """Steps 1 to 3."""
    facts_file, rules, tests = folder / FACTS_FILE, folder / RULES_FILE, folder / TEST_FILE
    facts_file.write_text(f"{facts_file.read_text('utf-8')}\n\n{FACT_CLASS_SOURCE}", "utf-8")
    text = rules.read_text("utf-8").replace(
        "    ConsentWithdrawn,\n", "    ConsentWithdrawn,\n    ImagingPerformed,\n", 1
    )
    (function,) = (
        node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef) and node.name == "objections"
    )
    lines = text.splitlines(keepends=True)
    before, body, after = (
        lines[: function.lineno - 1],
        lines[function.lineno - 1 : function.end_lineno],
        lines[function.end_lineno :],
    )
    rules.write_text("".join([*before, f"{PROBLEM_SOURCE}\n\n", *body, RULE_SOURCE, *after]), "utf-8")
    tests.write_text(TEST_SOURCE, "utf-8")


@pytest.fixture(scope="module")
def later(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, published, and then with the recipe's second version."""
    folder = tmp_path_factory.mktemp("later") / "tree"
    shutil.copytree(tree, folder)
    facts_file = folder / FACTS_FILE
    facts_file.write_text(facts_file.read_text("utf-8").replace(FACT_CLASS_SOURCE, SECOND_VERSION_SOURCE), "utf-8")
    write_contracts(folder)
    return folder


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout with the recipe's fact in it and its contract written."""
    folder = tmp_path_factory.mktemp("recipe")
    copy_code(folder)
    apply_recipe(folder)
    write_contracts(folder)
    return folder


def test_new_fact_takes_fewer_than_sixty_lines() -> None:
    assert (
        len(f"{FACT_CLASS_SOURCE}{PROBLEM_SOURCE}{RULE_SOURCE}{TEST_SOURCE}".splitlines()) + len(["ImagingPerformed,"])
        < 60
    )


def test_tests_of_every_fact_type_pass_for_the_new_fact(tree: Path) -> None:
    assert_tests_pass(tree, "-k", TEST_SELECTION, *WITHOUT_FACTS, TEST_FILE, *TESTS_OF_EVERY_FACT)
    assert run_python(tree, "-c", PRINT_HTTP_CASES_SCRIPT).split() == ["True", "True"]
    assert "The fact imaging.performed of 2024-03-07 is dated after the death" in run_python(
        tree, "-c", PRINT_DEATH_QUERIES_SCRIPT
    )


def test_second_version_is_published_beside_the_first_and_contracts_hold(later: Path) -> None:
    names = {path.name for path in (later / "shared/contracts/golden").glob("*.json")}
    assert {f"imaging.performed.v{version}.json" for version in (1, 2)} <= names
    assert {f"record.corrected.enrollment.v{version}.json" for version in (1, 2)} <= names
    assert_tests_pass(later, "-k", TEST_SELECTION, "tests/contracts", "tests/unit/contracts")


def test_new_fact_has_a_route_and_its_refusal_a_description(tree: Path) -> None:
    served = run_python(tree, "-c", PRINT_ROUTES_SCRIPT).splitlines()
    assert "/enrollment/v1/studies/{study_id}/participants/{participant_id}/facts/imaging.performed" in served
    assert "imaging-exists" in served


@pytest.mark.parametrize("which", ["tree", "later"])
def test_recipe_satisfies_linter_and_formatter(which: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(which)
    run_python(folder, "-m", "ruff", "check", "--no-cache", FACTS_FILE, RULES_FILE, TEST_FILE)
    run_python(folder, "-m", "ruff", "format", "--no-cache", "--check", FACTS_FILE, RULES_FILE, TEST_FILE)


def test_make_contracts_runs_the_commands_of_the_recipe() -> None:
    rule = re.search(r"^contracts:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert rule
    assert [line.strip().removeprefix("$(PY) ") for line in rule[1].splitlines()] == [*CONTRACT_COMMANDS]
