"""The processes of a running demo, found from outside, as whoever administers the machine would."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from tests.demo import Demo

PATIENCE = 60.0  # seconds until a promise counts as broken
_LOOKS_EVERY = 0.05


def eventually(holds: Callable[[], object], what: str, within: float = PATIENCE) -> None:
    """Return when it holds; AssertionError when it does not within so many seconds."""
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, f"not within {within:g} s: {what}"
        time.sleep(_LOOKS_EVERY)


def processes_of(folder: Path) -> dict[int, str]:
    """Command lines of the processes that have the data folder in their arguments, environment or working folder."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            said = (place / "cmdline").read_bytes()
            around = said + (place / "environ").read_bytes() + os.fsencode(os.readlink(place / "cwd"))
            if said and os.fsencode(folder) in around:
                found[int(place.name)] = said.replace(b"\0", b" ").decode(errors="replace")
    return found


def none_left(folder: Path, within: float = PATIENCE) -> None:
    eventually(lambda: not processes_of(folder), f"no process of {folder} is left", within)


def kill(pids: Iterable[int]) -> None:
    """SIGKILL; who has ended meanwhile is no error."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def kill_all_of(demo: Demo) -> None:
    """SIGKILL until nothing of it runs: what a supervisor starts while we look is killed at the next look."""

    def all_killed() -> bool:
        kill(found := processes_of(demo.data))
        return not found

    eventually(all_killed, f"everything of {demo.data} is killed")
    if demo.process:
        demo.process.wait(10)
