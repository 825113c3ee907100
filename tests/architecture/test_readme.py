"""The README and the other documents: what they say of commands and files is so. Nothing is started."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.readme import BLOCKS, CHECKOUT, COMMANDS, README, TYPED


def target(name: str) -> str:
    """The recipe of a target of the Makefile."""
    rule = re.search(rf"^{name}:.*\n((?:\t.*\n)+)", (CHECKOUT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert rule, f"the Makefile has no target {name}"
    return rule[1]


def test_the_readme_gives_the_two_commands_and_at_least_one_request() -> None:
    assert BLOCKS[:2] == COMMANDS
    assert sum(block.count("curl ") for block in TYPED) == 5


def test_make_demo_is_the_demo_that_the_tests_start() -> None:
    assert target("demo").strip() == "@exec .venv/bin/quartal demo"


def test_make_test_runs_every_test_and_is_what_a_change_must_pass() -> None:
    assert "sh infra/ci/test.sh" in target("test")
    assert "-m pytest tests " in (CHECKOUT / "infra" / "ci" / "test.sh").read_text("utf-8")
    assert re.search(r"^make test$", (CHECKOUT / ".ci" / "run").read_text("utf-8"), re.MULTILINE)


def test_the_readme_can_be_read_at_one_sitting() -> None:
    assert len(README.splitlines()) <= 150


def documents() -> list[Any]:
    found = [*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").rglob("*.md")]
    return [pytest.param(each, id=each.relative_to(CHECKOUT).as_posix()) for each in sorted(found)]


@pytest.mark.parametrize("document", documents())
def test_every_link_to_a_file_leads_to_one(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text("utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", documents())
def test_every_file_that_is_named_is_there(document: Path) -> None:
    named = re.findall(r"`((?:shared|services|infra|tests|docs|bench)/[\w/.-]+)`", document.read_text("utf-8"))
    made_by_the_recipe = {"tests/unit/enrollment/test_imaging.py", "shared/contracts/golden/imaging.performed.v1.json"}
    assert [name for name in named if not (CHECKOUT / name).exists() and name not in made_by_the_recipe] == []
