"""The processes of a running demo, as an administrator of the machine finds them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from tests.demo import Demo

TIMEOUT_SECONDS = 60.0  # seconds until a promise counts as broken
_POLL_INTERVAL_SECONDS = 0.05


def wait_until(condition: Callable[[], object], description: str, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
    """Returns when the condition holds. Raises AssertionError if it does not within so many seconds."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_seconds:g} s: {description}"
        time.sleep(_POLL_INTERVAL_SECONDS)


def find_processes(folder: Path) -> dict[int, str]:
    """Command lines of the processes that have the data folder in their arguments, environment or working folder."""
    command_lines = {}
    for process_folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            command_line = (process_folder / "cmdline").read_bytes()
            context = (
                command_line
                + (process_folder / "environ").read_bytes()
                + os.fsencode(os.readlink(process_folder / "cwd"))
            )
            if command_line and os.fsencode(folder) in context:
                command_lines[int(process_folder.name)] = command_line.replace(b"\0", b" ").decode(errors="replace")
    return command_lines


def wait_until_none_left(folder: Path, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
    wait_until(lambda: not find_processes(folder), f"no process of {folder} is left", timeout_seconds)


def kill(pids: Iterable[int]) -> None:
    """Sends SIGKILL to the processes. A process that has ended meanwhile is no error."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def kill_demo(demo: Demo) -> None:
    """Sends SIGKILL until no process of the demo runs: a supervisor may start another one meanwhile."""

    def all_are_killed() -> bool:
        kill(processes := find_processes(demo.data))
        return not processes

    wait_until(all_are_killed, f"everything of {demo.data} is killed")
    if demo.process:
        demo.process.wait(10)
