"""How messages get to Kafka: acknowledged by every replica in sync, in the order in which they were given."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import count
from typing import Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from shared.contracts.cloudevents import PARTITIONS_PER_TOPIC, Message
from shared.kafka.clients import close_client, open_admin, stop_quietly

MAX_RECORD_BYTES = 2 * 1024 * 1024  # bytes of one record: a request body has at most 1 MiB
SEND_BATCH_SIZE = 500
_STOP_TIMEOUT_SECONDS = 5.0  # seconds
_TOPIC_ALREADY_EXISTS = 36  # TOPIC_ALREADY_EXISTS
_log = logging.getLogger(__name__)


class PublishError(Exception):
    """Not every message was acknowledged. Some may have been: publish all of them again."""


class WrongTopic(Exception):
    """A topic is there with another number of partitions, which would break the order of streams."""


class Publisher(Protocol):
    async def publish(self, messages: Sequence[Message]) -> None:
        """Returns when all are acknowledged; those of one key are stored in the order given. Raises NotPublished."""
        ...

    async def close(self) -> None: ...


class KafkaPublisher:
    """An idempotent producer, made when it is needed and made anew after it failed.

    `patience`: seconds after which a publication that the broker has not acknowledged is given up.
    """

    def __init__(self, bootstrap: str, *, timeout_seconds: float = 15.0) -> None:
        self._bootstrap, self._timeout = bootstrap, timeout_seconds
        self._producer: AIOKafkaProducer | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    async def publish(self, messages: Sequence[Message]) -> None:
        async with self._lock:
            try:
                async with asyncio.timeout(self._timeout):
                    producer = self._producer or await self._connect()
                    for start in range(0, len(messages), SEND_BATCH_SIZE):
                        await _send_and_await_acks(producer, messages[start : start + SEND_BATCH_SIZE])
            except (KafkaError, OSError, TimeoutError) as failure:
                await self._stop_producer(0.0)
                raise PublishError(str(failure) or type(failure).__name__) from failure

    async def close(self) -> None:
        """Sends what is under way, for as long as there is patience, then ends."""
        async with self._lock:
            await self._stop_producer(self._timeout)

    async def _connect(self) -> AIOKafkaProducer:
        await self._stop_producer(0.0)
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            enable_idempotence=True,
            acks="all",
            linger_ms=0,
            max_batch_size=128 * 1024,
            max_request_size=MAX_RECORD_BYTES,
            request_timeout_ms=round(self._timeout * 1000),
        )
        starting = asyncio.create_task(producer.start())
        try:
            await asyncio.shield(starting)
        except BaseException:
            self._stopping = asyncio.create_task(self._abort_start(producer, starting))
            raise
        self._producer = producer
        return producer

    async def _abort_start(self, producer: AIOKafkaProducer, starting: asyncio.Task[None]) -> None:
        """A start that is cancelled half-way would leave its connection open, so it may end by itself first."""
        await asyncio.wait([starting], timeout=self._timeout)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await _stop(producer, 0.0)

    async def _stop_producer(self, timeout_seconds: float) -> None:
        """The old producer ends, even if we are cancelled, before a new one begins."""
        if self._producer:
            self._stopping = asyncio.create_task(_stop(self._producer, timeout_seconds))
        self._producer = None
        if self._stopping:
            with suppress(KafkaError, OSError):
                await asyncio.shield(self._stopping)
        self._stopping = None


async def _stop(producer: AIOKafkaProducer, timeout_seconds: float) -> None:
    """An idempotent producer never gives up by itself, and its `stop` waits until a broker that is away is back."""
    try:
        await asyncio.wait_for(producer.flush(), timeout_seconds)
    except (TimeoutError, KafkaError):
        producer._closed = True
        await stop_quietly(producer._sender.close(), _STOP_TIMEOUT_SECONDS)
    else:
        await stop_quietly(producer.stop(), _STOP_TIMEOUT_SECONDS)
    await close_client(producer.client, _STOP_TIMEOUT_SECONDS)


async def _send_and_await_acks(producer: AIOKafkaProducer, messages: Iterable[Message]) -> None:
    sending: list[asyncio.Future[object]] = []
    try:
        for message in messages:
            headers = list(message.headers)
            sending.append(await producer.send(message.topic, message.value, message.key, headers=headers))
    except BaseException:
        for future in sending:
            future.cancel()
        raise
    for outcome in await asyncio.gather(*sending, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


async def ensure_topics(
    bootstrap: str, topics: Iterable[str], *, partitions: int = PARTITIONS_PER_TOPIC, replication: int = 1
) -> None:
    """Make what is missing: records are kept for ever. Raises WrongTopic, NotPublished when the broker refuses."""
    topic_names = list(topics)
    async with open_admin(bootstrap) as admin:
        topic_configs = {"retention.ms": "-1", "cleanup.policy": "delete", "max.message.bytes": str(MAX_RECORD_BYTES)}
        response = await admin.create_topics(
            [NewTopic(name, partitions, replication, topic_configs=topic_configs) for name in topic_names]
        )
        if creation_errors := [
            (error[0], error[1]) for error in response.topic_errors if error[1] not in (0, _TOPIC_ALREADY_EXISTS)
        ]:
            raise PublishError(f"Kafka refused to create topics (name, error code): {creation_errors}")
        await _check_partitions(admin, topic_names, partitions)


async def check_topics(bootstrap: str, topics: Sequence[str], *, partitions: int = PARTITIONS_PER_TOPIC) -> None:
    """Are they there, with the partitions they must have? Raises WrongTopic, and makes nothing."""
    async with open_admin(bootstrap) as admin:
        if missing := sorted(set(topics) - set(await admin.list_topics())):
            raise WrongTopic(f"These topics do not exist: {', '.join(missing)}.")
        await _check_partitions(admin, topics, partitions)


async def _check_partitions(admin: AIOKafkaAdminClient, topics: Sequence[str], partitions: int) -> None:
    """A topic that was made this moment may not be described yet."""
    for attempt in count():
        descriptions = await admin.describe_topics(list(topics))
        partition_counts = {description["topic"]: len(description["partitions"]) for description in descriptions}
        if wrong_counts := {name: number for name, number in partition_counts.items() if number not in (0, partitions)}:
            raise WrongTopic(
                f"Every topic must have {partitions} partitions; these have another number: {wrong_counts}."
            )
        if all(partition_counts.get(name) for name in topics):
            return
        if attempt == 50:
            raise PublishError(
                f"Kafka does not describe {sorted(name for name in topics if not partition_counts.get(name))}."
            )
        await asyncio.sleep(0.1)
