"""The reminders' part of the deriver's process: ticks every few seconds, and publishes what happened to reminders."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from services.analytics.reminders.currency import Currency
from services.analytics.reminders.digest import MailSettings
from services.analytics.reminders.digest_repository import claim
from services.analytics.reminders.repository import StudyOverview
from services.analytics.reminders.subscriptions.repository import recipients
from services.analytics.reminders.worker import MailPorts, ReminderWorker
from shared.contracts.cloudevents import PARTITIONS_PER_TOPIC, topic
from shared.inbox.consumer import Offsets
from shared.kafka.clients import open_consumer
from shared.outbox.lease import RestoredDatabase
from shared.outbox.publisher import PublishError
from shared.postgres.errors import UNAVAILABLE
from shared.postgres.retry import retry_while_unavailable
from shared.postgres.tenancy import open_pool
from shared.retry import wait_for_event
from shared.runtime.service_process import WorkerTask
from shared.settings import PRODUCERS, Settings

TICK_SECONDS = 2.0
_REQUEST_TIMEOUT_MS = 5_000
_RESTART_SECONDS = 10.0
_log = logging.getLogger(__name__)


class TopicEnds:
    """Reads the end offsets of topics, by a connection that is opened when it is needed and kept.

    Close it after use.
    """

    def __init__(self, bootstrap: str, topics: Sequence[str]) -> None:
        self._bootstrap = bootstrap
        self._partitions = [TopicPartition(topic, n) for topic in topics for n in range(PARTITIONS_PER_TOPIC)]
        self._connection = AsyncExitStack()
        self._consumer: AIOKafkaConsumer | None = None

    async def read(self) -> Offsets:
        """Returns where the next message of each partition will be. Raises KafkaError or OSError."""
        try:
            consumer = self._consumer or await self._connect()
            ends: Offsets = await consumer.end_offsets(self._partitions)
        except (KafkaError, OSError):
            await self.close()
            raise
        return ends

    async def _connect(self) -> AIOKafkaConsumer:
        client = AIOKafkaConsumer(bootstrap_servers=self._bootstrap, request_timeout_ms=_REQUEST_TIMEOUT_MS)
        self._consumer = await self._connection.enter_async_context(open_consumer(client))
        return self._consumer

    async def close(self) -> None:
        """Closes the connection, so that the next reading opens another."""
        self._consumer = None
        await self._connection.aclose()


def mail_ports(settings: Settings) -> MailPorts:
    """Returns the subscriptions and mails of this installation. Without a mail server nobody receives digests."""
    mail = MailSettings(mail_from=settings.mail_from, url=settings.public_url, detail=settings.mail_detail)
    has_server = settings.mail_server is not None
    return MailPorts(load_recipients=recipients, claim=claim, settings=mail if has_server else None)


async def run_reminders(settings: Settings, stop: asyncio.Event) -> None:
    """Plans reminders and composes digests until `stop` is set. Waits while the database is unavailable."""
    url = settings.database_url("analytics", "system")
    pool = await retry_while_unavailable(lambda: open_pool(url, max_size=2))
    ends = TopicEnds(settings.kafka_bootstrap, [topic(service) for service in PRODUCERS])
    currency = Currency(pool, ends.read)
    worker = ReminderWorker(pool, settings.study_clock(), currency, mail_ports(settings), shards=settings.relay_shards)
    try:
        await run_ticks(worker, stop)
    finally:
        await ends.close()
        await pool.close()


def keep_running(work: WorkerTask) -> WorkerTask:
    """Returns a task that does the work again after it has failed, since what else its process does goes on."""

    async def run(settings: Settings, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await work(settings, stop)
            except (KafkaError, PublishError, RestoredDatabase, *UNAVAILABLE) as error:
                _log.warning("reminders are not published, trying again: %s", error)
                await wait_for_event(stop, _RESTART_SECONDS)

    return run


async def run_ticks(worker: ReminderWorker, stop: asyncio.Event, *, interval: float = TICK_SECONDS) -> None:
    """Ticks for every study until `stop` is set. A fault of one study delays its reminders, and those of no other.

    Studies in which a tick would change nothing are passed over, and get their sign of life by one statement.
    """
    while not stop.is_set():
        try:
            may_pass_over = await worker.is_confirmed()
            passed_over = [
                study.study_id for study in await worker.studies() if await _tick(worker, study, may_pass_over)
            ]
            await worker.pass_over(passed_over)
        except UNAVAILABLE as error:
            _log.warning("reminders wait for the database: %s", type(error).__name__)
        await wait_for_event(stop, interval)


async def _tick(worker: ReminderWorker, study: StudyOverview, may_pass_over: bool) -> bool:
    """Ticks for a study unless it is idle. Returns whether it was."""
    try:
        if may_pass_over and worker.is_idle(study):
            return True
        await worker.tick(study.study_id)
    except UNAVAILABLE:
        raise
    except Exception:  # of any kind: such as a fact of the study that this release cannot read
        _log.exception("the reminders of a study cannot be planned", extra={"study_id": study.study_id})
    return False
