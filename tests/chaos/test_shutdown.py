"""However the demo ends, no process of it remains, and the next start continues with the recorded facts."""

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

from infra.local.demo_links import LIVE_STUDY
from infra.local.ports import free_port
from infra.reference.study import STUDY_ID, default_grants
from infra.simulator.participants import SITES
from tests.chaos.support.processes import kill_demo, wait_until, wait_until_none_left
from tests.demo import CHECKOUT, READY_TIMEOUT_SECONDS, Demo

RECOVERY_TIMEOUT_SECONDS = 20.0  # seconds
OPENING_FACT_COUNT = (
    3 + len(SITES) + len(default_grants(LIVE_STUDY, [site.site_id for site in SITES]))
)  # facts of the live study itself, with the data cut of the day
TERMINAL_COMMAND = 'exec "$0" -m infra.cli demo <"$1" >"$1" 2>&1'  # the first terminal that a session opens is its own
_log = logging.getLogger(__name__)


@dataclass
class DemoTerminal:
    """A terminal window with a demo in it."""

    demo: Demo
    screen: int = -1
    text: str = field(default="", repr=False)

    def start(self) -> float:
        """Seconds until it was ready."""
        started_at, self.text = time.monotonic(), ""
        self.screen, terminal_end = os.openpty()
        command = ["sh", "-c", TERMINAL_COMMAND, sys.executable, os.ttyname(terminal_end)]
        self.demo.process = subprocess.Popen(
            command, cwd=CHECKOUT, env=self.demo.environment, stdin=subprocess.DEVNULL, start_new_session=True
        )
        wait_until(self._is_ready, "the demo is ready", READY_TIMEOUT_SECONDS)
        os.close(terminal_end)
        return time.monotonic() - started_at

    def _is_ready(self) -> bool:
        assert self.demo.process
        assert self.demo.process.poll() is None, self.text
        while select.select([self.screen], [], [], 0)[0]:
            self.text += os.read(self.screen, 4096).decode(errors="replace")
        return "Press Ctrl-C to stop" in self.text

    def close(self) -> None:
        """Hangs up the terminal of the demo, as closing the window or losing the connection does."""
        os.close(self.screen)
        self.screen = -1

    def wait_for_exit(self) -> int:
        """The demo's exit code."""
        assert self.demo.process
        code = self.demo.process.wait(60)
        if self.screen >= 0:
            self.close()
        return code


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[DemoTerminal]:
    demo_terminal = DemoTerminal(Demo(tmp_path / "data", free_port()))
    try:
        yield demo_terminal
    finally:
        kill_demo(demo_terminal.demo)


def send_signal_with(signal_number: signal.Signals) -> Callable[[DemoTerminal], None]:
    def send(terminal: DemoTerminal) -> None:
        assert terminal.demo.process
        terminal.demo.process.send_signal(signal_number)

    return send


SHUTDOWNS: dict[str, tuple[Callable[[DemoTerminal], None], int]] = {
    "the terminal is closed": (DemoTerminal.close, 0),
    "SIGINT": (send_signal_with(signal.SIGINT), 0),
    "SIGKILL": (send_signal_with(signal.SIGKILL), -signal.SIGKILL),
    "SIGTERM": (send_signal_with(signal.SIGTERM), 0),
}


def read_position(demo: Demo, study: str) -> int:
    return int(demo.figure("flow", study=study)["position"])


def simulated_before(demo: Demo) -> int:
    """Returns the number of facts after which the simulator resumed, from its log."""
    lines = (demo.data / "logs" / "simulator.log").read_text().splitlines()
    resume_line = [line for line in lines if "simulated participants" in line][-1]
    match = re.search(r"going on after fact (\d+)$", resume_line)
    return int(match[1]) if match else 0


def wait_until_study_continues(demo: Demo, position_before: int) -> None:
    wait_until(
        lambda: read_position(demo, LIVE_STUDY) > position_before, "the live study goes on", RECOVERY_TIMEOUT_SECONDS
    )


def test_demo_ends_completely_and_continues_on_the_next_start(terminal: DemoTerminal) -> None:
    demo, reference_position, live_position = terminal.demo, 0, 0
    for name, (end_demo, code) in SHUTDOWNS.items():
        _log.info("ready after %.1f s", terminal.start())
        assert demo.figure("flow")["enrolled"] == 31
        assert read_position(demo, STUDY_ID) == (reference_position or read_position(demo, STUDY_ID)), (
            "nothing was loaded twice"
        )
        wait_until_study_continues(demo, max(live_position, OPENING_FACT_COUNT + 3))
        assert simulated_before(demo) >= live_position - OPENING_FACT_COUNT - 3, "the simulation goes on where it was"
        reference_position, live_position = read_position(demo, STUDY_ID), read_position(demo, LIVE_STUDY)
        end_demo(terminal)
        assert terminal.wait_for_exit() == code, f"{name}:\n{terminal.text}"
        wait_until_none_left(demo.data)
