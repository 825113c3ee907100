"""Commands and files that the README and the other documents name exist. Nothing is started."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.readme import BLOCKS, CHECKOUT, DEMO_BLOCKS, README, UNTYPED_BLOCKS
from tests.recipes.recipe_text import new_files


def make_recipe(name: str) -> str:
    """Returns the recipe of a target of the Makefile."""
    rule = re.search(rf"^{name}:.*\n((?:\t.*\n)+)", (CHECKOUT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert rule, f"the Makefile has no target {name}"
    return rule[1]


def test_readme_contains_both_commands_and_five_requests() -> None:
    assert BLOCKS[:2] == UNTYPED_BLOCKS
    assert sum(block.count("curl ") for block in DEMO_BLOCKS) == 5


def test_make_demo_runs_the_demo_command() -> None:
    assert make_recipe("demo").strip() == "@exec .venv/bin/quartal demo"


def test_make_test_runs_every_test_and_ci_runs_it() -> None:
    assert "sh infra/ci/test.sh" in make_recipe("test")
    assert "-m pytest tests " in (CHECKOUT / "infra" / "ci" / "test.sh").read_text("utf-8")
    assert re.search(r"^make test$", (CHECKOUT / ".ci" / "run").read_text("utf-8"), re.MULTILINE)


def test_readme_has_at_most_150_lines() -> None:
    assert len(README.splitlines()) <= 150


def document_params() -> list[Any]:
    paths = [*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").rglob("*.md")]
    return [pytest.param(path, id=path.relative_to(CHECKOUT).as_posix()) for path in sorted(paths)]


@pytest.mark.parametrize("document", document_params())
def test_every_link_to_a_file_exists(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text("utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", document_params())
def test_every_file_named_in_the_documents_exists(document: Path) -> None:
    file_names = re.findall(r"`((?:shared|services|infra|tests|docs|bench)/[\w/.-]+)`", document.read_text("utf-8"))
    made_by_recipes = {*new_files(), "shared/contracts/golden/imaging.performed.v1.json"}
    assert [name for name in file_names if not (CHECKOUT / name).exists() and name not in made_by_recipes] == []
