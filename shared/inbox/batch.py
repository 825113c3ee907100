"""The core of every consumer: applies a batch of Kafka messages exactly once, in order by stream.

One transaction holds everything: the effects of the events, the version up to which each stream was applied, the
waiting messages, and the next offsets. Messages may be repeated and arrive in any order. A stream that cannot advance,
because a version is missing or an event cannot be applied, is parked: its later messages wait, other streams continue.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from shared.contracts.event import Event
from shared.inbox.repository import (
    Connection,
    load_waiting,
    lock_or_create_cursors,
    store_cursors,
    store_offsets,
    store_unreadable,
)
from shared.inbox.stream_cursor import (
    InboundEvent,
    KafkaMessage,
    StreamCursor,
    StreamKey,
    UnaddressableMessage,
    parse_message,
)
from shared.postgres.retry import retry_while_unavailable

EventHandler = Callable[[Connection, Sequence[Event]], Awaitable[None]]
"""Writes the effects of events on the given connection and nowhere else: it may be rolled back and called again."""


class PoisonEvent(Exception):
    """Raised by a handler that cannot apply an event. `reason` is a code and never quotes content."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class OffsetGap(Exception):
    """Messages of a partition were skipped: the database was restored under the worker, which must restart."""


_CONTENT_ERRORS = (PoisonEvent, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)


@dataclass(frozen=True, slots=True)
class ParkedCursor:
    """A stream of a batch that is parked: applied up to `version`."""

    source: str
    subject: str
    version: int
    reason: str


@dataclass(frozen=True, slots=True)
class BatchResult:
    """Result of a batch: events applied, streams that are parked, and the reasons of unreadable messages."""

    events: tuple[Event, ...] = ()
    parked: tuple[ParkedCursor, ...] = ()
    unreadable: tuple[str, ...] = ()


async def apply_with_retry(
    pool: asyncpg.Pool[Any], messages: Sequence[KafkaMessage], handler: EventHandler
) -> BatchResult:
    """Runs `apply_batch` on a connection of the pool, and repeats it while the database is unavailable.

    Raises OffsetGap, and applies nothing, if a partition continues behind its stored offset.
    """

    async def apply_once() -> BatchResult:
        async with pool.acquire() as connection:
            return await apply_batch(connection, messages, handler, require_contiguous_offsets=True)

    return await retry_while_unavailable(apply_once)


async def apply_batch(
    connection: Connection,
    messages: Sequence[KafkaMessage],
    handler: EventHandler,
    *,
    require_contiguous_offsets: bool = False,
) -> BatchResult:
    """Applies the messages in their order: next versions take effect, known ones are dropped, others wait.

    `require_contiguous_offsets`: raise OffsetGap if an offset was left out, which Kafka never does.
    """
    try:
        return await _apply_in_transaction(
            connection, messages, handler, require_contiguous_offsets=require_contiguous_offsets, use_savepoints=False
        )
    except _CONTENT_ERRORS:  # rare, and only then are savepoints worth their price, to find the event at fault
        return await _apply_in_transaction(
            connection, messages, handler, require_contiguous_offsets=require_contiguous_offsets, use_savepoints=True
        )


async def _apply_in_transaction(
    connection: Connection,
    messages: Sequence[KafkaMessage],
    handler: EventHandler,
    *,
    require_contiguous_offsets: bool,
    use_savepoints: bool,
) -> BatchResult:
    async with connection.transaction():
        stored_offsets = await store_offsets(connection, messages)
        if require_contiguous_offsets and (gaps := sorted(_offset_gaps(messages, stored_offsets))):
            raise OffsetGap(", ".join(gaps))
        return await apply_messages(connection, messages, handler, use_savepoints=use_savepoints)


def _offset_gaps(messages: Sequence[KafkaMessage], stored_offsets: Mapping[tuple[str, int], int]) -> Iterator[str]:
    first_offsets = {(message.topic, message.partition): message.offset for message in reversed(messages)}
    for (topic, partition), offset in first_offsets.items():
        if offset > stored_offsets[topic, partition]:
            yield f"{topic}/{partition} {stored_offsets[topic, partition]}-{offset - 1}"


async def apply_messages(
    connection: Connection, messages: Sequence[KafkaMessage], handler: EventHandler, *, use_savepoints: bool = True
) -> BatchResult:
    """Applies messages within the caller's transaction, without storing offsets.

    Without savepoints the handler's errors are raised, and the transaction cannot continue.
    """
    inbound_events, unreadable = _parse_messages(messages)
    cursors = await lock_or_create_cursors(connection, {inbound.key: inbound.study_id for inbound in inbound_events})
    await load_waiting(
        connection,
        {inbound.key: cursors[inbound.key] for inbound in inbound_events if _closes_gap(cursors[inbound.key], inbound)},
    )
    ready = [applicable for inbound in inbound_events for applicable in cursors[inbound.key].accept(inbound)]
    await store_unreadable(connection, unreadable)
    apply_ready = apply_with_savepoints if use_savepoints else _apply
    events = await apply_ready(connection, cursors, ready, handler)
    return BatchResult(events, parked_cursors(cursors.values()), tuple(reason for _, reason in unreadable))


async def apply_with_savepoints(
    connection: Connection, cursors: Mapping[StreamKey, StreamCursor], ready: list[InboundEvent], handler: EventHandler
) -> tuple[Event, ...]:
    """Stores the cursors and runs the handler; parks the stream of an event that the handler rejects."""
    while True:
        try:
            async with connection.transaction():
                return await _apply(connection, cursors, ready, handler)
        except _CONTENT_ERRORS:
            poison_index, reason = await _find_poison_event(connection, _readable_events(ready), handler)
        key, remaining = ready[poison_index].key, ready[poison_index:]
        cursors[key].reject([inbound for inbound in remaining if inbound.key == key], reason)
        ready = ready[:poison_index] + [inbound for inbound in remaining if inbound.key != key]


async def _apply(
    connection: Connection, cursors: Mapping[StreamKey, StreamCursor], ready: list[InboundEvent], handler: EventHandler
) -> tuple[Event, ...]:
    await store_cursors(connection, [cursor for cursor in cursors.values() if cursor.changed])
    events = _readable_events(ready)
    if events:
        await handler(connection, events)
    return events


def _readable_events(ready: Sequence[InboundEvent]) -> tuple[Event, ...]:
    return tuple(inbound.event for inbound in ready if inbound.event)


async def _find_poison_event(connection: Connection, events: Sequence[Event], handler: EventHandler) -> tuple[int, str]:
    """Bisects for the first event that the handler rejects: the last one of the shortest prefix that fails."""
    low, high, reason = 0, len(events), "effect-refused"
    while low < high:
        middle = (low + high) // 2
        try:
            await _try_handler(connection, events[: middle + 1], handler)
        except _CONTENT_ERRORS as error:
            high, reason = middle, error.reason if isinstance(error, PoisonEvent) else f"database-{error.sqlstate}"
        else:
            low = middle + 1
    return min(low, len(events) - 1), reason


async def _try_handler(connection: Connection, events: Sequence[Event], handler: EventHandler) -> None:
    """Runs the handler and rolls back. Raises what the handler raises."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await handler(connection, events)
    finally:
        await transaction.rollback()


def _parse_messages(messages: Iterable[KafkaMessage]) -> tuple[list[InboundEvent], list[tuple[KafkaMessage, str]]]:
    inbound_events, unreadable = [], []
    for message in messages:
        try:
            inbound_events.append(parse_message(message))
        except UnaddressableMessage as error:
            unreadable.append((message, error.reason))
    return inbound_events, unreadable


def _closes_gap(cursor: StreamCursor, inbound: InboundEvent) -> bool:
    return cursor.parked_reason is not None and inbound.version == cursor.version + 1


def parked_cursors(cursors: Iterable[StreamCursor]) -> tuple[ParkedCursor, ...]:
    """Returns the streams that are parked."""
    return tuple(
        ParkedCursor(*cursor.key, cursor.version, cursor.parked_reason) for cursor in cursors if cursor.parked_reason
    )
