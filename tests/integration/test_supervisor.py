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

from infra.local.child_process import MAX_LOG_BYTES, Program, process_tree
from infra.local.supervisor import StateChange, SupervisedCommand, Supervisor

TIMEOUT_SECONDS = 20.0  # seconds until a promise counts as broken
SLEEPER_SCRIPT = "import time; print('up', flush=True); time.sleep(600)"
SIGTERM_IGNORING_SCRIPT = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)
PARENT_SCRIPT = f"""
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {SIGTERM_IGNORING_SCRIPT!r}])
print("child", child.pid, "parent", os.getpid(), flush=True)
time.sleep(600)
"""


def is_running(pid: int) -> bool:
    """True if a process runs; false for a zombie."""
    try:
        state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=True)
    except subprocess.CalledProcessError:
        return False
    return not state.stdout.strip().startswith("Z")


async def wait_until(condition: Callable[[], bool], description: str) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {TIMEOUT_SECONDS} s: {description}"
        await asyncio.sleep(0.02)


def make_command(folder: Path, name: str, code: str, grace: float = 5.0) -> SupervisedCommand:
    return SupervisedCommand(name, Program([sys.executable, "-c", code], folder / f"{name}.log", grace_seconds=grace))


def read_pid(log: Path, role: str = "child") -> int:
    """The process id that PARENT wrote, 0 if it has not yet."""
    words = log.read_text().split() if log.exists() else []
    return int(words[words.index(role) + 1]) if "parent" in words else 0


@dataclass
class SupervisorRun:
    """A running supervisor and what it reported."""

    supervisor: Supervisor
    changes: list[StateChange] = field(default_factory=list)

    def changes_of(self, name: str, state: str) -> list[StateChange]:
        return [change for change in self.changes if (change.name, change.state) == (name, state)]


@asynccontextmanager
async def running_supervisor(*commands: SupervisedCommand, patience: float = 5.0) -> AsyncIterator[SupervisorRun]:
    supervisor_run = SupervisorRun(Supervisor(commands, lambda change: supervisor_run.changes.append(change), patience))
    supervisor_task = asyncio.create_task(supervisor_run.supervisor.run())
    try:
        yield supervisor_run
    finally:
        supervisor_run.supervisor.stop()
        await asyncio.wait_for(supervisor_task, TIMEOUT_SECONDS)


def is_up(folder: Path, name: str) -> Callable[[], bool]:
    return lambda: (folder / f"{name}.log").exists() and "up" in (folder / f"{name}.log").read_text()


async def test_exited_command_is_restarted_after_growing_pauses(tmp_path: Path) -> None:
    async with running_supervisor(make_command(tmp_path, "quitter", "raise SystemExit(7)")) as supervisor_run:
        await wait_until(lambda: len(supervisor_run.changes_of("quitter", "exited")) >= 3, "three exits")
    exits = supervisor_run.changes_of("quitter", "exited")[:3]
    assert [change.code for change in exits] == [7, 7, 7]
    assert [change.restart_in_seconds for change in exits] == [0.1, 0.2, 0.4]


async def test_killed_command_is_restarted_and_leaves_no_child_behind(tmp_path: Path) -> None:
    async with running_supervisor(make_command(tmp_path, "parent", PARENT_SCRIPT)) as supervisor_run:
        await wait_until(lambda: read_pid(tmp_path / "parent.log") > 0, "the child")
        child_pid = read_pid(tmp_path / "parent.log")
        os.kill(read_pid(tmp_path / "parent.log", "parent"), signal.SIGKILL)
        await wait_until(lambda: len(supervisor_run.changes_of("parent", "started")) == 2, "a second start")
        await wait_until(lambda: not is_running(child_pid), "the end of the child")


async def test_commands_are_stopped_in_reverse_order(tmp_path: Path) -> None:
    names = ["first", "second", "third"]
    async with running_supervisor(*(make_command(tmp_path, name, SLEEPER_SCRIPT) for name in names)) as supervisor_run:
        for name in names:
            await wait_until(is_up(tmp_path, name), name)
    assert [change.name for change in supervisor_run.changes if change.state == "stopped"] == names[::-1]


async def test_command_that_ignores_sigterm_is_killed_at_the_deadline(tmp_path: Path) -> None:
    async with running_supervisor(
        make_command(tmp_path, "deaf", SIGTERM_IGNORING_SCRIPT, grace=60.0), patience=0.5
    ) as supervisor_run:
        await wait_until(is_up(tmp_path, "deaf"), "deaf")
    (killed_change,) = supervisor_run.changes_of("deaf", "killed")
    assert not is_running(killed_change.pid)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_signal_stops_all_commands(tmp_path: Path, number: signal.Signals) -> None:
    async with running_supervisor(make_command(tmp_path, "sleeper", SLEEPER_SCRIPT)) as supervisor_run:
        await wait_until(is_up(tmp_path, "sleeper"), "sleeper")
        os.kill(os.getpid(), number)
        await wait_until(lambda: bool(supervisor_run.changes_of("sleeper", "stopped")), "the end")


@pytest.mark.parametrize("steps", range(8))
async def test_stop_during_start_ends_the_starting_command(tmp_path: Path, steps: int) -> None:
    """`steps` of the event loop after the beginning."""
    supervisor = Supervisor([make_command(tmp_path, "sleeper", SLEEPER_SCRIPT)], lambda change: None)
    run = asyncio.create_task(supervisor.run())
    for _ in range(steps):
        await asyncio.sleep(0)
    supervisor.stop()
    await asyncio.wait_for(run, TIMEOUT_SECONDS)


async def test_missing_program_is_reported_and_retried(tmp_path: Path) -> None:
    missing_command = SupervisedCommand("absent", Program([tmp_path / "absent"], tmp_path / "absent.log"))
    async with running_supervisor(missing_command) as supervisor_run:
        await wait_until(lambda: len(supervisor_run.changes_of("absent", "exited")) >= 2, "two exits")
    assert supervisor_run.changes_of("absent", "exited")[0].code == 127


async def test_log_over_its_limit_is_rotated_at_start(tmp_path: Path) -> None:
    (tmp_path / "sleeper.log").write_bytes(b"old" + bytes(MAX_LOG_BYTES))
    async with running_supervisor(make_command(tmp_path, "sleeper", SLEEPER_SCRIPT)):
        await wait_until(is_up(tmp_path, "sleeper"), "sleeper")
    assert (tmp_path / "sleeper.log").read_text() == "up\n"
    assert (tmp_path / "sleeper.log.1").read_bytes()[:3] == b"old"


async def test_all_descendants_die_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    """Children, and children of children that ignore SIGTERM."""
    script = f"""
        import asyncio, sys
        from pathlib import Path
        from infra.local.child_process import Program
        from infra.local.supervisor import SupervisedCommand, Supervisor
        log = Path({str(tmp_path / "parent.log")!r})
        program = Program([sys.executable, "-c", {PARENT_SCRIPT!r}], log, grace_seconds=0.5)
        asyncio.run(Supervisor([SupervisedCommand("parent", program)], print).run())
    """
    supervisor = await asyncio.create_subprocess_exec(sys.executable, "-c", textwrap.dedent(script), stdout=DEVNULL)
    await wait_until(lambda: read_pid(tmp_path / "parent.log") > 0, "the child")
    descendants = process_tree(supervisor.pid)[1:]
    assert read_pid(tmp_path / "parent.log") in descendants
    supervisor.kill()
    await supervisor.wait()
    await wait_until(lambda: not any(map(is_running, descendants)), f"the end of {descendants}")
