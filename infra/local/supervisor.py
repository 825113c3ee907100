"""Keeps programs running: restarts what exits, ends all when told to, and takes all down with itself if killed."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal

from infra.local.guarded import Hold, Program, end_group, held

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  # seconds between an exit and the next start; doubled each time
STEADY = 10.0  # seconds of life after which an exit counts as a first one
STOPS_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

State = Literal["started", "exited", "stopped", "killed"]


@dataclass(frozen=True)
class Command:
    """A program with a name for people and for its log file."""

    name: str
    program: Program


@dataclass(frozen=True)
class Change:
    """What happened to a command. `code` is its exit code (negative: the signal), `again_in` the pause in seconds."""

    name: str
    state: State
    pid: int
    code: int | None = None
    again_in: float | None = None

    def __str__(self) -> str:
        match self.state:
            case "started":
                return f"{self.name}: started (process {self.pid})"
            case "exited":
                return f"{self.name}: exited with code {self.code} and starts again in {self.again_in:g} s"
            case _:
                return f"{self.name}: {self.state}"


@contextmanager
def on_signals(react: Callable[[], object]) -> Iterator[None]:
    """Call `react` for each of STOPS_ON inside the block, even where they were ignored; the innermost block counts."""
    loop = asyncio.get_running_loop()
    _reactions.append(react)
    for number in STOPS_ON:
        loop.add_signal_handler(number, lambda: _reactions[-1]())
    try:
        yield
    finally:
        _reactions.pop()
        for number in STOPS_ON if not _reactions else ():
            loop.remove_signal_handler(number)


_reactions: list[Callable[[], object]] = []


class _Child:
    """One life of a command."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self._process: Process
        self._hold: Hold

    async def start(self) -> int:
        program = self.command.program
        with held(program) as (self._hold, plumbing):
            self._process = await asyncio.create_subprocess_exec(*program.guard(), **plumbing)
        return self._process.pid

    async def wait(self) -> int:
        """Its exit code, once it has ended and nothing of its group is left."""
        code = await self._process.wait()
        end_group(self._process.pid)
        self._hold.let_go()
        return code

    async def end(self, patience: float) -> State:
        self._hold.let_go()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), patience)
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
    """Runs `commands` from `run()` to `stop()` or to one of STOPS_ON; tells `report` every change.

    At the end the commands are stopped one after the other, the last one first, within `patience` seconds for all
    together; what is left then is killed. A second signal kills at once.
    """

    def __init__(self, commands: Sequence[Command], report: Callable[[Change], None], patience: float = 15.0) -> None:
        self.commands = tuple(commands)
        self.states: dict[str, Change] = {}
        self._report = report
        self._patience = patience
        self._children: dict[str, _Child] = {}
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        if self._stopping.is_set():
            for child in self._children.values():
                child.kill()
        self._stopping.set()

    async def run(self) -> None:
        keepers = [asyncio.create_task(self._keep(command)) for command in self.commands]
        with on_signals(self.stop):
            try:
                await self._until_stopped(keepers)
            finally:
                self._stopping.set()
                await self._end_all()
                await asyncio.gather(*keepers, return_exceptions=True)

    async def _until_stopped(self, keepers: Sequence[asyncio.Task[None]]) -> None:
        """A keeper ends early only by an error of ours (a full disk, no more processes): then all end with it."""
        stopped = asyncio.create_task(self._stopping.wait())
        await asyncio.wait([stopped, *keepers], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        for keeper in keepers:
            if keeper.done():
                keeper.result()

    async def _keep(self, command: Command) -> None:
        loop, pause = asyncio.get_running_loop(), FIRST_PAUSE
        while not self._stopping.is_set():
            child, born = _Child(command), loop.time()
            pid = await child.start()
            if self._stopping.is_set():  # meanwhile: whoever ends the others has not seen this one
                await child.end(self._patience)
                return
            self._children[command.name] = child
            self._tell(Change(command.name, "started", pid))
            code = await child.wait()
            if self._stopping.is_set():
                return
            pause = FIRST_PAUSE if loop.time() - born >= STEADY else pause
            del self._children[command.name]
            self._tell(Change(command.name, "exited", pid, code, pause))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _end_all(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        for command in reversed(self.commands):
            if child := self._children.get(command.name):
                state = await child.end(max(0.0, deadline - loop.time()))
                self._tell(Change(command.name, state, child.pid))

    def _tell(self, change: Change) -> None:
        self.states[change.name] = change
        self._report(change)


def python_module(module: str, *arguments: str) -> list[str]:
    """The argument list that runs a module of the checkout with the Python that runs us."""
    return [sys.executable, "-m", module, *arguments]
