"""What the README tells people to type is typed here, on a running stack."""

from __future__ import annotations

import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.demo import Demo

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS: list[str] = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
COMMANDS = ["make demo\n", "make test\n"]
TYPED = [block for block in BLOCKS if block not in COMMANDS]
SEEN_WITHIN, LOOKS_EVERY = 20.0, 0.2  # seconds


@dataclass(frozen=True)
class Shell:
    """One terminal at the root of the checkout, in which every block is typed after the ones before it."""

    demo: Demo

    def type(self, *blocks: str) -> str:
        ended = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join(blocks)], cwd=ROOT, capture_output=True, text=True,
            env={**self.demo.environment, "no_proxy": "127.0.0.1"}, timeout=120, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr or ended.stdout
        return ended.stdout


def target(name: str) -> str:
    """The recipe of a target of the Makefile."""
    rule = re.search(rf"^{name}:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert rule, f"the Makefile has no target {name}"
    return rule[1]


def test_every_command_of_the_readme_does_what_it_says(demo: Demo) -> None:
    shell = Shell(demo)
    first = shell.type(*TYPED[:-1])
    assert first.count('"version":') == 3
    assert re.search(r'"participant_id":"[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]"', first)
    deadline = time.monotonic() + SEEN_WITHIN
    while not _counted(shell):
        assert time.monotonic() < deadline, "the figure does not count the participant"
        time.sleep(LOOKS_EVERY)
    assert shell.type(*TYPED[:-1]) == first, "the same requests again give the same answers"


def _counted(shell: Shell) -> bool:
    """Has the figure counted the participant, and is it shown as it was before her?"""
    now, before = re.findall(r'"enrolled":(\d+)', shell.type(*TYPED))[-2:]
    assert before == "0"
    return bool(now == "1")


def test_the_readme_gives_the_two_commands_and_at_least_one_request() -> None:
    assert BLOCKS[:2] == COMMANDS
    assert sum(block.count("curl ") for block in TYPED) == 5


def test_make_demo_is_the_demo_that_is_tried_here() -> None:
    assert target("demo").strip() == "@exec .venv/bin/quartal demo"


def test_make_test_runs_every_test_and_is_what_a_change_must_pass() -> None:
    assert "sh infra/ci/test.sh" in target("test")
    assert "-m pytest tests " in (ROOT / "infra" / "ci" / "test.sh").read_text("utf-8")
    assert re.search(r"^make test$", (ROOT / ".ci" / "run").read_text("utf-8"), re.MULTILINE)


def test_the_readme_can_be_read_at_one_sitting() -> None:
    assert len(README.splitlines()) <= 150


def documents() -> list[Any]:
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return [pytest.param(each, id=each.relative_to(ROOT).as_posix()) for each in sorted(found)]


@pytest.mark.parametrize("document", documents())
def test_every_link_to_a_file_leads_to_one(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text("utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", documents())
def test_every_file_that_is_named_is_there(document: Path) -> None:
    named = re.findall(r"`((?:shared|services|infra|tests|docs|bench)/[\w/.-]+)`", document.read_text("utf-8"))
    made_by_the_recipe = {"tests/unit/enrollment/test_imaging.py", "shared/contracts/golden/imaging.performed.v1.json"}
    assert [name for name in named if not (ROOT / name).exists() and name not in made_by_the_recipe] == []
