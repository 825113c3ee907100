"""Deriver, reminder worker, mail sender and relay in a process of its own, which can be killed at any moment.

The parent writes an instant to its standard input; the process derives, plans, composes and sends at that instant, and
answers with a line when all of it is committed.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from infra.cli.settings_source import read_settings
from services.analytics.deriver.deriver import Deriver
from services.analytics.reminders.reminder_task import keep_running
from shared.kernel.clock import Clock
from shared.postgres.errors import UNAVAILABLE
from shared.postgres.retry import retry_while_unavailable
from shared.postgres.tenancy import open_pool
from shared.runtime.service_process import relay_task
from shared.terminology.ctcae import TermNames
from tests.two_years.reminder_worker import SteppedWorker

_RETRY_SECONDS = 0.05


class ChildProcess:
    """The process as its parent sees it. A killed one is started again with the next line."""

    def __init__(self, study_id: str, system_url: str, bootstrap: str, mail_url: str) -> None:
        self._argv = [
            sys.executable,
            "-m",
            "tests.two_years.reminder_process",
            study_id,
            system_url,
            bootstrap,
            mail_url,
        ]
        self.process: asyncio.subprocess.Process | None = None

    async def ask(self, now: datetime) -> None:
        """Writes an instant. Raises BrokenPipeError or ConnectionResetError if the process has ended."""
        if self.process is None or self.process.returncode is not None:
            pipe = asyncio.subprocess.PIPE
            self.process = await asyncio.create_subprocess_exec(*self._argv, stdin=pipe, stdout=pipe)
        assert self.process.stdin
        self.process.stdin.write(f"{now.isoformat()}\n".encode())
        await self.process.stdin.drain()

    async def answer(self) -> bool:
        """Waits for the answer. Returns False if the process has ended without one."""
        assert self.process
        assert self.process.stdout
        return bool(await self.process.stdout.readline())

    async def look(self, now: datetime) -> None:
        """Lets the process work at an instant until it is done, however often it is killed meanwhile."""
        is_done = False
        while not is_done:
            try:
                await self.ask(now)
                is_done = await self.answer()
            except (BrokenPipeError, ConnectionResetError):
                is_done = False
            if not is_done:
                await self.kill()

    async def kill(self) -> None:
        if self.process and self.process.returncode is None:
            self.process.kill()
        if self.process:
            await self.process.wait()
            self.process = None


@asynccontextmanager
async def child_process(study_id: str, system_url: str, bootstrap: str, mail_url: str) -> AsyncIterator[ChildProcess]:
    child = ChildProcess(study_id, system_url, bootstrap, mail_url)
    try:
        yield child
    finally:
        await child.kill()


async def work(study_id: str, system_url: str, bootstrap: str, mail_url: str) -> None:
    """Answers each instant of standard input until it is closed."""
    settings = read_settings({"QUARTAL_ANALYTICS_SYSTEM_URL": system_url, "KAFKA_BOOTSTRAP": bootstrap})
    stop = asyncio.Event()
    relay = asyncio.create_task(keep_running(relay_task("analytics", "reminders"))(settings, stop))
    pool = await retry_while_unavailable(lambda: open_pool(system_url, max_size=4))
    worker = SteppedWorker(study_id, pool, bootstrap, mail_url)
    deriver = Deriver(pool, TermNames(), Clock())
    try:
        while line := await asyncio.to_thread(sys.stdin.readline):
            await look(worker, deriver, datetime.fromisoformat(line.strip()))
            sys.stdout.write(line)
            sys.stdout.flush()
    finally:
        stop.set()
        await relay
        await worker.ends.close()
        await pool.close()


async def look(worker: SteppedWorker, deriver: Deriver, now: datetime) -> None:
    """Derives, plans, composes and sends, after waiting for an unavailable database or broker."""
    worker.now, is_done = now, False
    while not is_done:
        try:
            await deriver.derive_study(worker.study_id)
            is_done = await worker.worker.tick(worker.study_id) is None
            if is_done:
                await worker.sender.send_due()
        except UNAVAILABLE:
            is_done = False
        if not is_done:
            await asyncio.sleep(_RETRY_SECONDS)


if __name__ == "__main__":
    asyncio.run(work(*sys.argv[1:]))
