"""Publishes messages to Kafka in the order given, acknowledged by every replica in sync. Creates and checks topics."""

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
from shared.retry import Backoff

MAX_RECORD_BYTES = 2 * 1024 * 1024  # a request body has at most 1 MiB
SEND_BATCH_SIZE = 500
_STOP_TIMEOUT_SECONDS = 5.0
_TOPIC_ALREADY_EXISTS = 36  # Kafka's error code
_DESCRIBE_ATTEMPTS = 50
_DESCRIBE_INTERVAL_SECONDS = 0.1
_log = logging.getLogger(__name__)


class PublishError(Exception):
    """Some messages were not acknowledged. Others may have been published: publish all of them again."""


class WrongTopic(Exception):
    """A topic has another number of partitions, which would break the order of streams, or does not exist."""


class Publisher(Protocol):
    async def publish(self, messages: Sequence[Message]) -> None:
        """Returns when all messages are acknowledged; those of one key keep their order. Raises PublishError."""
        ...

    async def close(self) -> None: ...


class KafkaPublisher:
    """Publishes through an idempotent producer, which is created on demand and again after a failure.

    A publication that the broker does not acknowledge within `timeout_seconds` fails.
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
        """Flushes the pending messages within the timeout, then stop the producer."""
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
        """Lets a cancelled start end by itself first, since aborting it would leave its connection open."""
        await asyncio.wait([starting], timeout=self._timeout)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await _stop(producer, 0.0)

    async def _stop_producer(self, timeout_seconds: float) -> None:
        """Stops the producer before another one starts, even if this task is cancelled."""
        if self._producer:
            self._stopping = asyncio.create_task(_stop(self._producer, timeout_seconds))
        self._producer = None
        if self._stopping:
            with suppress(KafkaError, OSError):
                await asyncio.shield(self._stopping)
        self._stopping = None


async def _stop(producer: AIOKafkaProducer, timeout_seconds: float) -> None:
    """Stops a producer. An idempotent one never gives up, and its `stop` waits for an unavailable broker to return."""
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
    """Creates missing topics with unlimited retention. Raises WrongTopic; PublishError if the broker refuses."""
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
    """Raises WrongTopic unless all topics exist with that number of partitions. Creates nothing."""
    async with open_admin(bootstrap) as admin:
        if missing := sorted(set(topics) - set(await admin.list_topics())):
            raise WrongTopic(f"These topics do not exist: {', '.join(missing)}.")
        await _check_partitions(admin, topics, partitions)


async def _check_partitions(admin: AIOKafkaAdminClient, topics: Sequence[str], partitions: int) -> None:
    """Raises WrongTopic for another number of partitions. A topic created just now may not be described yet."""
    backoff = Backoff.constant(_DESCRIBE_INTERVAL_SECONDS)
    for attempt in count():
        descriptions = await admin.describe_topics(list(topics))
        partition_counts = {description["topic"]: len(description["partitions"]) for description in descriptions}
        if wrong_counts := {name: number for name, number in partition_counts.items() if number not in (0, partitions)}:
            raise WrongTopic(
                f"Every topic must have {partitions} partitions; these have another number: {wrong_counts}."
            )
        if all(partition_counts.get(name) for name in topics):
            return
        if attempt == _DESCRIBE_ATTEMPTS:
            raise PublishError(
                f"Kafka does not describe {sorted(name for name in topics if not partition_counts.get(name))}."
            )
        await backoff.wait()
