"""The one core of every consumer: a batch of messages takes effect once, in order by stream, or not at all.

All of it is one transaction: what the messages say, how far each stream was applied, what waits, and the next offsets.
Delivery may repeat and mix as it likes. A stream that cannot go on (a version is missing, a message is poison) is
parked, and what comes later waits behind it; the other streams go on.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg

from shared.contracts.event import Event
from shared.inbox.stream_cursor import (
    InboundEvent,
    KafkaMessage,
    StreamCursor,
    StreamKey,
    UnaddressableMessage,
    parse_message,
)
from shared.postgres.named_queries import load_queries
from shared.postgres.retry import retry_while_unavailable

SQL = load_queries(Path(__file__).with_name("queries.sql"))
Connection: TypeAlias = "asyncpg.Connection[Any]"
EventHandler = Callable[[Connection, Sequence[Event]], Awaitable[None]]
"""Writes what events mean, on the connection it is given and nowhere else: it may be rolled back and asked again."""


class PoisonEvent(Exception):
    """Raised by an effect: it can make nothing of an event. `reason` is a code, and never quotes content."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class OffsetGap(Exception):
    """Messages of a partition were passed over: the database was set back under the worker, which must begin anew."""


_CONTENT_ERRORS = (PoisonEvent, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)


@dataclass(frozen=True, slots=True)
class ParkedCursor:
    source: str
    subject: str
    version: int
    reason: str


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What became of a batch. `parked`: the streams of the batch that stand still; `unreadable`: reasons."""

    events: tuple[Event, ...] = ()
    parked: tuple[ParkedCursor, ...] = ()
    unreadable: tuple[str, ...] = ()


async def apply_with_retry(
    pool: asyncpg.Pool[Any], messages: Sequence[KafkaMessage], handler: EventHandler
) -> BatchResult:
    """`apply_batch` on a connection of its own, and patiently.

    Raises Skipped, and takes nothing in, where a partition goes on behind the stored offset.
    """

    async def apply_once() -> BatchResult:
        async with pool.acquire() as connection:
            return await apply_batch(connection, messages, handler, require_contiguous_offsets=True)  # type: ignore[arg-type] # the pool's proxy

    return await retry_while_unavailable(apply_once)


async def apply_batch(
    connection: Connection,
    messages: Sequence[KafkaMessage],
    handler: EventHandler,
    *,
    require_contiguous_offsets: bool = False,
) -> BatchResult:
    """Apply what is next, park what cannot be, drop what is known. The order of `messages` is that of the effects.

    `seamless`: as Kafka delivers, which leaves no offset out.
    """
    try:
        return await _apply_in_transaction(
            connection, messages, handler, require_contiguous_offsets=require_contiguous_offsets, use_savepoints=False
        )
    except _CONTENT_ERRORS:  # seldom; only then is it worth a savepoint to find out whose content
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
        stored_offsets = await _store_offsets(connection, messages)
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
    """The same within a transaction that is there, and without saying how far the topics were read.

    Where messages are not `doubtful`, what the effect refuses is raised, and the transaction is lost.
    """
    inbound_events, unreadable = _parse_messages(messages)
    cursors = await _lock_or_create_cursors(connection, inbound_events)
    await _load_waiting_of(
        connection, [cursors[inbound.key] for inbound in inbound_events if _closes_gap(cursors, inbound)]
    )
    ready = [applicable for arrival in inbound_events for applicable in cursors[arrival.key].accept(arrival)]
    await _store_unaddressable(connection, unreadable)
    apply_ready = apply_with_savepoints if use_savepoints else _apply
    events = await apply_ready(connection, cursors, ready, handler)
    return BatchResult(events, parked_cursors(cursors.values()), tuple(reason for _, reason in unreadable))


async def apply_with_savepoints(
    connection: Connection, cursors: Mapping[StreamKey, StreamCursor], ready: list[InboundEvent], handler: EventHandler
) -> tuple[Event, ...]:
    """Store where the streams stand and let the effect happen; park the stream of an event that it refuses."""
    while True:
        try:
            async with connection.transaction():
                return await _apply(connection, cursors, ready, handler)
        except _CONTENT_ERRORS:
            poison_index, reason = await _find_poison_event(connection, _readable_events(ready), handler)
        key, remaining = ready[poison_index].key, ready[poison_index:]
        cursors[key].reject([inbound for inbound in remaining if inbound.key == key], reason)
        ready = ready[:poison_index] + [arrival for arrival in remaining if arrival.key != key]


async def _apply(
    connection: Connection, cursors: Mapping[StreamKey, StreamCursor], ready: list[InboundEvent], handler: EventHandler
) -> tuple[Event, ...]:
    await _store_cursors(connection, [cursor for cursor in cursors.values() if cursor.changed])
    events = _readable_events(ready)
    if events:
        await handler(connection, events)
    return events


def _readable_events(ready: Sequence[InboundEvent]) -> tuple[Event, ...]:
    return tuple(inbound.event for inbound in ready if inbound.event)


async def _find_poison_event(connection: Connection, events: Sequence[Event], handler: EventHandler) -> tuple[int, str]:
    """Which event the effect fails at, and why: the last one of the shortest beginning of the batch that fails."""
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
    """Raise what the effect raises; leave nothing behind either way."""
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


def _closes_gap(cursors: Mapping[StreamKey, StreamCursor], inbound: InboundEvent) -> bool:
    cursor = cursors[inbound.key]
    return cursor.parked_reason is not None and inbound.version == cursor.version + 1


async def _lock_or_create_cursors(
    connection: Connection, inbound_events: Iterable[InboundEvent]
) -> dict[StreamKey, StreamCursor]:
    studies = {inbound.key: inbound.study_id for inbound in inbound_events}
    if not studies:
        return {}
    cursors = await lock_cursors(connection, sorted(studies), studies)
    if new_keys := sorted(studies.keys() - cursors.keys()):
        sources, subjects = [source for source, _ in new_keys], [subject for _, subject in new_keys]
        await connection.execute(SQL["make_lines"], [studies[key] for key in new_keys], sources, subjects)
        cursors |= await lock_cursors(connection, new_keys, studies)
    return cursors


async def lock_cursors(
    connection: Connection, keys: Sequence[StreamKey], studies: Mapping[StreamKey, str]
) -> dict[StreamKey, StreamCursor]:
    """The streams that are known, locked, in one order for everybody."""
    rows = await connection.fetch(SQL["lock_lines"], [source for source, _ in keys], [subject for _, subject in keys])
    rows_by_key = {(row["source"], row["subject"]): row for row in rows}
    return {
        key: StreamCursor(studies.get(key, ""), key, row["version"], row["parked"]) for key, row in rows_by_key.items()
    }


async def _load_waiting_of(connection: Connection, cursors: Iterable[StreamCursor]) -> None:
    if by_key := {cursor.key: cursor for cursor in cursors}:
        await load_waiting(connection, by_key)


async def load_waiting(connection: Connection, cursors: Mapping[StreamKey, StreamCursor]) -> None:
    rows = await connection.fetch(
        SQL["waiting"], [source for source, _ in cursors], [subject for _, subject in cursors]
    )
    waiting: dict[StreamKey, list[InboundEvent]] = {key: [] for key in cursors}
    for row in rows:
        waiting[row["source"], row["subject"]].append(_inbound_from_row(row))
    for key, cursor in cursors.items():
        cursor.load_waiting(waiting[key])


def _inbound_from_row(row: asyncpg.Record) -> InboundEvent:
    message = message_from_row(row)
    try:
        return parse_message(message)
    except UnaddressableMessage as error:
        key = row["source"], row["subject"]
        return InboundEvent(message, key[0].split("/")[2], key, row["version"], None, error.reason)


def message_from_row(row: asyncpg.Record) -> KafkaMessage:
    headers = tuple(
        (name, None if value is None else base64.b64decode(value)) for name, value in json.loads(row["headers"])
    )
    return KafkaMessage(row["topic"], row["partition"], row["offset"], row["key"], headers, row["value"])


def _message_columns(messages: Sequence[KafkaMessage]) -> tuple[list[Any], ...]:
    return (
        [message.topic for message in messages],
        [message.partition for message in messages],
        [message.offset for message in messages],
        [message.key for message in messages],
        [_encode_headers(message) for message in messages],
        [message.value for message in messages],
    )


def _encode_headers(message: KafkaMessage) -> bytes:
    pairs = [(name, None if value is None else base64.b64encode(value).decode()) for name, value in message.headers]
    return json.dumps(pairs).encode()


async def _store_cursors(connection: Connection, cursors: Sequence[StreamCursor]) -> None:
    if not cursors:
        return
    sources, subjects = [cursor.key[0] for cursor in cursors], [line.key[1] for line in cursors]
    versions, parked = [line.version for line in cursors], [line.parked_reason for line in cursors]
    await connection.execute(SQL["move_lines"], sources, subjects, versions, parked)
    if any(line.persisted for line in cursors):
        await connection.execute(SQL["drop_waiting"], sources, subjects, versions)
    if waiting := [inbound for line in cursors for inbound in line.unpersisted()]:
        stream_columns = (
            [each.key[0] for each in waiting],
            [each.key[1] for each in waiting],
            [each.version for each in waiting],
        )
        await connection.execute(
            SQL["keep_waiting"], *stream_columns, *_message_columns([each.message for each in waiting])
        )


async def _store_unaddressable(connection: Connection, unaddressable: Sequence[tuple[KafkaMessage, str]]) -> None:
    if unaddressable:
        reasons = [reason for _, reason in unaddressable]
        await connection.execute(
            SQL["keep_unreadable"], reasons, *_message_columns([message for message, _ in unaddressable])
        )


async def _store_offsets(connection: Connection, messages: Iterable[KafkaMessage]) -> dict[tuple[str, int], int]:
    """The offsets that were stored before, by partition."""
    next_offsets = {(message.topic, message.partition): message.offset + 1 for message in messages}
    topics, partitions = [topic for topic, _ in next_offsets], [partition for _, partition in next_offsets]
    rows = await connection.fetch(SQL["store_offsets"], topics, partitions, list(next_offsets.values()))
    return {(row["topic"], row["partition"]): row["before"] for row in rows}


def parked_cursors(cursors: Iterable[StreamCursor]) -> tuple[ParkedCursor, ...]:
    return tuple(
        ParkedCursor(*cursor.key, cursor.version, cursor.parked_reason) for cursor in cursors if cursor.parked_reason
    )
