"""Keeps programs running: restarts those that exit, stops all on request, and ends all with itself if killed."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal

from infra.local.child_process import Lifeline, Program, end_group, launch
from shared.retry import Backoff

RESTART_MIN_SECONDS, RESTART_MAX_SECONDS = 0.1, 5.0  # between an exit and the next start; doubled each time
STEADY_AFTER_SECONDS = 10.0  # a program that ran so long is restarted after the least delay
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

CommandState = Literal["started", "exited", "stopped", "killed"]


@dataclass(frozen=True)
class SupervisedCommand:
    """A program with a name for people and for its log file."""

    name: str
    program: Program


@dataclass(frozen=True)
class StateChange:
    """A new state of a command. `code` is its exit code; a negative code is a signal."""

    name: str
    state: CommandState
    pid: int
    code: int | None = None
    restart_in_seconds: float | None = None

    def __str__(self) -> str:
        match self.state:
            case "started":
                return f"{self.name}: started (process {self.pid})"
            case "exited":
                return f"{self.name}: exited with code {self.code} and starts again in {self.restart_in_seconds:g} s"
            case _:
                return f"{self.name}: {self.state}"


@contextmanager
def call_on_signals(callback: Callable[[], object]) -> Iterator[None]:
    """Calls `callback` for each of STOP_SIGNALS inside the block, even for ignored ones; the innermost block counts."""
    loop = asyncio.get_running_loop()
    _signal_callbacks.append(callback)
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, lambda: _signal_callbacks[-1]())
    try:
        yield
    finally:
        _signal_callbacks.pop()
        for number in STOP_SIGNALS if not _signal_callbacks else ():
            loop.remove_signal_handler(number)


_signal_callbacks: list[Callable[[], object]] = []


class _Child:
    """One process of a command, from its start to its exit."""

    def __init__(self, command: SupervisedCommand) -> None:
        self.command = command
        self._process: Process
        self._lifeline: Lifeline

    async def start(self) -> int:
        program = self.command.program
        with launch(program) as (self._lifeline, popen_arguments):
            self._process = await asyncio.create_subprocess_exec(*program.guarded_command(), **popen_arguments)
        return self._process.pid

    async def wait(self) -> int:
        """Returns the exit code when the process has ended and its group is empty."""
        code = await self._process.wait()
        end_group(self._process.pid)
        self._lifeline.release()
        return code

    async def end(self, timeout_seconds: float) -> CommandState:
        self._lifeline.release()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), timeout_seconds)
            return "stopped"
        end_group(self._process.pid)
        await self._process.wait()
        return "killed"

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        end_group(self._process.pid)


class Supervisor:
    """Runs `commands` from `run()` until `stop()` or one of STOP_SIGNALS; passes every change of state to `report`.

    At the end the commands are stopped one after the other, the last one first, within `stop_timeout_seconds` for all
    together; then the remaining ones are killed. A second signal kills at once.
    """

    def __init__(
        self,
        commands: Sequence[SupervisedCommand],
        report: Callable[[StateChange], None],
        stop_timeout_seconds: float = 15.0,
    ) -> None:
        self.commands = tuple(commands)
        self.states: dict[str, StateChange] = {}
        self._report = report
        self._stop_timeout_seconds = stop_timeout_seconds
        self._children: dict[str, _Child] = {}
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        if self._stopping.is_set():
            for child in self._children.values():
                child.kill()
        self._stopping.set()

    async def run(self) -> None:
        tasks = [asyncio.create_task(self._keep_running(command)) for command in self.commands]
        with call_on_signals(self.stop):
            try:
                await self._wait_until_stopped(tasks)
            finally:
                self._stopping.set()
                await self._end_all()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _wait_until_stopped(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        """Returns on a stop; raises the error of a task, such as a full disk or too many processes."""
        stop_task = asyncio.create_task(self._stopping.wait())
        await asyncio.wait([stop_task, *tasks], return_when=asyncio.FIRST_COMPLETED)
        stop_task.cancel()
        for task in tasks:
            if task.done():
                task.result()

    async def _keep_running(self, command: SupervisedCommand) -> None:
        loop, backoff = asyncio.get_running_loop(), Backoff(RESTART_MIN_SECONDS, RESTART_MAX_SECONDS)
        while not self._stopping.is_set():
            child, started_at = _Child(command), loop.time()
            pid = await child.start()
            if self._stopping.is_set():  # `_end_all` ran during the start and has not ended this one
                await child.end(self._stop_timeout_seconds)
                return
            self._children[command.name] = child
            self._publish_change(StateChange(command.name, "started", pid))
            code = await child.wait()
            if self._stopping.is_set():
                return
            if loop.time() - started_at >= STEADY_AFTER_SECONDS:
                backoff.reset()
            del self._children[command.name]
            self._publish_change(StateChange(command.name, "exited", pid, code, backoff.seconds))
            await backoff.wait(self._stopping)

    async def _end_all(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._stop_timeout_seconds
        for command in reversed(self.commands):
            if child := self._children.get(command.name):
                state = await child.end(max(0.0, deadline - loop.time()))
                self._publish_change(StateChange(command.name, state, child.pid))

    def _publish_change(self, change: StateChange) -> None:
        self.states[change.name] = change
        self._report(change)


def python_module(module: str, *arguments: str) -> list[str]:
    """Returns the argument list that runs a module of the checkout with the present Python."""
    return [sys.executable, "-m", module, *arguments]
