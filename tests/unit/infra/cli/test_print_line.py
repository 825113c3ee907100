"""Lines of a command whose terminal was closed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[4]
PRINT_LATER = """
import sys
from infra.cli.up import print_line
sys.stdin.readline()
print_line("analytics: killed")
print_line("Kafka crashed and is started again.")
"""


def test_command_prints_nothing_and_ends_well_after_its_terminal_was_closed() -> None:
    screen, terminal_end = os.openpty()
    command = [sys.executable, "-c", PRINT_LATER]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=terminal_end, text=True) as process:
        os.close(terminal_end)
        os.close(screen)
        process.communicate("\n", timeout=60)
    assert process.returncode == 0
