"""Lag of a consumer behind Kafka, and counts of parked streams: measured and stored by the worker, read by pages.

Web processes do not connect to Kafka. The worker's process measures every few seconds and stores the counts; the age
of the last measurement shows whether the worker still runs. The monitor uses a Kafka connection of its own, so it also
notices when the worker's connection no longer delivers messages.
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

from shared.inbox.consumer import Offsets, stored_offsets
from shared.inbox.repository import SQL
from shared.kafka.clients import list_partitions, open_consumer
from shared.postgres.errors import UNAVAILABLE
from shared.retry import Backoff

MEASURE_INTERVAL_SECONDS = 5.0
STALL_SECONDS = 60.0  # longer than a broker's restart, a rebalance and the largest batch take together
KAFKA_SILENT_SECONDS = 15.0  # three measurements
WORKER_SILENT_SECONDS = 60.0  # a measurement may wait that long for Kafka
_REQUEST_TIMEOUT_MS = 5_000
_log = logging.getLogger(__name__)


class WorkerStalled(Exception):
    """There is a backlog and no message was applied for a long time: the worker should be restarted."""


@dataclass(frozen=True, slots=True)
class StallDetector:
    """Stored offsets of the partitions, and since when they have not moved despite a backlog."""

    offsets: Offsets
    unchanged_since: float

    def observe(self, offsets: Offsets, now: float, *, caught_up: bool) -> StallDetector:
        """Returns the detector after a measurement at `now` (seconds of a monotonic clock)."""
        return StallDetector(offsets, now if caught_up or offsets != self.offsets else self.unchanged_since)


@dataclass(frozen=True, slots=True)
class Lag:
    """Messages of a topic that were not applied at the last measurement, `age` seconds ago."""

    topic: str
    behind: int
    age: float


@dataclass(frozen=True, slots=True)
class StuckCounts:
    """Numbers of parked streams and unreadable messages, age of the oldest, and age of the measurement, in seconds."""

    parked: int
    unreadable: int
    oldest: float | None
    age: float


@dataclass(frozen=True, slots=True)
class SilentComponent:
    """A component without a sign of life for `seconds`; no new message is applied meanwhile."""

    part: Literal["worker", "kafka"]
    seconds: float


def detect_silence(topics: Sequence[Lag], stuck: StuckCounts | None) -> SilentComponent | None:
    """Returns the silent component; None if the worker runs and Kafka answers, or before the first measurement."""
    if stuck and stuck.age > WORKER_SILENT_SECONDS:
        return SilentComponent("worker", stuck.age)
    oldest_age = max((topic.age for topic in topics), default=0.0)
    return SilentComponent("kafka", oldest_age) if oldest_age > KAFKA_SILENT_SECONDS else None


def is_caught_up(topics: Sequence[Lag], stuck: StuckCounts | None) -> bool:
    """Returns whether everything that stood on the topics seconds ago is applied: measured, and found so.

    False before the first measurement, and while the worker or Kafka is silent.
    """
    is_measured = bool(topics) and stuck is not None and detect_silence(topics, stuck) is None
    return is_measured and not any(topic.behind for topic in topics)


async def monitor_lag(
    pool: asyncpg.Pool[Any],
    bootstrap: str,
    topics: Collection[str],
    *,
    interval: float = MEASURE_INTERVAL_SECONDS,
    stall_after: float = STALL_SECONDS,
) -> None:
    """Measures and stores the lag every `interval` seconds until cancelled. `pool` is the system role's.

    Continues after failures of the broker or the database. Raises WorkerStalled when there is a backlog and no offset
    of any partition moved for `stall_after` seconds; a single partition may wait longer, as partitions are read in
    turn.
    """
    clock, backoff = asyncio.get_running_loop().time, Backoff.constant(interval)
    while True:
        try:
            await pool.execute(SQL["store_stuck_counts"])
            partitions = await list_partitions(bootstrap, topics)
            client = AIOKafkaConsumer(bootstrap_servers=bootstrap, request_timeout_ms=_REQUEST_TIMEOUT_MS)
            async with open_consumer(client) as consumer:
                detector = StallDetector({}, clock())
                while True:
                    offsets, lagging = await _measure(pool, consumer, partitions)
                    detector = detector.observe(offsets, measured_at := clock(), caught_up=not lagging)
                    if measured_at - detector.unchanged_since > stall_after:
                        raise WorkerStalled(
                            ", ".join(f"{partition.topic}/{partition.partition}" for partition in sorted(lagging))
                        )
                    await asyncio.sleep(interval)
        except (KafkaError, *UNAVAILABLE) as error:
            _log.warning("the lag could not be measured (%s): trying again", type(error).__name__)
        await backoff.wait()


async def _measure(
    pool: asyncpg.Pool[Any], consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]
) -> tuple[Offsets, set[TopicPartition]]:
    """Stores the counts and the ends of partitions; returns the stored offsets and the partitions with a backlog."""
    await pool.execute(SQL["store_stuck_counts"])
    ends = await consumer.end_offsets(partitions)
    topics, partition_numbers = [partition.topic for partition in ends], [partition.partition for partition in ends]
    await pool.execute(SQL["store_ends"], topics, partition_numbers, list(ends.values()))
    offsets = await stored_offsets(pool, set(topics))
    return offsets, {partition for partition, end in ends.items() if offsets.get(partition, 0) < end}


async def load_lags(pool: asyncpg.Pool[Any]) -> list[Lag]:
    """Returns the lag by topic, in the order of topics; empty before the first measurement. For any database role."""
    return [Lag(**row) for row in await pool.fetch(SQL["load_lags"])]


async def load_stuck_counts(pool: asyncpg.Pool[Any]) -> StuckCounts | None:
    """Returns the counts; None before the first measurement. For any database role."""
    row = await pool.fetchrow(SQL["load_stuck_counts"])
    return StuckCounts(**row) if row else None
