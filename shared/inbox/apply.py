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
from shared.eventstore.sql import queries
from shared.inbox.line import Arrival, Key, Line, Received, Unreadable, read
from shared.inbox.patience import patiently

SQL = queries(Path(__file__).with_name("queries.sql"))
Connection: TypeAlias = "asyncpg.Connection[Any]"
Effect = Callable[[Connection, Sequence[Event]], Awaitable[None]]
"""Writes what events mean, on the connection it is given and nowhere else: it may be rolled back and asked again."""


class Poison(Exception):
    """Raised by an effect: it can make nothing of an event. `reason` is a code, and never quotes content."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Skipped(Exception):
    """Messages of a partition were passed over: the database was set back under the worker, which must begin anew."""


_OF_CONTENT = (Poison, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)


@dataclass(frozen=True, slots=True)
class Parked:
    source: str
    subject: str
    version: int
    reason: str


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a batch. `parked`: the streams of the batch that stand still; `unreadable`: reasons."""

    events: tuple[Event, ...] = ()
    parked: tuple[Parked, ...] = ()
    unreadable: tuple[str, ...] = ()


async def apply_patiently(pool: asyncpg.Pool[Any], messages: Sequence[Received], effect: Effect) -> Applied:
    """`apply_batch` on a connection of its own, and patiently.

    Raises Skipped, and takes nothing in, where a partition goes on behind the stored offset.
    """

    async def act() -> Applied:
        async with pool.acquire() as connection:
            return await apply_batch(connection, messages, effect, seamless=True)  # type: ignore[arg-type] # the pool's proxy

    return await patiently(act)


async def apply_batch(
    connection: Connection, messages: Sequence[Received], effect: Effect, *, seamless: bool = False
) -> Applied:
    """Apply what is next, park what cannot be, drop what is known. The order of `messages` is that of the effects.

    `seamless`: as Kafka delivers, which leaves no offset out.
    """
    try:
        return await _applied(connection, messages, effect, seamless=seamless, doubtful=False)
    except _OF_CONTENT:  # seldom; only then is it worth a savepoint to find out whose content
        return await _applied(connection, messages, effect, seamless=seamless, doubtful=True)


async def _applied(
    connection: Connection, messages: Sequence[Received], effect: Effect, *, seamless: bool, doubtful: bool
) -> Applied:
    async with connection.transaction():
        before = await _store_offsets(connection, messages)
        if seamless and (skipped := sorted(_skipped(messages, before))):
            raise Skipped(", ".join(skipped))
        return await apply_messages(connection, messages, effect, doubtful=doubtful)


def _skipped(messages: Sequence[Received], before: Mapping[tuple[str, int], int]) -> Iterator[str]:
    first = {(message.topic, message.partition): message.offset for message in reversed(messages)}
    for (topic, partition), offset in first.items():
        if offset > before[topic, partition]:
            yield f"{topic}/{partition} {before[topic, partition]}-{offset - 1}"


async def apply_messages(
    connection: Connection, messages: Sequence[Received], effect: Effect, *, doubtful: bool = True
) -> Applied:
    """The same within a transaction that is there, and without saying how far the topics were read.

    Where messages are not `doubtful`, what the effect refuses is raised, and the transaction is lost.
    """
    arrivals, unreadable = _read(messages)
    lines = await _locked(connection, arrivals)
    await _recall(connection, [lines[arrival.key] for arrival in arrivals if _closes_a_gap(lines, arrival)])
    ready = [each for arrival in arrivals for each in lines[arrival.key].take(arrival)]
    await _keep_unreadable(connection, unreadable)
    take = take_effect if doubtful else _taken
    events = await take(connection, lines, ready, effect)
    return Applied(events, parked_of(lines.values()), tuple(reason for _, reason in unreadable))


async def take_effect(
    connection: Connection, lines: Mapping[Key, Line], ready: list[Arrival], effect: Effect
) -> tuple[Event, ...]:
    """Store where the streams stand and let the effect happen; park the stream of an event that it refuses."""
    while True:
        try:
            async with connection.transaction():
                return await _taken(connection, lines, ready, effect)
        except _OF_CONTENT:
            place, reason = await _poisonous(connection, _events(ready), effect)
        key, rest = ready[place].key, ready[place:]
        lines[key].give_back([arrival for arrival in rest if arrival.key == key], reason)
        ready = ready[:place] + [arrival for arrival in rest if arrival.key != key]


async def _taken(
    connection: Connection, lines: Mapping[Key, Line], ready: list[Arrival], effect: Effect
) -> tuple[Event, ...]:
    await _store(connection, [line for line in lines.values() if line.moved])
    events = _events(ready)
    if events:
        await effect(connection, events)
    return events


def _events(ready: Sequence[Arrival]) -> tuple[Event, ...]:
    return tuple(arrival.event for arrival in ready if arrival.event)


async def _poisonous(connection: Connection, events: Sequence[Event], effect: Effect) -> tuple[int, str]:
    """Which event the effect fails at, and why: the last one of the shortest beginning of the batch that fails."""
    good, bad, reason = 0, len(events), "effect-refused"
    while good < bad:
        middle = (good + bad) // 2
        try:
            await _attempt(connection, events[: middle + 1], effect)
        except _OF_CONTENT as error:
            bad, reason = middle, error.reason if isinstance(error, Poison) else f"database-{error.sqlstate}"
        else:
            good = middle + 1
    return min(good, len(events) - 1), reason


async def _attempt(connection: Connection, events: Sequence[Event], effect: Effect) -> None:
    """Raise what the effect raises; leave nothing behind either way."""
    attempt = connection.transaction()
    await attempt.start()
    try:
        await effect(connection, events)
    finally:
        await attempt.rollback()


def _read(messages: Iterable[Received]) -> tuple[list[Arrival], list[tuple[Received, str]]]:
    arrivals, unreadable = [], []
    for received in messages:
        try:
            arrivals.append(read(received))
        except Unreadable as why:
            unreadable.append((received, why.reason))
    return arrivals, unreadable


def _closes_a_gap(lines: Mapping[Key, Line], arrival: Arrival) -> bool:
    line = lines[arrival.key]
    return line.parked is not None and arrival.version == line.version + 1


async def _locked(connection: Connection, arrivals: Iterable[Arrival]) -> dict[Key, Line]:
    studies = {arrival.key: arrival.study_id for arrival in arrivals}
    if not studies:
        return {}
    lines = await lock_lines(connection, sorted(studies), studies)
    if new := sorted(studies.keys() - lines.keys()):
        sources, subjects = [source for source, _ in new], [subject for _, subject in new]
        await connection.execute(SQL["make_lines"], [studies[key] for key in new], sources, subjects)
        lines |= await lock_lines(connection, new, studies)
    return lines


async def lock_lines(connection: Connection, keys: Sequence[Key], studies: Mapping[Key, str]) -> dict[Key, Line]:
    """The streams that are known, locked, in one order for everybody."""
    rows = await connection.fetch(SQL["lock_lines"], [source for source, _ in keys], [subject for _, subject in keys])
    known = {(row["source"], row["subject"]): row for row in rows}
    return {key: Line(studies.get(key, ""), key, row["version"], row["parked"]) for key, row in known.items()}


async def _recall(connection: Connection, lines: Iterable[Line]) -> None:
    if by_key := {line.key: line for line in lines}:
        await recall_waiting(connection, by_key)


async def recall_waiting(connection: Connection, lines: Mapping[Key, Line]) -> None:
    rows = await connection.fetch(SQL["waiting"], [source for source, _ in lines], [subject for _, subject in lines])
    waiting: dict[Key, list[Arrival]] = {key: [] for key in lines}
    for row in rows:
        waiting[row["source"], row["subject"]].append(_recalled(row))
    for key, line in lines.items():
        line.stood(waiting[key])


def _recalled(row: asyncpg.Record) -> Arrival:
    message = received(row)
    try:
        return read(message)
    except Unreadable as why:
        key = row["source"], row["subject"]
        return Arrival(message, key[0].split("/")[2], key, row["version"], None, why.reason)


def received(row: asyncpg.Record) -> Received:
    headers = tuple(
        (name, None if value is None else base64.b64decode(value)) for name, value in json.loads(row["headers"])
    )
    return Received(row["topic"], row["partition"], row["offset"], row["key"], headers, row["value"])


def _columns(messages: Sequence[Received]) -> tuple[list[Any], ...]:
    return (
        [message.topic for message in messages],
        [message.partition for message in messages],
        [message.offset for message in messages],
        [message.key for message in messages],
        [_headers(message) for message in messages],
        [message.value for message in messages],
    )


def _headers(message: Received) -> bytes:
    pairs = [(name, None if value is None else base64.b64encode(value).decode()) for name, value in message.headers]
    return json.dumps(pairs).encode()


async def _store(connection: Connection, lines: Sequence[Line]) -> None:
    if not lines:
        return
    sources, subjects = [line.key[0] for line in lines], [line.key[1] for line in lines]
    versions, parked = [line.version for line in lines], [line.parked for line in lines]
    await connection.execute(SQL["move_lines"], sources, subjects, versions, parked)
    if any(line.stored for line in lines):
        await connection.execute(SQL["drop_waiting"], sources, subjects, versions)
    if waiting := [arrival for line in lines for arrival in line.unstored()]:
        where = [each.key[0] for each in waiting], [each.key[1] for each in waiting], [each.version for each in waiting]
        await connection.execute(SQL["keep_waiting"], *where, *_columns([each.received for each in waiting]))


async def _keep_unreadable(connection: Connection, unreadable: Sequence[tuple[Received, str]]) -> None:
    if unreadable:
        reasons = [reason for _, reason in unreadable]
        await connection.execute(SQL["keep_unreadable"], reasons, *_columns([message for message, _ in unreadable]))


async def _store_offsets(connection: Connection, messages: Iterable[Received]) -> dict[tuple[str, int], int]:
    """The offsets that were stored before, by partition."""
    following = {(message.topic, message.partition): message.offset + 1 for message in messages}
    topics, partitions = [topic for topic, _ in following], [partition for _, partition in following]
    rows = await connection.fetch(SQL["store_offsets"], topics, partitions, list(following.values()))
    return {(row["topic"], row["partition"]): row["before"] for row in rows}


def parked_of(lines: Iterable[Line]) -> tuple[Parked, ...]:
    return tuple(Parked(*line.key, line.version, line.parked) for line in lines if line.parked)
