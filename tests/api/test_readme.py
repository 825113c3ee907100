"""Runs the commands of the README on a running stack."""

from __future__ import annotations

import re
import subprocess
import time
from dataclasses import dataclass

from tests.demo import Demo
from tests.readme import CHECKOUT, DEMO_BLOCKS

TIMEOUT_SECONDS, POLL_INTERVAL_SECONDS = 20.0, 0.2  # seconds


@dataclass(frozen=True)
class Shell:
    """One terminal at the root of the checkout, in which every block is typed after the ones before it."""

    demo: Demo

    def run(self, *blocks: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join(blocks)],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            env={**self.demo.environment, "no_proxy": "127.0.0.1"},
            timeout=120,
            check=False,
        )

    def run_checked(self, *blocks: str) -> str:
        result = self.run(*blocks)
        assert result.returncode == 0, result.stderr or result.stdout
        return result.stdout


def test_every_readme_command_works_and_is_repeatable(demo: Demo) -> None:
    shell = Shell(demo)
    first_output = shell.run_checked(*DEMO_BLOCKS[:-1])
    assert first_output.count('"version":') == 3
    assert re.search(r'"participant_id":"[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]"', first_output)
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not _is_counted(shell):
        assert time.monotonic() < deadline, "the figure does not count the participant"
        time.sleep(POLL_INTERVAL_SECONDS)
    assert shell.run_checked(*DEMO_BLOCKS[:-1]) == first_output, "the same requests again give the same responses"


def test_readme_example_of_a_refusal_returns_code_and_pointer(demo: Demo) -> None:
    """An impossible fact is refused, with the commands of the README."""
    shell = Shell(demo)
    shell.run_checked(*DEMO_BLOCKS[:-1])
    invalid_request = (
        DEMO_BLOCKS[1].replace("2024-03-06", "2099-03-06").replace("Idempotency-Key: first", "Idempotency-Key: wrong")
    )
    result = shell.run(DEMO_BLOCKS[0], invalid_request)
    assert result.returncode == 22
    assert '"code":"in-the-future"' in result.stdout
    assert '"pointer":"/facts/2/data/enrolled_on"' in result.stdout


def _is_counted(shell: Shell) -> bool:
    """Has the figure counted the participant, and is it shown as it was before her?"""
    current_count, past_count = re.findall(r'"enrolled":(\d+)', shell.run_checked(*DEMO_BLOCKS))[-2:]
    assert past_count == "0"
    return bool(current_count == "1")
