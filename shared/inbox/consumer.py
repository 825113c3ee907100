"""The plain shell of the core: an aiokafka consumer group that applies batches until it is told to stop.

Kafka's group remembers offsets for lag monitoring and as a hint. Where to go on is what the database says, for only
there offsets and effects are of one transaction: a database that was restored to an earlier state catches up by itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError

from shared.inbox.apply import SQL, Effect, apply_patiently
from shared.inbox.line import Received
from shared.inbox.patience import patiently
from shared.kafka import LOOKS_EVERY_MS, consuming, partitions_of, vital_tasks

BATCH = 500
_POLL_MS = 250
_TELLS_EVERY = 1.0  # seconds between the hints to the group: each costs the broker as much as a message
_TOLD_WITHIN = 2.0
_GATHERS = 0.1  # seconds from a small batch to the next: the first message is taken in at once, a trickle together
_SMALL = 50  # messages
_AGAIN = 0.5
_ANSWERS_WITHIN = 60.0
_log = logging.getLogger(__name__)
Offsets = Mapping[TopicPartition, int]


async def consume(
    pool: asyncpg.Pool[Any],
    bootstrap: str,
    group: str,
    topics: Collection[str],
    effect: Effect,
    stop: asyncio.Event,
) -> None:
    """Take in the topics, at least once, until `stop` is set. Outlives broker, database and rebalances.

    Raises what `effect` raises, unless it is poison or passes by itself.
    """
    while not stop.is_set():
        try:
            await _until_there(bootstrap, topics, stop)
            if stop.is_set():
                return
            async with consuming(_member(pool, bootstrap, group, topics)) as consumer:
                await _while_it_hears(consumer, _take_in(consumer, pool, effect, stop))
        except (KafkaError, OSError) as error:
            _log.warning("Kafka does not answer (%s): trying again", type(error).__name__)
            await asyncio.sleep(_AGAIN)


async def _until_there(bootstrap: str, topics: Collection[str], stop: asyncio.Event) -> None:
    """Wait until the topics are there, or `stop` is set: a consumer of one that is not there logs error after error."""
    there, stopped = asyncio.create_task(partitions_of(bootstrap, topics)), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({there, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if there.done():
            there.result()
    finally:
        for task in (there, stopped):
            task.cancel()
        await asyncio.wait({there, stopped})


async def stored_offsets(pool: asyncpg.Pool[Any], topics: Collection[str]) -> Offsets:
    """How far the topics were taken in, as the database says."""
    rows = await patiently(lambda: pool.fetch(SQL["offsets"], list(topics)))
    return {TopicPartition(row["topic"], row["partition"]): row["next"] for row in rows}


async def rewind_group(
    pool: asyncpg.Pool[Any],
    bootstrap: str,
    group: str,
    topics: Collection[str],
    restored: Callable[[], Awaitable[None]],
) -> None:
    """Set the group's offsets back where they are ahead of the database, which must have been restored then.

    Calls `restored` before that. Waits for the broker, for the topics, and, if there is something to set back, for the
    group's last members to go.
    """
    while True:
        try:
            partitions = await partitions_of(bootstrap, topics)
            one = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
            async with consuming(one) as consumer, asyncio.timeout(_ANSWERS_WITHIN):
                ahead = await _ahead(consumer, partitions, await stored_offsets(pool, topics))
                if ahead:
                    await restored()
                    consumer.assign(partitions)
                    await consumer.commit(ahead)
                return
        except (KafkaError, OSError) as error:
            _log.warning("Kafka is not ready (%s): trying again", type(error).__name__)
        await asyncio.sleep(_AGAIN)


async def _ahead(
    consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition], stored: Offsets
) -> dict[TopicPartition, int]:
    committed = {partition: await consumer.committed(partition) or 0 for partition in partitions}
    return {place: stored.get(place, 0) for place, offset in committed.items() if offset > stored.get(place, 0)}


def _member(pool: asyncpg.Pool[Any], bootstrap: str, group: str, topics: Collection[str]) -> AIOKafkaConsumer:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=10_000,
        heartbeat_interval_ms=2_000,
        max_partition_fetch_bytes=4 * 1024 * 1024,
        metadata_max_age_ms=LOOKS_EVERY_MS,
    )
    consumer.subscribe(list(topics), listener=_GoesOn(consumer, pool, topics))
    return consumer


class _GoesOn(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    """Goes on where the earlier of the two left off: the database, or the group (whose topic may be a new one)."""

    def __init__(self, consumer: AIOKafkaConsumer, pool: asyncpg.Pool[Any], topics: Collection[str]) -> None:
        self._consumer, self._pool, self._topics = consumer, pool, topics

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """A batch that is under way is applied again by whoever gets the partition, to no effect."""

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self._consumer.pause(*assigned)  # nothing is to be read from where the group would go on
        try:
            stored = await stored_offsets(self._pool, self._topics)
            for partition in assigned:
                committed = await self._consumer.committed(partition)
                self._consumer.seek(partition, min(stored.get(partition, 0), committed or 0))
        finally:
            self._consumer.resume(*(self._consumer.assignment() & set(assigned)))


async def _while_it_hears(consumer: AIOKafkaConsumer, taking_in: Coroutine[Any, Any, None]) -> None:
    """Raises KafkaConnectionError when the client no longer learns what the cluster looks like, or fetches no more.

    It brings nothing then, and who asks for the group's coordinator waits for ever. Why, `shared.kafka` says.
    """
    taking = asyncio.create_task(taking_in)
    try:
        await asyncio.wait({taking, *vital_tasks(consumer)}, return_when=asyncio.FIRST_COMPLETED)
        if not taking.done():
            raise KafkaConnectionError("a task of the client has died")
        await taking
    finally:
        taking.cancel()
        await asyncio.wait({taking})


async def _take_in(consumer: AIOKafkaConsumer, pool: asyncpg.Pool[Any], effect: Effect, stop: asyncio.Event) -> None:
    now = asyncio.get_running_loop().time
    reached, told_at = dict[TopicPartition, int](), now()
    while not stop.is_set():
        fetched = await consumer.getmany(timeout_ms=_POLL_MS, max_records=BATCH)
        began = now()
        if messages := [received(record) for records in fetched.values() for record in records]:
            await apply_patiently(pool, messages, effect)
            reached |= {TopicPartition(each.topic, each.partition): each.offset + 1 for each in messages}
        if reached and now() > told_at + _TELLS_EVERY:
            reached, told_at = await _untold(consumer, reached), now()
        if 0 < len(messages) < _SMALL:
            await asyncio.sleep(began + _GATHERS - now())
    await _untold(consumer, reached)


async def _untold(consumer: AIOKafkaConsumer, reached: dict[TopicPartition, int]) -> dict[TopicPartition, int]:
    """Tell the group how far its partitions were taken in; what it could not be told."""
    mine = {place: offset for place, offset in reached.items() if place in consumer.assignment()}
    try:
        if mine:
            async with asyncio.timeout(_TOLD_WITHIN):
                await consumer.commit(mine)
    except (KafkaError, TimeoutError) as error:  # the group moved on, or the broker is away; what counts is stored
        _log.info("the offsets could not be committed to Kafka: %s", type(error).__name__)
        return reached
    return {}


def received(record: ConsumerRecord[bytes, bytes]) -> Received:
    return Received(
        record.topic, record.partition, record.offset, record.key, tuple(record.headers or ()), record.value
    )
