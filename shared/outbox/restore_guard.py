"""Detects that a database is an earlier state than its topic was published from.

An earlier state (restored from a dump or a disk snapshot, or a standby that lacked the last transactions) assigns the
versions after it a second time. Consumers would take the new events for repetitions and drop them silently.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from itertools import chain
from typing import Any
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import KafkaError

from shared.contracts.cloudevents import MalformedMessage, decode, topic_carries
from shared.contracts.event import Event
from shared.kafka.clients import list_partitions, open_consumer
from shared.outbox.lease import SQL, RestoredDatabase
from shared.outbox.publisher import PublishError

TAIL_RECORDS = 100
"""Last records of each partition that are compared: the events that an earlier state lacks are the newest."""
_FETCH_RECORDS = 1_000
_POLL_TIMEOUT_MS = 250
_BROKER_TIMEOUT_SECONDS = 15.0
_log = logging.getLogger(__name__)


async def require_published_events(
    pool: asyncpg.Pool[Any], bootstrap: str, topic: str, *, tail: int | None = TAIL_RECORDS
) -> None:
    """Raises RestoredDatabase if one of the topic's last records (`tail` None: of all) is not in the database.

    Ignores records that are no events of the service. Raises PublishError if Kafka is unavailable. `pool` is the
    system role's.
    """
    missing = set[UUID]()
    try:
        async with aclosing(_read_records(bootstrap, topic, tail)) as batches:
            async for records in batches:
                missing |= await _find_missing(pool, [event for record in records for event in _decode_event(record)])
    except (KafkaError, TimeoutError) as failure:
        raise PublishError(f"{topic} could not be read: {type(failure).__name__}") from failure
    if missing:
        at_least = "at least " if tail else ""
        raise RestoredDatabase(
            f"{topic} has {at_least}{len(missing)} events that this database does not have, such as "
            f"{max(missing)}: the "
            "database was restored to an earlier state than was published; restore a later one"
        )
    _log.info("the database has the published events of %s", topic)


async def read_missing_events(pool: asyncpg.Pool[Any], bootstrap: str, topic: str) -> list[Event]:
    """Returns the events of the topic that the database does not have, by stream and version.

    Raises PublishError if Kafka is unavailable. `pool` is the system role's.
    """
    missing_events = dict[UUID, Event]()
    try:
        async with aclosing(_read_records(bootstrap, topic, None)) as batches:
            async for records in batches:
                events = [event for record in records for event in _decode_event(record)]
                missing = await _find_missing(pool, events)
                missing_events |= {event.event_id: event for event in events if event.event_id in missing}
    except (KafkaError, TimeoutError) as failure:
        raise PublishError(f"{topic} could not be read: {type(failure).__name__}") from failure
    return sorted(missing_events.values(), key=lambda event: (event.study_id, event.stream_id, event.version))


async def _read_records(
    bootstrap: str, topic: str, tail: int | None
) -> AsyncGenerator[list[ConsumerRecord[bytes | None, bytes | None]]]:
    """Returns the topic's present records, or the last of each partition. Raises TimeoutError if the broker stalls."""
    client = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
    async with open_consumer(client) as consumer:
        async with asyncio.timeout(_BROKER_TIMEOUT_SECONDS):
            partitions = await list_partitions(bootstrap, [topic])
            beginnings, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        unread_partitions = {partition for partition in partitions if beginnings[partition] < ends[partition]}
        consumer.assign(unread_partitions)
        for partition in unread_partitions:
            beginning, end = beginnings[partition], ends[partition]
            consumer.seek(partition, beginning if tail is None else max(beginning, end - tail))
        while unread_partitions:
            async with asyncio.timeout(_BROKER_TIMEOUT_SECONDS):
                while not (fetched := await consumer.getmany(timeout_ms=_POLL_TIMEOUT_MS, max_records=_FETCH_RECORDS)):
                    pass
                unread_partitions = {
                    partition for partition in unread_partitions if await consumer.position(partition) < ends[partition]
                }
            yield [*chain.from_iterable(fetched.values())]


def _decode_event(record: ConsumerRecord[bytes | None, bytes | None]) -> list[Event]:
    """Returns the event of a record; an empty list if the record is no event that the topic carries."""
    try:
        event = decode(record.key, record.headers, record.value)
    except MalformedMessage:
        return []
    return [event] if topic_carries(record.topic, event.service) else []


async def _find_missing(pool: asyncpg.Pool[Any], events: Sequence[Event]) -> set[UUID]:
    """Returns ids of events that the database does not have, or has another event in the place of."""
    columns = (
        [event.study_id for event in events],
        [event.stream_id for event in events],
        [event.version for event in events],
        [event.event_id for event in events],
    )
    rows = await pool.fetch(SQL["find_missing_events"], *columns) if events else []
    return {row["event_id"] for row in rows}
