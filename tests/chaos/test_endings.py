"""Whatever way the demo is ended, nothing of it goes on running, and the next start goes on with what was recorded."""

from __future__ import annotations

import logging
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from infra.local.ports import free_port
from infra.local.roles import LIVE_STUDY
from infra.reference.study import STUDY_ID, members
from infra.simulator.patients import SITES
from tests.chaos.processes import eventually, kill_all_of, none_left
from tests.demo import CHECKOUT, READY_WITHIN, Demo

GOES_ON_WITHIN = 20.0  # seconds
OPENING = 2 + len(SITES) + len(members(LIVE_STUDY, [site.site_id for site in SITES]))  # facts of the live study itself
IN_A_TERMINAL = 'exec "$0" -m infra.cli demo <"$1" >"$1" 2>&1'  # the first terminal that a session opens is its own
_log = logging.getLogger(__name__)


@dataclass
class Terminal:
    """A terminal window with a demo in it."""

    demo: Demo
    screen: int = -1
    text: str = field(default="", repr=False)

    def start(self) -> float:
        """Seconds until it was ready."""
        began, self.text = time.monotonic(), ""
        self.screen, inside = os.openpty()
        command = ["sh", "-c", IN_A_TERMINAL, sys.executable, os.ttyname(inside)]
        self.demo.process = subprocess.Popen(
            command, cwd=CHECKOUT, env=self.demo.environment, stdin=subprocess.DEVNULL, start_new_session=True
        )
        eventually(self._is_ready, "the demo is ready", READY_WITHIN)
        os.close(inside)
        return time.monotonic() - began

    def _is_ready(self) -> bool:
        assert self.demo.process
        assert self.demo.process.poll() is None, self.text
        while select.select([self.screen], [], [], 0)[0]:
            self.text += os.read(self.screen, 4096).decode(errors="replace")
        return "Press Ctrl-C to stop" in self.text

    def close(self) -> None:
        """What happens when the window is closed or the connection drops: the terminal is gone for the demo."""
        os.close(self.screen)
        self.screen = -1

    def ended(self) -> int:
        """The demo's exit code."""
        assert self.demo.process
        code = self.demo.process.wait(60)
        if self.screen >= 0:
            self.close()
        return code


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    own = Terminal(Demo(tmp_path / "data", free_port()))
    try:
        yield own
    finally:
        kill_all_of(own.demo)


def sent(number: signal.Signals) -> Callable[[Terminal], None]:
    def send(terminal: Terminal) -> None:
        assert terminal.demo.process
        terminal.demo.process.send_signal(number)

    return send


ENDS: dict[str, tuple[Callable[[Terminal], None], int]] = {
    "the terminal is closed": (Terminal.close, 0),
    "SIGINT": (sent(signal.SIGINT), 0),
    "SIGKILL": (sent(signal.SIGKILL), -signal.SIGKILL),
    "SIGTERM": (sent(signal.SIGTERM), 0),
}


def position(demo: Demo, study: str) -> int:
    return int(demo.figure("flow", study=study)["position"])


def told_before(demo: Demo) -> int:
    """How many facts the simulator went on after, by its own word."""
    lines = (demo.data / "logs" / "simulator.log").read_text().splitlines()
    said = [line for line in lines if "simulated participants" in line][-1]
    found = re.search(r"going on after fact (\d+)$", said)
    return int(found[1]) if found else 0


def lives_on(demo: Demo, since: int) -> None:
    eventually(lambda: position(demo, LIVE_STUDY) > since, "the live study goes on", GOES_ON_WITHIN)


def test_whatever_ends_it_no_process_is_left_and_the_next_start_goes_on(terminal: Terminal) -> None:
    demo, reference, live = terminal.demo, 0, 0
    for name, (end, code) in ENDS.items():
        _log.info("ready after %.1f s", terminal.start())
        assert demo.figure("flow")["enrolled"] == 31
        assert position(demo, STUDY_ID) == (reference or position(demo, STUDY_ID)), "nothing was loaded twice"
        lives_on(demo, max(live, OPENING + 3))
        assert told_before(demo) >= live - OPENING - 3, "the simulation goes on where it was"
        reference, live = position(demo, STUDY_ID), position(demo, LIVE_STUDY)
        end(terminal)
        assert terminal.ended() == code, f"{name}:\n{terminal.text}"
        none_left(demo.data)
