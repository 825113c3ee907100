"""How aiokafka's clients begin and end when one of their own tasks has died, which they do not expect.

uvloop raises RuntimeError for a connection that was just lost. A task of the client that was writing to it dies of that
without a word: the one that learns what the cluster looks like (aio-libs/aiokafka#1038), or the one that fetches. Then
`close` raises it again and leaves the connections open, and a consumer's `stop` gives up half-way, or raises the
cancellation of a fetch that it cancels itself, as if its caller were to be cancelled.

aiokafka looks at the cluster when a connection is lost, and does not repeat a look that fails: the next one comes after
`metadata_max_age_ms`, five minutes unless it is set. A client that connected just before the broker was killed does not
know a single topic then, and if it leads its group, it assigns nothing to all members, without an error. The next look
mends that by itself, because a leader assigns anew when it sees that topics have changed. So members of a group look
every `LOOKS_EVERY_MS`.
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

LOOKS_EVERY_MS = 2_000  # as often as a heartbeat
_STARTS_WITHIN = 60.0  # seconds: a rebalance may have to wait for a member that died
_STOPS_WITHIN = 3.0
_LOOKS_AGAIN = 0.5
_log = logging.getLogger(__name__)


@asynccontextmanager
async def consuming(consumer: AIOKafkaConsumer) -> AsyncIterator[AIOKafkaConsumer]:
    """Starts and ends it. Raises TimeoutError where it does not start."""
    try:
        async with asyncio.timeout(_STARTS_WITHIN):
            await consumer.start()
        yield consumer
    finally:
        await ended(consumer.stop(), _STOPS_WITHIN)
        await _cancelled(_tasks(consumer))
        await close(consumer._client, _STOPS_WITHIN)


@asynccontextmanager
async def administration(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """Starts and ends it. Raises TimeoutError where it does not start."""
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        async with asyncio.timeout(_STARTS_WITHIN):
            await client.start()
        yield client
    finally:
        await close(client._client, _STOPS_WITHIN)


def vital_tasks(consumer: AIOKafkaConsumer) -> set[asyncio.Task[None]]:
    """The tasks of a started consumer without which it brings nothing, and raises nothing."""
    return {consumer._client._sync_task, consumer._fetcher._fetch_task}


async def partitions_of(bootstrap: str, topics: Collection[str]) -> list[TopicPartition]:
    """Of all the topics, once they are all there. Logs one line for each set of topics that it waits for."""
    async with administration(bootstrap) as admin:
        waited_for = list[str]()
        while True:
            described = await admin.describe_topics(list(topics))
            missing = sorted(each["topic"] for each in described if each["error_code"])
            if not missing:
                break
            if missing != waited_for:
                _log.warning("waiting for the topics %s", ", ".join(missing))
            waited_for = missing
            await asyncio.sleep(_LOOKS_AGAIN)
    return [TopicPartition(each["topic"], part["partition"]) for each in described for part in each["partitions"]]


async def close(client: AIOKafkaClient, within: float) -> None:
    """Close its connections, whatever became of it; give up after `within` seconds. Raises nothing of its own."""
    if client._sync_task and client._sync_task.done():
        client._sync_task = None
    await ended(client.close(), within)


async def ended(ending: Coroutine[Any, Any, None], within: float) -> None:
    """Wait for an end, `within` seconds at most. What it raises is logged; a cancellation inside of it is not ours."""
    task = asyncio.create_task(ending)
    try:
        await asyncio.wait({task}, timeout=within)
    finally:
        task.cancel()
        await asyncio.wait({task})
    if not task.cancelled() and (error := task.exception()):
        _log.info("a Kafka client failed while it closed: %s", type(error).__name__)


def _tasks(consumer: AIOKafkaConsumer) -> Iterator[asyncio.Task[Any] | None]:
    """What it runs, and would go on running where its end was cut short."""
    if coordinator := consumer._coordinator:
        for name in ("_coordination_task", "_heartbeat_task", "_commit_refresh_task", "_reset_committed_task"):
            yield getattr(coordinator, name, None)
    if fetcher := consumer._fetcher:
        yield from (fetcher._fetch_task, *fetcher._pending_tasks)


async def _cancelled(tasks: Iterator[asyncio.Task[Any] | None]) -> None:
    if left := {task for task in tasks if task and not task.done()}:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=_STOPS_WITHIN)
