"""How far a consumer is behind Kafka, and what stands still: looked at beside the worker, read by whoever shows it.

A web process has no business with Kafka. So the worker's process looks every few seconds and writes down what it found,
as counts; the age of the last look tells whether anybody still looks. It looks through a connection of its own, so it
also finds out when the worker's no longer brings what is there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from shared.inbox.apply import SQL
from shared.inbox.consumer import Offsets, stored_offsets
from shared.inbox.patience import TRANSIENT
from shared.kafka import consuming, partitions_of

LOOKS_EVERY = 5.0
STANDS_STILL = 60.0  # seconds: more than a broker's return, a rebalance and the largest batch take together
KAFKA_SILENT = 15.0  # seconds: three looks
WORKER_SILENT = 60.0  # seconds: a look may wait that long for Kafka
_ANSWERS_WITHIN = 5_000  # milliseconds
_log = logging.getLogger(__name__)


class StandsStill(Exception):
    """There is something to take in and for a long time nothing of it was: the worker had better begin anew."""


@dataclass(frozen=True, slots=True)
class Still:
    """How far the partitions were taken in, and since when that is so though there is more."""

    taken: Offsets
    since: float

    def next(self, taken: Offsets, now: float, *, done: bool) -> Still:
        return Still(taken, now if done or taken != self.taken else self.since)


@dataclass(frozen=True, slots=True)
class Lag:
    """`behind`: messages of the topic that were not taken in when it was looked, `age` seconds ago."""

    topic: str
    behind: int
    age: float


@dataclass(frozen=True, slots=True)
class Standstill:
    """Parked streams and unreadable messages, seconds since the first of them waits, and since it was looked."""

    parked: int
    unreadable: int
    oldest: float | None
    age: float


@dataclass(frozen=True, slots=True)
class Silence:
    """The part that has not been heard of for `seconds`; nothing new is taken in meanwhile."""

    part: Literal["worker", "kafka"]
    seconds: float


def silence(topics: Sequence[Lag], still: Standstill | None) -> Silence | None:
    """None where the worker lives and Kafka answers it, and where nobody has looked yet."""
    if still and still.age > WORKER_SILENT:
        return Silence("worker", still.age)
    oldest = max((each.age for each in topics), default=0.0)
    return Silence("kafka", oldest) if oldest > KAFKA_SILENT else None


async def watch(
    pool: asyncpg.Pool[Any],
    bootstrap: str,
    topics: Collection[str],
    *,
    every: float = LOOKS_EVERY,
    patience: float = STANDS_STILL,
) -> None:
    """Look, write down, and look again, until cancelled. Outlives broker and database. `pool` is the system role's.

    Raises StandsStill when there is more to take in and no offset moved for `patience` seconds. One partition may wait
    for longer: whoever catches up takes them in turn.
    """
    now = asyncio.get_running_loop().time
    while True:
        try:
            await pool.execute(SQL["store_standstill"])
            partitions = await partitions_of(bootstrap, topics)
            one = AIOKafkaConsumer(bootstrap_servers=bootstrap, request_timeout_ms=_ANSWERS_WITHIN)
            async with consuming(one) as consumer:
                still = Still({}, now())
                while True:
                    taken, behind = await _look(pool, consumer, partitions)
                    still = still.next(taken, looked := now(), done=not behind)
                    if looked - still.since > patience:
                        raise StandsStill(", ".join(f"{each.topic}/{each.partition}" for each in sorted(behind)))
                    await asyncio.sleep(every)
        except (KafkaError, *TRANSIENT, asyncpg.InterfaceError) as error:
            _log.warning("the lag could not be measured (%s): trying again", type(error).__name__)
        await asyncio.sleep(every)


async def _look(
    pool: asyncpg.Pool[Any], consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]
) -> tuple[Offsets, set[TopicPartition]]:
    """How far the partitions were taken in, and which of them have more."""
    await pool.execute(SQL["store_standstill"])
    ends = await consumer.end_offsets(partitions)
    topics, numbers = [each.topic for each in ends], [each.partition for each in ends]
    await pool.execute(SQL["store_ends"], topics, numbers, list(ends.values()))
    taken = await stored_offsets(pool, set(topics))
    return taken, {place for place, end in ends.items() if taken.get(place, 0) < end}


async def lags(pool: asyncpg.Pool[Any]) -> list[Lag]:
    """By topic; empty where nobody has looked yet. Any role may ask."""
    return [Lag(**row) for row in await pool.fetch(SQL["lag"])]


async def standstill(pool: asyncpg.Pool[Any]) -> Standstill | None:
    """None where nobody has looked yet. Any role may ask."""
    row = await pool.fetchrow(SQL["standstill"])
    return Standstill(**row) if row else None
