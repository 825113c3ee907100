"""Parked streams and unreadable messages: listed, retried, discarded. Each action is one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.inbox.batch import BatchResult, EventHandler, apply_messages, apply_with_savepoints, parked_cursors
from shared.inbox.repository import SQL, Connection, load_waiting, lock_cursors, message_from_row
from shared.inbox.stream_cursor import StreamCursor, study_of_source


class ParkedItemNotFound(Exception):
    """There is no such parked stream or unreadable message."""


@dataclass(frozen=True, slots=True)
class ParkedStreamStatus:
    """A parked stream: applied up to `version`, parked `since` then, with the number of messages that wait."""

    source: str
    subject: str
    version: int
    reason: str
    since: datetime
    waiting: int


@dataclass(frozen=True, slots=True)
class UnreadableMessage:
    """A message whose stream cannot be read."""

    id: int
    topic: str
    partition: int
    offset: int
    reason: str
    since: datetime


async def parked_streams(connection: Connection) -> list[ParkedStreamStatus]:
    """Returns the parked streams of all studies, ordered by source and subject."""
    return [ParkedStreamStatus(**row) for row in await connection.fetch(SQL["parked"])]


async def unreadable_messages(connection: Connection) -> list[UnreadableMessage]:
    """Returns the unreadable messages in the order in which they came."""
    return [UnreadableMessage(**row) for row in await connection.fetch(SQL["unreadable"])]


async def retry(connection: Connection, source: str, subject: str, handler: EventHandler) -> BatchResult:
    """Applies the waiting messages of a parked stream as far as possible. Raises ParkedItemNotFound."""
    async with connection.transaction():
        return await _apply_waiting(connection, await _lock_parked_cursor(connection, source, subject), handler)


async def discard(
    connection: Connection,
    source: str,
    subject: str,
    *,
    discarded_by: str,
    reason: str,
    handler: EventHandler,
    version: int | None = None,
) -> BatchResult:
    """Skips the next version, whether its event cannot be applied or never arrived, and apply the messages after it.

    Raises ParkedItemNotFound, also if the next version is not `version`, the one that was meant to be skipped.
    """
    async with connection.transaction():
        cursor = await _lock_parked_cursor(connection, source, subject)
        if version not in (None, cursor.version + 1):
            raise ParkedItemNotFound
        cursor.version += 1
        cursor.parked_reason = None
        cursor.waiting.pop(cursor.version, None)
        await connection.execute(SQL["discard_waiting"], source, subject, cursor.version, discarded_by, reason)
        return await _apply_waiting(connection, cursor, handler)


async def retry_unreadable(connection: Connection, message_id: int, handler: EventHandler) -> BatchResult:
    """Reads the message again; a message that is still unreadable is stored again. Raises ParkedItemNotFound."""
    async with connection.transaction():
        row = await connection.fetchrow(SQL["take_unreadable"], message_id)
        if row is None:
            raise ParkedItemNotFound
        return await apply_messages(connection, [message_from_row(row)], handler)


async def discard_unreadable(connection: Connection, message_id: int, *, discarded_by: str, reason: str) -> None:
    """Moves the message to the discarded ones. Raises ParkedItemNotFound."""
    if not await connection.fetchval(SQL["discard_unreadable"], message_id, discarded_by, reason):
        raise ParkedItemNotFound


async def _lock_parked_cursor(connection: Connection, source: str, subject: str) -> StreamCursor:
    key = source, subject
    cursors = await lock_cursors(connection, [key], {key: study_of_source(source)})
    if key not in cursors or not cursors[key].parked_reason:
        raise ParkedItemNotFound
    await load_waiting(connection, cursors)
    return cursors[key]


async def _apply_waiting(connection: Connection, cursor: StreamCursor, handler: EventHandler) -> BatchResult:
    events = await apply_with_savepoints(connection, {cursor.key: cursor}, list(cursor.advance()), handler)
    return BatchResult(events, parked_cursors([cursor]))
