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

from shared.inbox.batch import SQL
from shared.inbox.consumer import Offsets, stored_offsets
from shared.kafka.clients import list_partitions, open_consumer
from shared.postgres.errors import UNAVAILABLE

MEASURE_INTERVAL_SECONDS = 5.0
STALL_SECONDS = 60.0  # seconds: more than a broker's return, a rebalance and the largest batch take together
KAFKA_SILENT_SECONDS = 15.0  # seconds: three looks
WORKER_SILENT_SECONDS = 60.0  # seconds: a look may wait that long for Kafka
_REQUEST_TIMEOUT_MS = 5_000  # milliseconds
_log = logging.getLogger(__name__)


class WorkerStalled(Exception):
    """There is something to take in and for a long time nothing of it was: the worker had better begin anew."""


@dataclass(frozen=True, slots=True)
class StallDetector:
    """How far the partitions were taken in, and since when that is so though there is more."""

    offsets: Offsets
    unchanged_since: float

    def observe(self, offsets: Offsets, now: float, *, caught_up: bool) -> StallDetector:
        return StallDetector(offsets, now if caught_up or offsets != self.offsets else self.unchanged_since)


@dataclass(frozen=True, slots=True)
class Lag:
    """`behind`: messages of the topic that were not taken in when it was looked, `age` seconds ago."""

    topic: str
    behind: int
    age: float


@dataclass(frozen=True, slots=True)
class StuckCounts:
    """Parked streams and unreadable messages, seconds since the first of them waits, and since it was looked."""

    parked: int
    unreadable: int
    oldest: float | None
    age: float


@dataclass(frozen=True, slots=True)
class SilentComponent:
    """The part that has not been heard of for `seconds`; nothing new is taken in meanwhile."""

    part: Literal["worker", "kafka"]
    seconds: float


def detect_silence(topics: Sequence[Lag], stuck: StuckCounts | None) -> SilentComponent | None:
    """None where the worker lives and Kafka answers it, and where nobody has looked yet."""
    if stuck and stuck.age > WORKER_SILENT_SECONDS:
        return SilentComponent("worker", stuck.age)
    oldest_age = max((each.age for each in topics), default=0.0)
    return SilentComponent("kafka", oldest_age) if oldest_age > KAFKA_SILENT_SECONDS else None


async def monitor_lag(
    pool: asyncpg.Pool[Any],
    bootstrap: str,
    topics: Collection[str],
    *,
    interval: float = MEASURE_INTERVAL_SECONDS,
    stall_after: float = STALL_SECONDS,
) -> None:
    """Look, write down, and look again, until cancelled. Outlives broker and database. `pool` is the system role's.

    Raises StandsStill when there is more to take in and no offset moved for `patience` seconds. One partition may wait
    for longer: whoever catches up takes them in turn.
    """
    clock = asyncio.get_running_loop().time
    while True:
        try:
            await pool.execute(SQL["store_standstill"])
            partitions = await list_partitions(bootstrap, topics)
            client = AIOKafkaConsumer(bootstrap_servers=bootstrap, request_timeout_ms=_REQUEST_TIMEOUT_MS)
            async with open_consumer(client) as consumer:
                detector = StallDetector({}, clock())
                while True:
                    offsets, lagging = await _measure(pool, consumer, partitions)
                    detector = detector.observe(offsets, measured_at := clock(), caught_up=not lagging)
                    if measured_at - detector.unchanged_since > stall_after:
                        raise WorkerStalled(", ".join(f"{each.topic}/{each.partition}" for each in sorted(lagging)))
                    await asyncio.sleep(interval)
        except (KafkaError, *UNAVAILABLE) as error:
            _log.warning("the lag could not be measured (%s): trying again", type(error).__name__)
        await asyncio.sleep(interval)


async def _measure(
    pool: asyncpg.Pool[Any], consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]
) -> tuple[Offsets, set[TopicPartition]]:
    """How far the partitions were taken in, and which of them have more."""
    await pool.execute(SQL["store_standstill"])
    ends = await consumer.end_offsets(partitions)
    topics, partition_numbers = [each.topic for each in ends], [each.partition for each in ends]
    await pool.execute(SQL["store_ends"], topics, partition_numbers, list(ends.values()))
    offsets = await stored_offsets(pool, set(topics))
    return offsets, {partition for partition, end in ends.items() if offsets.get(partition, 0) < end}


async def load_lags(pool: asyncpg.Pool[Any]) -> list[Lag]:
    """By topic; empty where nobody has looked yet. Any role may ask."""
    return [Lag(**row) for row in await pool.fetch(SQL["lag"])]


async def load_stuck_counts(pool: asyncpg.Pool[Any]) -> StuckCounts | None:
    """None where nobody has looked yet. Any role may ask."""
    row = await pool.fetchrow(SQL["standstill"])
    return StuckCounts(**row) if row else None
