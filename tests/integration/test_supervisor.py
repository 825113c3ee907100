from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from infra.local.guarded import LOG_LIMIT, Program, process_tree
from infra.local.supervisor import Change, Command, Supervisor

PATIENCE = 20.0  # seconds until a promise counts as broken
SLEEPER = "import time; print('up', flush=True); time.sleep(600)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
PARENT = f"""
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {DEAF!r}])
print("child", child.pid, "parent", os.getpid(), flush=True)
time.sleep(600)
"""


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be reaped does not."""
    try:
        state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=True)
    except subprocess.CalledProcessError:
        return False
    return not state.stdout.strip().startswith("Z")


async def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"not within {PATIENCE} s: {what}"
        await asyncio.sleep(0.02)


def command(folder: Path, name: str, code: str, grace: float = 5.0) -> Command:
    return Command(name, Program([sys.executable, "-c", code], folder / f"{name}.log", grace=grace))


def pid_in(log: Path, who: str = "child") -> int:
    """The process id that PARENT wrote, 0 if it has not yet."""
    words = log.read_text().split() if log.exists() else []
    return int(words[words.index(who) + 1]) if "parent" in words else 0


@dataclass
class Watched:
    """A running supervisor and what it reported."""

    supervisor: Supervisor
    changes: list[Change] = field(default_factory=list)

    def seen(self, name: str, state: str) -> list[Change]:
        return [change for change in self.changes if (change.name, change.state) == (name, state)]


@asynccontextmanager
async def supervised(*commands: Command, patience: float = 5.0) -> AsyncIterator[Watched]:
    watched = Watched(Supervisor(commands, lambda change: watched.changes.append(change), patience))
    run = asyncio.create_task(watched.supervisor.run())
    try:
        yield watched
    finally:
        watched.supervisor.stop()
        await asyncio.wait_for(run, PATIENCE)


def up(folder: Path, name: str) -> Callable[[], bool]:
    return lambda: (folder / f"{name}.log").exists() and "up" in (folder / f"{name}.log").read_text()


async def test_what_exits_is_started_again_after_growing_pauses(tmp_path: Path) -> None:
    async with supervised(command(tmp_path, "quitter", "raise SystemExit(7)")) as watched:
        await until(lambda: len(watched.seen("quitter", "exited")) >= 3, "three exits")
    exits = watched.seen("quitter", "exited")[:3]
    assert [change.code for change in exits] == [7, 7, 7]
    assert [change.again_in for change in exits] == [0.1, 0.2, 0.4]


async def test_a_command_killed_from_outside_is_started_again_and_leaves_no_child_behind(tmp_path: Path) -> None:
    async with supervised(command(tmp_path, "parent", PARENT)) as watched:
        await until(lambda: pid_in(tmp_path / "parent.log") > 0, "the child")
        child = pid_in(tmp_path / "parent.log")
        os.kill(pid_in(tmp_path / "parent.log", "parent"), signal.SIGKILL)
        await until(lambda: len(watched.seen("parent", "started")) == 2, "a second start")
        await until(lambda: not alive(child), "the end of the child")


async def test_the_end_comes_in_reverse_order(tmp_path: Path) -> None:
    names = ["first", "second", "third"]
    async with supervised(*(command(tmp_path, name, SLEEPER) for name in names)) as watched:
        for name in names:
            await until(up(tmp_path, name), name)
    assert [change.name for change in watched.changes if change.state == "stopped"] == names[::-1]


async def test_what_does_not_heed_the_end_is_killed_at_the_deadline(tmp_path: Path) -> None:
    async with supervised(command(tmp_path, "deaf", DEAF, grace=60.0), patience=0.5) as watched:
        await until(up(tmp_path, "deaf"), "deaf")
    (killed,) = watched.seen("deaf", "killed")
    assert not alive(killed.pid)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_ends_all(tmp_path: Path, number: signal.Signals) -> None:
    async with supervised(command(tmp_path, "sleeper", SLEEPER)) as watched:
        await until(up(tmp_path, "sleeper"), "sleeper")
        os.kill(os.getpid(), number)
        await until(lambda: bool(watched.seen("sleeper", "stopped")), "the end")


@pytest.mark.parametrize("steps", range(8))
async def test_a_stop_in_the_middle_of_a_start_ends_what_is_being_started(tmp_path: Path, steps: int) -> None:
    """`steps` of the event loop after the beginning."""
    supervisor = Supervisor([command(tmp_path, "sleeper", SLEEPER)], lambda change: None)
    run = asyncio.create_task(supervisor.run())
    for _ in range(steps):
        await asyncio.sleep(0)
    supervisor.stop()
    await asyncio.wait_for(run, PATIENCE)


async def test_a_program_that_is_not_there_is_reported_and_tried_again(tmp_path: Path) -> None:
    absent = Command("absent", Program([tmp_path / "absent"], tmp_path / "absent.log"))
    async with supervised(absent) as watched:
        await until(lambda: len(watched.seen("absent", "exited")) >= 2, "two exits")
    assert watched.seen("absent", "exited")[0].code == 127


async def test_a_log_past_its_limit_begins_anew_at_a_start(tmp_path: Path) -> None:
    (tmp_path / "sleeper.log").write_bytes(b"old" + bytes(LOG_LIMIT))
    async with supervised(command(tmp_path, "sleeper", SLEEPER)):
        await until(up(tmp_path, "sleeper"), "sleeper")
    assert (tmp_path / "sleeper.log").read_text() == "up\n"
    assert (tmp_path / "sleeper.log.1").read_bytes()[:3] == b"old"


async def test_all_die_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    """Children, and children of children that ignore SIGTERM."""
    script = f"""
        import asyncio, sys
        from pathlib import Path
        from infra.local.guarded import Program
        from infra.local.supervisor import Command, Supervisor
        program = Program([sys.executable, "-c", {PARENT!r}], Path({str(tmp_path / "parent.log")!r}), grace=0.5)
        asyncio.run(Supervisor([Command("parent", program)], print).run())
    """
    supervisor = await asyncio.create_subprocess_exec(sys.executable, "-c", textwrap.dedent(script), stdout=DEVNULL)
    await until(lambda: pid_in(tmp_path / "parent.log") > 0, "the child")
    below = process_tree(supervisor.pid)[1:]
    assert pid_in(tmp_path / "parent.log") in below
    supervisor.kill()
    await supervisor.wait()
    await until(lambda: not any(map(alive, below)), f"the end of {below}")
