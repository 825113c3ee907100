"""Programs that end with us, whatever way we end: returned, crashed, or killed with SIGKILL.

Every program runs below a small shell script whose standard input is a pipe that we hold open. Closing the pipe is the
one way to stop it, and the system closes it for us when we die. A parent-death signal (prctl) would not do: it fires
when the *thread* that started the program ends, and only Linux has it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

LOG_LIMIT = 10 * 1024 * 1024  # bytes

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


class Account(TypedDict, total=False):
    """Whom a program runs as, in the words of subprocess.Popen; nothing means as ourselves."""

    user: int
    group: int
    extra_groups: list[int]


class Plumbing(TypedDict):
    """What every start of a Program passes to subprocess.Popen or to asyncio's equivalent."""

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
    ends_on: signal.Signals = signal.SIGTERM
    grace: float = 10.0  # seconds from `ends_on` to SIGKILL
    account: Account = field(default_factory=lambda: Account())
    folder: Path = Path("/")

    def guard(self) -> list[str]:
        """The argument list that runs this program below its guard; standard input must be the pipe."""
        wanted = [self.ends_on.name.removeprefix("SIG"), str(round(self.grace * 10))]
        return ["sh", "-c", _GUARD, "guard", *wanted, *map(str, self.argv)]

    def rotate_log(self) -> None:
        """A log past its limit begins anew; the old one stays as `.1`."""
        with suppress(FileNotFoundError):
            if self.log.stat().st_size > LOG_LIMIT:
                self.log.replace(self.log.with_name(self.log.name + ".1"))


class Hold:
    """Our end of a running program's pipe. Letting go asks the program to end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def let_go(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@contextmanager
def held(program: Program) -> Iterator[tuple[Hold, Plumbing]]:
    """What is needed to start `program` inside the block; a failed start lets go again."""
    program.rotate_log()
    log = os.open(program.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    theirs, ours = os.pipe()
    hold = Hold(ours)
    plumbing = Plumbing(
        stdin=theirs, stdout=log, stderr=log, cwd=program.folder, env=program.environment, start_new_session=True
    )
    try:
        yield hold, plumbing
    except BaseException:
        hold.let_go()
        raise
    finally:
        os.close(theirs)
        os.close(log)


class Running:
    """A started Program. It has its own session; `stop` and `kill` end every process of its group."""

    def __init__(self, program: Program, handed_on: Sequence[int] = ()) -> None:
        self.program = program
        with held(program) as (self.hold, plumbing):
            self._process = subprocess.Popen(program.guard(), pass_fds=handed_on, **plumbing, **program.account)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def stop(self) -> None:
        """Ask it to end, and insist after its grace. Returns when it has ended."""
        self.hold.let_go()
        try:
            self._process.wait(self.program.grace + 2.0)
        except subprocess.TimeoutExpired:
            end_group(self.pid)
            self._process.wait()
        end_group(self.pid)

    def kill(self) -> None:
        """SIGKILL every process below, as a power cut would."""
        for pid in process_tree(self.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        self.hold.let_go()

    def wait_until(self, ready: Path, says: bytes, start: int, patience: float) -> bool:
        """Whether `says` appears in the file `ready` past byte `start` before the program ends or time is up."""
        deadline = time.monotonic() + patience
        while not self.ended and time.monotonic() < deadline:
            with suppress(FileNotFoundError), ready.open("rb") as text:
                text.seek(start)
                if says in text.read():
                    return True
            time.sleep(0.01)
        return False


def end_group(leader: int) -> None:
    """SIGKILL what is left of a process group; nothing left is no error."""
    with suppress(ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        os.killpg(leader, signal.SIGKILL)


def process_tree(root: int) -> list[int]:
    """`root` and every process below it, parents first."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents():
        children.setdefault(parent, []).append(pid)
    tree = [root]
    for pid in tree:
        tree.extend(children.get(pid, ()))
    return tree


def _parents() -> list[tuple[int, int]]:
    if not Path("/proc/self/stat").exists():
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        return [(int(pid), int(parent)) for pid, parent in map(str.split, listed.splitlines())]
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            after_name = (folder / "stat").read_text().rpartition(")")[2].split()
            found.append((int(folder.name), int(after_name[1])))
    return found
