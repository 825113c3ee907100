from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg
import pytest

from shared.contracts.cloudevents import encode
from shared.contracts.event import Event
from shared.outbox.publisher import KafkaPublisher
from tests.conftest import Database, KafkaServer, PostgresServer
from tests.integration.analytics import analytics_of_its_own, journal, lines, stands
from tests.integration.stated import Telling, corrected_participant, enrolled, lesion, participant

PATIENCE = 40.0  # seconds until a promise counts as broken
WORKER = """
import asyncio, sys
from pathlib import Path
from services.analytics.projection.worker import run
url, bootstrap, datadir, group = sys.argv[1:]
asyncio.run(run(url, bootstrap, Path(datadir), group=group))
"""


class Worker:
    """The real worker, a process of its own."""

    def __init__(self, database: Database, bootstrap: str, folder: Path, group: str) -> None:
        self._argv = [sys.executable, "-c", WORKER, system_url(database), bootstrap, str(folder), group]
        self._log = folder / "worker.log"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(self._argv, stdout=log, stderr=log)

    def restart(self) -> None:
        self.end(signal.SIGKILL)
        self.process = self._start()

    def end(self, number: signal.Signals = signal.SIGTERM, within: float = 5.0) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(within)

    async def ended(self) -> int:
        return await asyncio.to_thread(self.process.wait, PATIENCE)


def system_url(database: Database) -> str:
    """The pool knows it; a process of its own needs it spelled out."""
    return database.system_url


@contextmanager
def working(database: Database, bootstrap: str, folder: Path, group: str) -> Iterator[Worker]:
    worker = Worker(database, bootstrap, folder, group)
    try:
        yield worker
    finally:
        worker.end(signal.SIGKILL)


@pytest.fixture
async def own(postgres: PostgresServer, databases: Mapping[str, str]) -> AsyncIterator[Database]:
    async with analytics_of_its_own(postgres) as database:
        yield database


@pytest.fixture
def group() -> str:
    return f"group-{secrets.token_hex(4)}"


@pytest.fixture
async def publish(kafka: KafkaServer, topics: Sequence[str]) -> AsyncIterator[Callable[[Sequence[Event]], Awaitable[None]]]:
    publisher = KafkaPublisher(kafka.bootstrap)

    async def said(events: Sequence[Event]) -> None:
        await publisher.publish([encode(event) for event in events])

    yield said
    await publisher.close()
