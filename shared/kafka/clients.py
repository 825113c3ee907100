"""Starts and stops aiokafka's clients, also when one of their own tasks has died, which aiokafka does not expect.

uvloop raises RuntimeError for a connection that was just lost. A task of the client that was writing to it dies of it
silently: the task that updates the metadata (aio-libs/aiokafka#1038), or the one that fetches. Then `close` raises the
error again and leaves connections open, and a consumer's `stop` ends half-way, or raises the cancellation of a
fetch that it cancels itself, as if its caller were cancelled.

aiokafka updates the metadata when a connection is lost and does not repeat an update that fails: the next one comes
after `metadata_max_age_ms`, by default five minutes. A client that connected just before the broker was killed knows no
topic until then, and if it leads its group, it assigns no partition to any member, without an error. The next update
repairs that, because a leader assigns again when its topics have changed. Members of a group therefore update
every `METADATA_MAX_AGE_MS`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient

from shared.retry import Backoff

METADATA_MAX_AGE_MS = 2_000  # as often as a heartbeat
_START_TIMEOUT_SECONDS = 60.0  # a rebalance may have to wait for a member that died
_STOP_TIMEOUT_SECONDS = 3.0
_TOPIC_POLL_SECONDS = 0.5
_log = logging.getLogger(__name__)


@asynccontextmanager
async def open_consumer(consumer: AIOKafkaConsumer) -> AsyncIterator[AIOKafkaConsumer]:
    """Starts the consumer, and stops it on exit. Raises TimeoutError if it does not start."""
    try:
        async with asyncio.timeout(_START_TIMEOUT_SECONDS):
            await consumer.start()
        yield consumer
    finally:
        await stop_quietly(consumer.stop(), _STOP_TIMEOUT_SECONDS)
        await _cancel_all(_client_tasks(consumer))
        await close_client(consumer._client, _STOP_TIMEOUT_SECONDS)


@asynccontextmanager
async def open_admin(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """Starts an admin client, and closes it on exit. Raises TimeoutError if it does not start."""
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        async with asyncio.timeout(_START_TIMEOUT_SECONDS):
            await client.start()
        yield client
    finally:
        await close_client(client._client, _STOP_TIMEOUT_SECONDS)


def vital_tasks(consumer: AIOKafkaConsumer) -> set[asyncio.Task[None]]:
    """Returns the tasks of a started consumer without which it delivers nothing and raises nothing."""
    return {consumer._client._sync_task, consumer._fetcher._fetch_task}


async def list_partitions(bootstrap: str, topics: Collection[str]) -> list[TopicPartition]:
    """Returns the partitions of the topics once all exist. Logs a line whenever the set of missing topics changes."""
    async with open_admin(bootstrap) as admin:
        last_missing, backoff = list[str](), Backoff.constant(_TOPIC_POLL_SECONDS)
        while True:
            descriptions = await admin.describe_topics(list(topics))
            missing = sorted(description["topic"] for description in descriptions if description["error_code"])
            if not missing:
                break
            if missing != last_missing:
                _log.warning("waiting for the topics %s", ", ".join(missing))
            last_missing = missing
            await backoff.wait()
    return [
        TopicPartition(description["topic"], part["partition"])
        for description in descriptions
        for part in description["partitions"]
    ]


async def close_client(client: AIOKafkaClient, timeout_seconds: float) -> None:
    """Closes the client's connections even if its tasks have died; give up after the timeout. Raises no Kafka error."""
    if client._sync_task and client._sync_task.done():
        client._sync_task = None
    await stop_quietly(client.close(), timeout_seconds)


async def stop_quietly(stop: Coroutine[Any, Any, None], timeout_seconds: float) -> None:
    """Awaits `stop` for at most the timeout. Logs its error; a cancellation within it does not cancel the caller."""
    task = asyncio.create_task(stop)
    try:
        await asyncio.wait({task}, timeout=timeout_seconds)
    finally:
        task.cancel()
        await asyncio.wait({task})
    if not task.cancelled() and (error := task.exception()):
        _log.info("a Kafka client failed while it closed: %s", type(error).__name__)


def _client_tasks(consumer: AIOKafkaConsumer) -> Iterator[asyncio.Task[Any] | None]:
    """Returns the consumer's background tasks, which continue if its `stop` was interrupted."""
    if coordinator := consumer._coordinator:
        for name in ("_coordination_task", "_heartbeat_task", "_commit_refresh_task", "_reset_committed_task"):
            yield getattr(coordinator, name, None)
    if fetcher := consumer._fetcher:
        yield from (fetcher._fetch_task, *fetcher._pending_tasks)


async def _cancel_all(tasks: Iterator[asyncio.Task[Any] | None]) -> None:
    if unfinished := {task for task in tasks if task and not task.done()}:
        for task in unfinished:
            task.cancel()
        await asyncio.wait(unfinished, timeout=_STOP_TIMEOUT_SECONDS)
