"""What the README tells people to type is typed here, on a running stack."""

from __future__ import annotations

import re
import subprocess
import time
from dataclasses import dataclass

from tests.demo import Demo
from tests.readme import CHECKOUT, TYPED

SEEN_WITHIN, LOOKS_EVERY = 20.0, 0.2  # seconds


@dataclass(frozen=True)
class Shell:
    """One terminal at the root of the checkout, in which every block is typed after the ones before it."""

    demo: Demo

    def run(self, *blocks: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join(blocks)], cwd=CHECKOUT, capture_output=True, text=True,
            env={**self.demo.environment, "no_proxy": "127.0.0.1"}, timeout=120, check=False,
        )  # fmt: skip

    def type(self, *blocks: str) -> str:
        ended = self.run(*blocks)
        assert ended.returncode == 0, ended.stderr or ended.stdout
        return ended.stdout


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


def test_a_refusal_can_be_read(demo: Demo) -> None:
    """As the README proposes: something that cannot be is stated, by its own commands."""
    shell = Shell(demo)
    shell.type(*TYPED[:-1])
    wrong = TYPED[1].replace("2024-03-06", "2099-03-06").replace("Idempotency-Key: first", "Idempotency-Key: wrong")
    ended = shell.run(TYPED[0], wrong)
    assert ended.returncode == 22
    assert '"code":"in-the-future"' in ended.stdout
    assert '"pointer":"/facts/2/data/enrolled_on"' in ended.stdout


def _counted(shell: Shell) -> bool:
    """Has the figure counted the participant, and is it shown as it was before her?"""
    now, before = re.findall(r'"enrolled":(\d+)', shell.type(*TYPED))[-2:]
    assert before == "0"
    return bool(now == "1")
