"""What stands still and why, and how a person makes it go on. Every act is one transaction and leaves a trace."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.inbox.apply import (
    SQL,
    Applied,
    Connection,
    Effect,
    apply_messages,
    lock_lines,
    parked_of,
    recall_waiting,
    received,
    take_effect,
)
from shared.inbox.line import Line


class NotParked(Exception):
    """There is nothing of that name that stands still."""


@dataclass(frozen=True, slots=True)
class ParkedStream:
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


async def parked_streams(connection: Connection) -> list[ParkedStream]:
    return [ParkedStream(**row) for row in await connection.fetch(SQL["parked"])]


async def unreadable_messages(connection: Connection) -> list[UnreadableMessage]:
    return [UnreadableMessage(**row) for row in await connection.fetch(SQL["unreadable"])]


async def retry(connection: Connection, source: str, subject: str, effect: Effect) -> Applied:
    """Apply what waits, as far as it goes today. Raises NotParked."""
    async with connection.transaction():
        return await _go_on(connection, await _standing_still(connection, source, subject), effect)


async def discard(
    connection: Connection,
    source: str,
    subject: str,
    *,
    by: str,
    reason: str,
    effect: Effect,
    version: int | None = None,
) -> Applied:
    """Pass over the next version, whether it is poison or never came, and apply what waits behind.

    Raises NotParked, also where the next version is no longer `version`: nobody decided on another one.
    """
    async with connection.transaction():
        line = await _standing_still(connection, source, subject)
        if version not in (None, line.version + 1):
            raise NotParked
        line.version += 1
        line.parked = None
        line.waiting.pop(line.version, None)
        await connection.execute(SQL["discard_waiting"], source, subject, line.version, by, reason)
        return await _go_on(connection, line, effect)


async def retry_unreadable(connection: Connection, message_id: int, effect: Effect) -> Applied:
    """Read the message again; if it still cannot be told whose it is, it is kept again. Raises NotParked."""
    async with connection.transaction():
        row = await connection.fetchrow(SQL["take_unreadable"], message_id)
        if row is None:
            raise NotParked
        return await apply_messages(connection, [received(row)], effect)


async def discard_unreadable(connection: Connection, message_id: int, *, by: str, reason: str) -> None:
    """Raises NotParked."""
    if not await connection.fetchval(SQL["discard_unreadable"], message_id, by, reason):
        raise NotParked


async def _standing_still(connection: Connection, source: str, subject: str) -> Line:
    key = source, subject
    lines = await lock_lines(connection, [key], {key: source.split("/")[2]})
    if key not in lines or not lines[key].parked:
        raise NotParked
    await recall_waiting(connection, lines)
    return lines[key]


async def _go_on(connection: Connection, line: Line, effect: Effect) -> Applied:
    events = await take_effect(connection, {line.key: line}, list(line.advance()), effect)
    return Applied(events, parked_of([line]))
