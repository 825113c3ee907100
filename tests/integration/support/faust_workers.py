"""Run the real Faust worker as a process of its own, publish to it, and look at what it projected."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shared.contracts.cloudevents import encode
from shared.outbox.publisher import KafkaPublisher
from shared.testing.builders.events import EventStream
from shared.testing.builders.facts import lesion_registered, participant_enrolled
from shared.testing.builders.participant_history import participant_stream
from tests.conftest import Database, KafkaServer
from tests.integration.support.analytics_database import journal_rows
from tests.polling import wait_until

TIMEOUT_SECONDS = 40.0  # seconds until a test fails
WORKER_SCRIPT = """
import asyncio, logging, sys
from pathlib import Path
from services.analytics.projection.worker import run
from shared.kernel.clock import Clock
url, bootstrap, datadir, group = sys.argv[1:]
logging.basicConfig(level=logging.INFO)
asyncio.run(run(url, bootstrap, Path(datadir), Clock(), group=group))
"""
CLIENT_FAILURE_SCRIPT = """
import signal
from aiokafka.client import AIOKafkaClient
from tests.polling import wait_until
async def dies(*_):
    raise RuntimeError("the handler is closed")  # as uvloop says it of a connection that was just lost
signal.signal(signal.SIGUSR1, lambda *_: setattr(AIOKafkaClient, "_metadata_update", dies))
"""


class FaustWorkerProcess:
    """The worker as a process of its own. SIGUSR1 breaks its Kafka clients at their next update of the metadata."""

    def __init__(self, argv: Sequence[str], folder: Path) -> None:
        self._argv, self._log = (
            [sys.executable, "-c", CLIENT_FAILURE_SCRIPT + WORKER_SCRIPT, *argv],
            folder / "worker.log",
        )
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(self._argv, stdout=log, stderr=log)

    def restart(self) -> None:
        self.stop(signal.SIGKILL)
        self.process = self._start()

    def stop(self, signal_number: signal.Signals = signal.SIGTERM) -> int:
        """Stops the worker within the time that a supervisor grants; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
        return self.process.wait(15.0)

    async def has_logged(self, text: str) -> bool:
        assert self.process.poll() is None
        return text in self._log.read_text("utf-8")

    async def wait_for_exit(self) -> int:
        return await asyncio.to_thread(self.process.wait, TIMEOUT_SECONDS)


@dataclass(frozen=True)
class FaustWorkerHarness:
    """Settings of a worker, and a publisher for its topics."""

    kafka: KafkaServer
    publisher: KafkaPublisher
    folder: Path
    group: str

    @contextmanager
    def worker(self, database: Database, bootstrap: str = "") -> Iterator[FaustWorkerProcess]:
        worker = FaustWorkerProcess(
            [database.urls["system"], bootstrap or self.kafka.bootstrap, str(self.folder), self.group], self.folder
        )
        try:
            yield worker
        finally:
            worker.stop(signal.SIGKILL)

    async def publish(self, *streams: EventStream, start: int = 0) -> None:
        await self.publisher.publish([encode(event) for stream in streams for event in stream.events[start:]])


def participant_streams(study_id: str, size: int) -> list[EventStream]:
    return [
        participant_stream(study_id, lesion_registered("L1"), lesion_registered("L2"), participant_enrolled())
        for _ in range(size)
    ]


async def wait_until_applied(database: Database, *streams: EventStream) -> None:
    """Waits until all events of the streams are in the journal."""
    study_id, events = streams[0].study_id, sum(len(stream.events) for stream in streams)

    async def is_applied() -> bool:
        return len(await journal_rows(database.system, study_id)) >= events

    await wait_until(is_applied)


async def assert_applied_exactly_once(database: Database, *streams: EventStream) -> None:
    rows = await journal_rows(database.system, streams[0].study_id)
    assert [row["position"] for row in rows] == list(range(1, len(rows) + 1))
    stated_versions = [(stream.stream_id, event.version) for stream in streams for event in stream.events]
    assert sorted((row["subject"], row["version"]) for row in rows) == sorted(stated_versions)
