"""Run the real Faust worker as a process of its own, publish to it, and look at what it projected."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shared.contracts.cloudevents import encode
from shared.outbox.publisher import KafkaPublisher
from tests.conftest import Database, KafkaServer
from tests.integration.analytics import journal
from tests.integration.stated import Telling, enrolled, lesion, participant

PATIENCE = 40.0  # seconds until a promise counts as broken
WORKER = """
import asyncio, logging, sys
from pathlib import Path
from services.analytics.projection.worker import run
url, bootstrap, datadir, group = sys.argv[1:]
logging.basicConfig(level=logging.INFO)
asyncio.run(run(url, bootstrap, Path(datadir), group=group))
"""
LOSES_ITS_CLIENT = """
import signal
from aiokafka.client import AIOKafkaClient
async def dies(*_):
    raise RuntimeError("the handler is closed")  # as uvloop says it of a connection that was just lost
signal.signal(signal.SIGUSR1, lambda *_: setattr(AIOKafkaClient, "_metadata_update", dies))
"""


class Worker:
    """The real worker, a process of its own. SIGUSR1 breaks its Kafka clients at their next look at the cluster."""

    def __init__(self, argv: Sequence[str], folder: Path) -> None:
        self._argv, self._log = [sys.executable, "-c", LOSES_ITS_CLIENT + WORKER, *argv], folder / "worker.log"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(self._argv, stdout=log, stderr=log)

    def restart(self) -> None:
        self.end(signal.SIGKILL)
        self.process = self._start()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code; it ends within the patience of a supervisor."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(15.0)

    async def says(self, words: str) -> bool:
        assert self.process.poll() is None
        return words in self._log.read_text("utf-8")

    async def ended(self) -> int:
        return await asyncio.to_thread(self.process.wait, PATIENCE)


@dataclass(frozen=True)
class Site:
    """What a worker needs, and who publishes to it."""

    kafka: KafkaServer
    publisher: KafkaPublisher
    folder: Path
    group: str

    @contextmanager
    def worker(self, database: Database, bootstrap: str = "") -> Iterator[Worker]:
        worker = Worker(
            [database.urls["system"], bootstrap or self.kafka.bootstrap, str(self.folder), self.group], self.folder
        )
        try:
            yield worker
        finally:
            worker.end(signal.SIGKILL)

    async def publish(self, *tellings: Telling, since: int = 0) -> None:
        await self.publisher.publish([encode(event) for each in tellings for event in each.events[since:]])


def crowd(study_id: str, size: int) -> list[Telling]:
    return [participant(study_id, lesion("L1"), lesion("L2"), enrolled()) for _ in range(size)]


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await holds():  # noqa: ASYNC110 - another process, which has no event to wait for
            await asyncio.sleep(0.05)


async def applied(database: Database, *tellings: Telling) -> None:
    """Wait until all that they tell is in the journal."""
    study_id, events = tellings[0].study_id, sum(len(telling.events) for telling in tellings)

    async def all_there() -> bool:
        return len(await journal(database.system, study_id)) >= events

    await until(all_there)


async def nothing_lost_nothing_doubled(database: Database, *tellings: Telling) -> None:
    rows = await journal(database.system, tellings[0].study_id)
    assert [row["position"] for row in rows] == list(range(1, len(rows) + 1))
    told = [(telling.stream_id, event.version) for telling in tellings for event in telling.events]
    assert sorted((row["subject"], row["version"]) for row in rows) == sorted(told)
