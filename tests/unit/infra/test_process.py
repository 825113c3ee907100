"""A worker's process ends when it is told to, whatever it is waiting for."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE = 30.0  # seconds until a promise counts as broken
WORKER = """
import asyncio
from shared.process import until_stopped
from shared.settings import Settings

async def waits(settings, stop):
    print("waiting", flush=True)
    await asyncio.Event().wait()

async def {name}(settings, stop):
    {body}

until_stopped(Settings(), waits, {name})
"""


@contextmanager
def worker(name: str, body: str) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-c", WORKER.format(name=name, body=body)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "waiting\n"
            yield process
        finally:
            process.kill()


def test_a_work_that_waits_for_a_server_that_is_away_does_not_keep_the_process() -> None:
    with worker("obeys", "await stop.wait()") as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def test_a_work_that_fails_ends_the_process_with_its_error() -> None:
    with worker("fails", "raise ZeroDivisionError") as process:
        assert process.wait(PATIENCE) != 0
        assert "ZeroDivisionError" in process.communicate()[1]


def test_a_work_that_is_cancelled_from_within_ends_the_process_with_an_error() -> None:
    with worker("strays", "raise asyncio.CancelledError") as process:
        assert process.wait(PATIENCE) != 0
        assert "cancelled from within" in process.communicate()[1]
