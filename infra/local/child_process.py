"""Starts programs that end with this process, however it ends: by return, crash or SIGKILL.

Every program runs below a small shell script whose standard input is a pipe that this process holds open. Closing the
pipe stops the program, and the system closes it when this process dies. A parent-death signal (prctl) would not do: it
is sent when the *thread* that started the program ends, and only Linux has it.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from shared.retry import poll_times

MAX_LOG_BYTES = 10 * 1024 * 1024
_READ_INTERVAL_SECONDS = 0.01

# $1 signal, $2 tenths of a second between the signal and SIGKILL to the whole group, then the program.
# The watcher ignores SIGTERM once the pipe is closed, so that the end of the program does not end its sweep.
_GUARD = """
signal=$1 patience=$2
shift 2
exec 3<&0
"$@" 3<&- </dev/null &
program=$!
(
    read -r line <&3
    trap '' TERM
    kill -"$signal" "$program"
    while kill -0 "$program" && [ "$patience" -gt 0 ]; do
        sleep 0.1
        patience=$((patience - 1))
    done
    kill -KILL 0
) 2>/dev/null &
watcher=$!
exec 3<&- 2>/dev/null
wait "$program"
code=$?
kill "$watcher"
exit "$code"
"""


class PopenUser(TypedDict, total=False):
    """The account that a program runs as, as arguments of subprocess.Popen; empty for the account of this process."""

    user: int
    group: int
    extra_groups: list[int]


class PopenArguments(TypedDict):
    """Arguments that every start of a Program passes to subprocess.Popen or to its equivalent in asyncio."""

    stdin: int
    stdout: int
    stderr: int
    cwd: Path
    env: Mapping[str, str]
    start_new_session: bool


@dataclass(frozen=True)
class Program:
    argv: Sequence[str | Path]
    log: Path
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 10.0  # from `stop_signal` to SIGKILL
    account: PopenUser = field(default_factory=lambda: PopenUser())
    folder: Path = Path("/")

    def guarded_command(self) -> list[str]:
        """Returns the argument list that runs this program below its guard; standard input must be the pipe."""
        guard_arguments = [self.stop_signal.name.removeprefix("SIG"), str(round(self.grace_seconds * 10))]
        return ["sh", "-c", _GUARD, "guard", *guard_arguments, *map(str, self.argv)]

    def rotate_log(self) -> None:
        """Renames a log beyond MAX_LOG_BYTES to `.1`, so that the program starts a new one."""
        with suppress(FileNotFoundError):
            if self.log.stat().st_size > MAX_LOG_BYTES:
                self.log.replace(self.log.with_name(self.log.name + ".1"))


class Lifeline:
    """Our end of the pipe of a running program; releasing it asks the program to end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@contextmanager
def launch(program: Program) -> Iterator[tuple[Lifeline, PopenArguments]]:
    """Yields a lifeline and the arguments to start `program` inside the block; a failed start releases the lifeline."""
    program.rotate_log()
    log = os.open(program.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    read_end, write_end = os.pipe()
    lifeline = Lifeline(write_end)
    popen_arguments = PopenArguments(
        stdin=read_end, stdout=log, stderr=log, cwd=program.folder, env=program.environment, start_new_session=True
    )
    try:
        yield lifeline, popen_arguments
    except BaseException:
        lifeline.release()
        raise
    finally:
        os.close(read_end)
        os.close(log)


class RunningProgram:
    """A started program with a session of its own; `stop` and `kill` end every process of its group."""

    def __init__(self, program: Program, inherited_descriptors: Sequence[int] = ()) -> None:
        self.program = program
        with launch(program) as (self.lifeline, popen_arguments):
            self._process = subprocess.Popen(
                program.guarded_command(), pass_fds=inherited_descriptors, **popen_arguments, **program.account
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def stop(self) -> None:
        """Asks the program to end, kills it after its grace period, and returns when it has ended."""
        self.lifeline.release()
        try:
            self._process.wait(self.program.grace_seconds + 2.0)
        except subprocess.TimeoutExpired:
            end_group(self.pid)
            self._process.wait()
        end_group(self.pid)

    def kill(self) -> None:
        """Kills every process of the program with SIGKILL, as a power failure would."""
        for pid in process_tree(self.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        self.lifeline.release()

    def wait_for_text(self, file: Path, expected: bytes, start: int, timeout_seconds: float) -> bool:
        """Returns whether `expected` appears in the file past byte `start` before the program ends or time is up."""
        for _ in poll_times(interval_seconds=_READ_INTERVAL_SECONDS, timeout_seconds=timeout_seconds):
            if self.has_ended:
                return False
            if expected in _read_from(file, start):
                return True
        return False


def _read_from(file: Path, start: int) -> bytes:
    """Returns the bytes of the file past byte `start`; none while there is no such file."""
    with suppress(FileNotFoundError), file.open("rb") as text:
        text.seek(start)
        return text.read()
    return b""


def end_group(leader: int) -> None:
    """Kills what is left of a process group with SIGKILL; an empty group is no error."""
    with suppress(ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        os.killpg(leader, signal.SIGKILL)


def process_tree(root: int) -> list[int]:
    """Returns `root` and every process below it, parents first."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parent_processes():
        children.setdefault(parent, []).append(pid)
    tree = [root]
    for pid in tree:
        tree.extend(children.get(pid, ()))
    return tree


def _parent_processes() -> list[tuple[int, int]]:
    if not Path("/proc/self/stat").exists():
        output = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        return [(int(pid), int(parent)) for pid, parent in map(str.split, output.splitlines())]
    pairs = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            pairs.append((int(folder.name), int(fields[1])))
    return pairs
