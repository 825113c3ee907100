"""A worker's process ends at a signal, even while it waits for a server."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

TIMEOUT_SECONDS = 30.0  # seconds until a promise counts as broken
WORKER_SCRIPT = """
import asyncio
from shared.runtime.service_process import run_until_signal
from shared.settings import Settings

async def waits(settings, stop):
    print("waiting", flush=True)
    await asyncio.Event().wait()

async def {name}(settings, stop):
    {body}

run_until_signal(Settings(), waits, {name})
"""


@contextmanager
def worker_process(name: str, body: str) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-c", WORKER_SCRIPT.format(name=name, body=body)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "waiting\n"
            yield process
        finally:
            process.kill()


def test_process_stops_while_a_task_waits_for_an_unavailable_server() -> None:
    with worker_process("obeys", "await stop.wait()") as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT_SECONDS) == 0


def test_failing_task_ends_the_process_with_its_error() -> None:
    with worker_process("fails", "raise ZeroDivisionError") as process:
        assert process.wait(TIMEOUT_SECONDS) != 0
        assert "ZeroDivisionError" in process.communicate()[1]


def test_task_canceled_from_within_ends_the_process_with_an_error() -> None:
    with worker_process("strays", "raise asyncio.CancelledError") as process:
        assert process.wait(TIMEOUT_SECONDS) != 0
        assert "cancelled from within" in process.communicate()[1]
