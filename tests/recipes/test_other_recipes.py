"""Recipes of CONTRIBUTING.md beyond that of a fact, followed to the letter on one copy of the code."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from services.analytics.derivation.derive import DERIVATION_VERSION
from tests.recipes.recipe_text import (
    Edit,
    assert_tests_pass,
    copy_code,
    edits,
    raise_derivation_version,
    raises_derivation_version,
    run_python,
)

QUERY_RULE = "A new data query rule"
FIGURE = "A new figure"
MIGRATION = "A new migration"
COLUMN = "A new derived column"
SETTING = "A new setting"
PAGE = "A new page"
RECIPES = (QUERY_RULE, FIGURE, MIGRATION, COLUMN, SETTING, PAGE)
TESTS_OF_EVERY_PAGE = (
    "tests/unit/analytics/test_study_header.py::test_address_of_every_page_is_one_of_its_own_routes",
    "tests/architecture/test_read_log.py",
    "tests/architecture/test_parameters.py",
    "tests/architecture/test_cross_site_protection.py",
)
PRINT_NAVIGATION_SCRIPT = """
from services.analytics.page_registry import PAGE_MODULES
from services.analytics.study_header import navigation_links
from shared.security.grants import Grant, Rights
from shared.settings import Settings
from services.analytics.app import create_app
pages = [module.PAGE for module in PAGE_MODULES]
links = list(navigation_links(pages, "{study_id}", Rights("member", frozenset({Grant("reader", None)})), pages[0]))
print(*(link.label for link in links))
print({link.href for link in links} <= {route.path for route in create_app(Settings()).routes})
"""
PRINT_SETTINGS_SCRIPT = """
from typer.testing import CliRunner
from infra.cli import app
print(CliRunner().invoke(app, ["doctor"], env={"COLUMNS": "200", "QUARTAL_LOG_LEVEL": "ERROR"}).output)
"""
PRINT_LOG_LEVEL_SCRIPT = """
import logging, os, sys
from services.toxicity.__main__ import SERVICE_PROCESS
os.environ["QUARTAL_LOG_LEVEL"], sys.argv[1:] = "ERROR", ["migrate"]
try:
    SERVICE_PROCESS.main()
except ValueError as error:
    print(error, logging.getLevelName(logging.getLogger().level))
"""
MIGRATION_TESTS = ("tests/integration/test_migrations.py", "tests/integration/test_row_level_security.py")
TESTS_OF_EVERY_COLUMN = (
    "tests/unit/analytics/derivation",
    "tests/unit/analytics/snapshot",
    *(
        f"tests/integration/test_{name}"
        for name in (
            "deriver.py::test_rows_read_from_the_database_equal_those_derived_from_the_facts",
            "rebuild.py::test_rows_after_a_rebuild_equal_those_before",
        )
    ),
)
TESTS_OF_EVERY_FIGURE = (
    "tests/unit/analytics/figures/test_answers.py",
    "tests/unit/analytics/live/test_parts.py",
    "tests/contracts/test_openapi_snapshots.py",
    "tests/integration/test_figure_reproducibility.py",
    *(
        f"tests/api/test_api_analytics.py::test_{name}"
        for name in (
            "figure_list_names_figures_and_parameters",
            "figure_states_study_position_cut_and_parameters",
            "figure_svg_contains_no_script_or_link",
        )
    ),
)


def new_tests(heading: str) -> list[str]:
    return [edit.file for edit in edits(heading) if edit.is_new_file and edit.file.startswith("tests/")]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout to which all these recipes were applied, with its contracts written."""
    folder = tmp_path_factory.mktemp("recipes")
    copy_code(folder)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)  # tests of names ask which files there are
    for heading in RECIPES:
        for edit in edits(heading):
            edit.apply(folder)
        if raises_derivation_version(heading):
            raise_derivation_version(folder)
    run_python(folder, "-m", "tests.contracts.snapshots")
    return folder


@pytest.mark.parametrize("heading", RECIPES)
def test_recipe_is_short_and_has_a_test(heading: str) -> None:
    lines = [line for edit in edits(heading) for line in edit.text.splitlines()]
    assert len(lines) <= 100
    assert new_tests(heading) != []


@pytest.mark.parametrize("heading", RECIPES)
def test_recipe_satisfies_linter_and_formatter(tree: Path, heading: str) -> None:
    files = sorted({edit.file for edit in edits(heading) if edit.file.endswith(".py")})
    run_python(tree, "-m", "ruff", "check", "--no-cache", *files)
    run_python(tree, "-m", "ruff", "format", "--no-cache", "--check", *files)


def test_new_rule_asks_and_is_listed(tree: Path) -> None:
    assert_tests_pass(tree, "tests/unit/analytics/queries", "tests/contracts/test_data_query_list.py")
    page = (tree / "docs/architecture/analytics/data-query-rules.md").read_text("utf-8")
    assert "- `course_before_enrollment`: Asks about a course" in page


def test_new_rule_and_new_column_raise_the_derivation_version(tree: Path) -> None:
    assert [heading for heading in RECIPES if raises_derivation_version(heading)] == [QUERY_RULE, COLUMN]
    digest = json.loads((tree / "tests/contracts/derivation_digest.json").read_text("utf-8"))
    assert digest["version"] == DERIVATION_VERSION + 2
    assert "course_before_enrollment" in digest["rules"]


def test_new_column_is_derived_stored_and_read(tree: Path) -> None:
    assert_tests_pass(tree, *TESTS_OF_EVERY_COLUMN)


def test_new_figure_is_answered_and_published_as_every_figure(tree: Path) -> None:
    assert_tests_pass(tree, *new_tests(FIGURE), *TESTS_OF_EVERY_FIGURE)
    document = json.loads((tree / "tests/contracts/openapi/analytics.json").read_text("utf-8"))
    assert "DeathsAnswer" in document["components"]["schemas"]


def test_new_migration_is_applied_and_read_by_its_roles(tree: Path) -> None:
    assert_tests_pass(tree, "-k", "notice or every_service or names or forced", *new_tests(MIGRATION), *MIGRATION_TESTS)


def test_new_setting_is_read_and_printed_with_its_meaning(tree: Path) -> None:
    assert "docker-compose.yml" not in {edit.file for edit in edits(SETTING)}, "containers read settings from .env"
    assert_tests_pass(tree, *new_tests(SETTING), "tests/unit/web/test_limits_documented.py")
    settings_table = run_python(tree, "-c", PRINT_SETTINGS_SCRIPT)
    assert re.search(r"log_level\W+ERROR\W+lowest level that is logged", settings_table), settings_table
    assert run_python(tree, "-c", PRINT_LOG_LEVEL_SCRIPT) == "QUARTAL_TOXICITY_APP_URL is not set ERROR\n"


def test_new_page_lists_the_sites_and_keeps_the_rules_of_every_page(tree: Path) -> None:
    assert_tests_pass(tree, *new_tests(PAGE), *TESTS_OF_EVERY_PAGE)
    assert run_python(tree, "-c", PRINT_NAVIGATION_SCRIPT) == "Cohort Sites\nTrue\n"


def test_code_of_all_recipes_keeps_names_and_import_rules(tree: Path) -> None:
    assert_tests_pass(tree, "tests/architecture/test_names.py")
    run_python(tree, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-cache")


def test_block_is_placed_beside_a_line_that_occurs_once(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("one\n  two\n", "utf-8")
    edit = Edit(placement="In", file="names.txt", side="above", anchor="two", text="  new\n")
    edit.apply(tmp_path)
    assert (tmp_path / "names.txt").read_text("utf-8") == "one\n  new\n  two\n"
    replace(edit, side="in place of").apply(tmp_path)
    assert (tmp_path / "names.txt").read_text("utf-8") == "one\n  new\n  new\n"
    (tmp_path / "names.txt").write_text("two\ntwo\n", "utf-8")
    with pytest.raises(AssertionError, match="2 times"):
        edit.apply(tmp_path)
