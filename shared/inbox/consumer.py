"""The plain consumer: an aiokafka consumer group that applies batches until it is stopped.

The database decides where to continue, because only there offsets and effects belong to one transaction: a database
that was restored to an earlier state catches up by itself. The offsets of Kafka's group serve lag monitoring and are
a hint.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError

from shared.inbox.batch import EventHandler, apply_with_retry
from shared.inbox.repository import SQL
from shared.inbox.stream_cursor import KafkaMessage
from shared.kafka.clients import METADATA_MAX_AGE_MS, list_partitions, open_consumer, vital_tasks
from shared.postgres.retry import retry_while_unavailable
from shared.retry import Backoff

BATCH_SIZE = 500
_POLL_TIMEOUT_MS = 250
_COMMIT_INTERVAL_SECONDS = 1.0  # each commit of the group's offsets costs the broker as much as a message
_COMMIT_TIMEOUT_SECONDS = 2.0
_SMALL_BATCH_SIZE = 50
_SMALL_BATCH_DELAY_SECONDS = 0.1
"""Pause from the begin of a small batch to the next: a single message is applied at once, a trickle in one batch."""
_RETRY_SECONDS = 0.5
_BROKER_TIMEOUT_SECONDS = 60.0
_log = logging.getLogger(__name__)
Offsets = Mapping[TopicPartition, int]


async def consume(
    pool: asyncpg.Pool[Any],
    *,
    bootstrap: str,
    group: str,
    topics: Collection[str],
    handler: EventHandler,
    stop: asyncio.Event,
) -> None:
    """Applies the messages of the topics, at least once, until `stop` is set.

    Continues after failures of the broker or the database, and after rebalances. Raises what `handler` raises, except
    PoisonEvent and errors of an unavailable database.
    """
    backoff = Backoff.constant(_RETRY_SECONDS)
    while not stop.is_set():
        try:
            await _wait_for_topics(bootstrap, topics, stop)
            if stop.is_set():
                return
            async with open_consumer(_create_consumer(pool, bootstrap, group, topics)) as consumer:
                await _run_until_client_dies(consumer, _consume(consumer, pool, handler, stop))
        except (KafkaError, OSError) as error:
            _log.warning("Kafka does not answer (%s): trying again", type(error).__name__)
            await backoff.wait()


async def _wait_for_topics(bootstrap: str, topics: Collection[str], stop: asyncio.Event) -> None:
    """Waits until the topics exist or `stop` is set: a consumer of a missing topic logs error after error."""
    lookup, stopping = asyncio.create_task(list_partitions(bootstrap, topics)), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({lookup, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if lookup.done():
            lookup.result()
    finally:
        for task in (lookup, stopping):
            task.cancel()
        await asyncio.wait({lookup, stopping})


async def stored_offsets(pool: asyncpg.Pool[Any], topics: Collection[str]) -> Offsets:
    """Returns the next offset of each partition of the topics, as the database has it."""
    rows = await retry_while_unavailable(lambda: pool.fetch(SQL["load_offsets"], list(topics)))
    return {TopicPartition(row["topic"], row["partition"]): row["next"] for row in rows}


async def rewind_group(
    pool: asyncpg.Pool[Any],
    bootstrap: str,
    group: str,
    topics: Collection[str],
    on_restore: Callable[[], Awaitable[None]],
) -> None:
    """Resets the group's offsets that are ahead of the database's, which happens after the database was restored.

    Calls `on_restore` first. Waits for the broker and for the topics and, if there is an offset to reset, until the
    group has no members left.
    """
    backoff = Backoff.constant(_RETRY_SECONDS)
    while True:
        try:
            partitions = await list_partitions(bootstrap, topics)
            client = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
            async with open_consumer(client) as consumer, asyncio.timeout(_BROKER_TIMEOUT_SECONDS):
                ahead = await _offsets_ahead_of_database(consumer, partitions, await stored_offsets(pool, topics))
                if ahead:
                    await on_restore()
                    consumer.assign(partitions)
                    await consumer.commit(ahead)
                return
        except (KafkaError, OSError) as error:
            _log.warning("Kafka is not ready (%s): trying again", type(error).__name__)
        await backoff.wait()


async def _offsets_ahead_of_database(
    consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition], stored: Offsets
) -> dict[TopicPartition, int]:
    committed = {partition: await consumer.committed(partition) or 0 for partition in partitions}
    return {
        partition: stored.get(partition, 0)
        for partition, offset in committed.items()
        if offset > stored.get(partition, 0)
    }


def _create_consumer(pool: asyncpg.Pool[Any], bootstrap: str, group: str, topics: Collection[str]) -> AIOKafkaConsumer:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=10_000,
        heartbeat_interval_ms=2_000,
        max_partition_fetch_bytes=4 * 1024 * 1024,
        metadata_max_age_ms=METADATA_MAX_AGE_MS,
    )
    consumer.subscribe(list(topics), listener=_SeekToStoredOffsets(consumer, pool, topics))
    return consumer


class _SeekToStoredOffsets(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    """Continues at the earlier offset of two: the database's, or the group's, whose topic may be a new one."""

    def __init__(self, consumer: AIOKafkaConsumer, pool: asyncpg.Pool[Any], topics: Collection[str]) -> None:
        self._consumer, self._pool, self._topics = consumer, pool, topics

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Does nothing: the next owner applies the current batch again, without effect."""

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self._consumer.pause(*assigned)  # read nothing at the group's offset before the seek
        try:
            stored = await stored_offsets(self._pool, self._topics)
            for partition in assigned:
                committed = await self._consumer.committed(partition)
                self._consumer.seek(partition, min(stored.get(partition, 0), committed or 0))
        finally:
            self._consumer.resume(*(self._consumer.assignment() & set(assigned)))


async def _run_until_client_dies(consumer: AIOKafkaConsumer, consumption: Coroutine[Any, Any, None]) -> None:
    """Consumes until the coroutine ends. Raises KafkaConnectionError when a vital task of the client has died.

    Such a client delivers nothing and waits for the group's coordinator forever; `shared.kafka.clients` explains why.
    """
    task = asyncio.create_task(consumption)
    try:
        await asyncio.wait({task, *vital_tasks(consumer)}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise KafkaConnectionError("a task of the client has died")
        await task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _consume(
    consumer: AIOKafkaConsumer, pool: asyncpg.Pool[Any], handler: EventHandler, stop: asyncio.Event
) -> None:
    clock = asyncio.get_running_loop().time
    next_offsets, committed_at = dict[TopicPartition, int](), clock()
    while not stop.is_set():
        fetched = await consumer.getmany(timeout_ms=_POLL_TIMEOUT_MS, max_records=BATCH_SIZE)
        started_at = clock()
        if messages := [message_from_record(record) for records in fetched.values() for record in records]:
            await apply_with_retry(pool, messages, handler)
            next_offsets |= {
                TopicPartition(message.topic, message.partition): message.offset + 1 for message in messages
            }
        if next_offsets and clock() > committed_at + _COMMIT_INTERVAL_SECONDS:
            next_offsets, committed_at = await _commit_offsets(consumer, next_offsets), clock()
        if 0 < len(messages) < _SMALL_BATCH_SIZE:
            await asyncio.sleep(started_at + _SMALL_BATCH_DELAY_SECONDS - clock())
    await _commit_offsets(consumer, next_offsets)


async def _commit_offsets(
    consumer: AIOKafkaConsumer, next_offsets: dict[TopicPartition, int]
) -> dict[TopicPartition, int]:
    """Commits the offsets of assigned partitions to the group; returns those that could not be committed."""
    assigned_offsets = {
        partition: offset for partition, offset in next_offsets.items() if partition in consumer.assignment()
    }
    try:
        if assigned_offsets:
            async with asyncio.timeout(_COMMIT_TIMEOUT_SECONDS):
                await consumer.commit(assigned_offsets)
    except (KafkaError, TimeoutError) as error:  # a rebalance or an outage; the database has the offsets that count
        _log.info("the offsets could not be committed to Kafka: %s", type(error).__name__)
        return next_offsets
    return {}


def message_from_record(record: ConsumerRecord[bytes, bytes]) -> KafkaMessage:
    return KafkaMessage(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        headers=tuple(record.headers or ()),
        value=record.value,
    )
