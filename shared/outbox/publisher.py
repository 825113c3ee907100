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

from shared.contracts.cloudevents import PARTITIONS, Message
from shared.kafka import administration, close, ended

LARGEST = 2 * 1024 * 1024  # bytes of one record: a request body has at most 1 MiB
IN_FLIGHT = 500
_ENDS_WITHIN = 5.0  # seconds
_EXISTS = 36  # TOPIC_ALREADY_EXISTS
_log = logging.getLogger(__name__)


class NotPublished(Exception):
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

    def __init__(self, bootstrap: str, *, patience: float = 15.0) -> None:
        self._bootstrap, self._patience = bootstrap, patience
        self._producer: AIOKafkaProducer | None = None
        self._ending: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()

    async def publish(self, messages: Sequence[Message]) -> None:
        async with self._one_at_a_time:
            try:
                async with asyncio.timeout(self._patience):
                    producer = self._producer or await self._connect()
                    for start in range(0, len(messages), IN_FLIGHT):
                        await _acknowledged(producer, messages[start : start + IN_FLIGHT])
            except (KafkaError, OSError, TimeoutError) as failure:
                await self._end(0.0)
                raise NotPublished(str(failure) or type(failure).__name__) from failure

    async def close(self) -> None:
        """Sends what is under way, for as long as there is patience, then ends."""
        async with self._one_at_a_time:
            await self._end(self._patience)

    async def _connect(self) -> AIOKafkaProducer:
        await self._end(0.0)
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            enable_idempotence=True,
            acks="all",
            linger_ms=0,
            max_batch_size=128 * 1024,
            max_request_size=LARGEST,
            request_timeout_ms=round(self._patience * 1000),
        )
        starting = asyncio.create_task(producer.start())
        try:
            await asyncio.shield(starting)
        except BaseException:
            self._ending = asyncio.create_task(self._end_a_start(producer, starting))
            raise
        self._producer = producer
        return producer

    async def _end_a_start(self, producer: AIOKafkaProducer, starting: asyncio.Task[None]) -> None:
        """A start that is cancelled half-way would leave its connection open, so it may end by itself first."""
        await asyncio.wait([starting], timeout=self._patience)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await _stop(producer, 0.0)

    async def _end(self, patience: float) -> None:
        """The old producer ends, even if we are cancelled, before a new one begins."""
        if self._producer:
            self._ending = asyncio.create_task(_stop(self._producer, patience))
        self._producer = None
        if self._ending:
            with suppress(KafkaError, OSError):
                await asyncio.shield(self._ending)
        self._ending = None


async def _stop(producer: AIOKafkaProducer, patience: float) -> None:
    """An idempotent producer never gives up by itself, and its `stop` waits until a broker that is away is back."""
    try:
        await asyncio.wait_for(producer.flush(), patience)
    except (TimeoutError, KafkaError):
        producer._closed = True
        await ended(producer._sender.close(), _ENDS_WITHIN)
    else:
        await ended(producer.stop(), _ENDS_WITHIN)
    await close(producer.client, _ENDS_WITHIN)


async def _acknowledged(producer: AIOKafkaProducer, messages: Iterable[Message]) -> None:
    sending: list[asyncio.Future[object]] = []
    try:
        for message in messages:
            headers = list(message.headers)
            sending.append(await producer.send(message.topic, message.value, message.key, headers=headers))
    except BaseException:
        for sent in sending:
            sent.cancel()
        raise
    for outcome in await asyncio.gather(*sending, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


async def ensure_topics(
    bootstrap: str, topics: Iterable[str], *, partitions: int = PARTITIONS, replication: int = 1
) -> None:
    """Make what is missing: records are kept for ever. Raises WrongTopic, NotPublished when the broker refuses."""
    wanted = list(topics)
    async with administration(bootstrap) as admin:
        settings = {"retention.ms": "-1", "cleanup.policy": "delete", "max.message.bytes": str(LARGEST)}
        made = await admin.create_topics(
            [NewTopic(name, partitions, replication, topic_configs=settings) for name in wanted]
        )
        if refused := [(error[0], error[1]) for error in made.topic_errors if error[1] not in (0, _EXISTS)]:
            raise NotPublished(f"Kafka refused to create topics (name, error code): {refused}")
        await _check_partitions(admin, wanted, partitions)


async def check_topics(bootstrap: str, topics: Sequence[str], *, partitions: int = PARTITIONS) -> None:
    """Are they there, with the partitions they must have? Raises WrongTopic, and makes nothing."""
    async with administration(bootstrap) as admin:
        if missing := sorted(set(topics) - set(await admin.list_topics())):
            raise WrongTopic(f"These topics do not exist: {', '.join(missing)}.")
        await _check_partitions(admin, topics, partitions)


async def _check_partitions(admin: AIOKafkaAdminClient, topics: Sequence[str], partitions: int) -> None:
    """A topic that was made this moment may not be described yet."""
    for attempt in count():
        described = await admin.describe_topics(list(topics))
        found = {each["topic"]: len(each["partitions"]) for each in described}
        if wrong := {name: number for name, number in found.items() if number not in (0, partitions)}:
            raise WrongTopic(f"Every topic must have {partitions} partitions; these have another number: {wrong}.")
        if all(found.get(name) for name in topics):
            return
        if attempt == 50:
            raise NotPublished(f"Kafka does not describe {sorted(name for name in topics if not found.get(name))}.")
        await asyncio.sleep(0.1)
