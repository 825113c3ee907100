"""What stands still and why, and how a person makes it go on. Every act is one transaction and leaves a trace."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.inbox.batch import (
    SQL,
    BatchResult,
    Connection,
    EventHandler,
    apply_messages,
    apply_with_savepoints,
    load_waiting,
    lock_cursors,
    message_from_row,
    parked_cursors,
)
from shared.inbox.stream_cursor import StreamCursor


class ParkedItemNotFound(Exception):
    """There is nothing of that name that stands still."""


@dataclass(frozen=True, slots=True)
class ParkedStreamStatus:
    """Applied up to `version`; `waiting` messages are kept, the earliest of them for version `first`."""

    study_id: str
    source: str
    subject: str
    version: int
    reason: str
    since: datetime
    waiting: int
    first: int | None


@dataclass(frozen=True, slots=True)
class UnreadableMessage:
    """A message that no stream can be told from."""

    id: int
    topic: str
    partition: int
    offset: int
    reason: str
    since: datetime


async def parked_streams(connection: Connection) -> list[ParkedStreamStatus]:
    return [ParkedStreamStatus(**row) for row in await connection.fetch(SQL["parked"])]


async def unreadable_messages(connection: Connection) -> list[UnreadableMessage]:
    return [UnreadableMessage(**row) for row in await connection.fetch(SQL["unreadable"])]


async def retry(connection: Connection, source: str, subject: str, handler: EventHandler) -> BatchResult:
    """Apply what waits, as far as it goes today. Raises NotParked."""
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
    """Pass over the next version, whether it is poison or never came, and apply what waits behind.

    Raises NotParked, also where the next version is no longer `version`: nobody decided on another one.
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
    """Read the message again; if it still cannot be told whose it is, it is kept again. Raises NotParked."""
    async with connection.transaction():
        row = await connection.fetchrow(SQL["take_unreadable"], message_id)
        if row is None:
            raise ParkedItemNotFound
        return await apply_messages(connection, [message_from_row(row)], handler)


async def discard_unreadable(connection: Connection, message_id: int, *, discarded_by: str, reason: str) -> None:
    """Raises NotParked."""
    if not await connection.fetchval(SQL["discard_unreadable"], message_id, discarded_by, reason):
        raise ParkedItemNotFound


async def _lock_parked_cursor(connection: Connection, source: str, subject: str) -> StreamCursor:
    key = source, subject
    cursors = await lock_cursors(connection, [key], {key: source.split("/")[2]})
    if key not in cursors or not cursors[key].parked_reason:
        raise ParkedItemNotFound
    await load_waiting(connection, cursors)
    return cursors[key]


async def _apply_waiting(connection: Connection, cursor: StreamCursor, handler: EventHandler) -> BatchResult:
    events = await apply_with_savepoints(connection, {cursor.key: cursor}, list(cursor.advance()), handler)
    return BatchResult(events, parked_cursors([cursor]))
