"""Rows of the inbox: stream cursors with the messages that wait behind them, unreadable messages, stored offsets."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg

from shared.inbox.stream_cursor import (
    InboundEvent,
    KafkaMessage,
    StreamCursor,
    StreamKey,
    UnaddressableMessage,
    parse_message,
    study_of_source,
)
from shared.postgres.named_queries import load_queries
from shared.postgres.tenancy import PooledConnection

SQL = load_queries(Path(__file__).with_name("queries.sql"))
Connection: TypeAlias = PooledConnection


async def lock_or_create_cursors(
    connection: Connection, studies: Mapping[StreamKey, str]
) -> dict[StreamKey, StreamCursor]:
    """Returns the cursors of the streams, locked; a new stream begins at version 0. `studies`: study id by stream."""
    if not studies:
        return {}
    cursors = await lock_cursors(connection, sorted(studies), studies)
    if new_keys := sorted(studies.keys() - cursors.keys()):
        sources, subjects = [source for source, _ in new_keys], [subject for _, subject in new_keys]
        await connection.execute(SQL["create_streams"], [studies[key] for key in new_keys], sources, subjects)
        cursors |= await lock_cursors(connection, new_keys, studies)
    return cursors


async def lock_cursors(
    connection: Connection, keys: Sequence[StreamKey], studies: Mapping[StreamKey, str]
) -> dict[StreamKey, StreamCursor]:
    """Returns the cursors that exist, locked in the order of their keys, so that consumers do not deadlock."""
    rows = await connection.fetch(SQL["lock_streams"], [source for source, _ in keys], [subject for _, subject in keys])
    return {
        (row["source"], row["subject"]): StreamCursor(
            study_id=studies[row["source"], row["subject"]],
            key=(row["source"], row["subject"]),
            version=row["version"],
            parked_reason=row["parked"],
        )
        for row in rows
    }


async def load_waiting(connection: Connection, cursors: Mapping[StreamKey, StreamCursor]) -> None:
    """Puts the stored messages of each stream into its cursor."""
    if not cursors:
        return
    rows = await connection.fetch(
        SQL["load_waiting"], [source for source, _ in cursors], [subject for _, subject in cursors]
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
        return InboundEvent(
            message=message,
            study_id=study_of_source(row["source"]),
            key=(row["source"], row["subject"]),
            version=row["version"],
            event=None,
            reason=error.reason,
        )


def message_from_row(row: asyncpg.Record) -> KafkaMessage:
    """Returns a stored message as it came from Kafka."""
    headers = tuple(
        (name, None if value is None else base64.b64decode(value)) for name, value in json.loads(row["headers"])
    )
    return KafkaMessage(
        topic=row["topic"],
        partition=row["partition"],
        offset=row["offset"],
        key=row["key"],
        headers=headers,
        value=row["value"],
    )


async def store_cursors(connection: Connection, cursors: Sequence[StreamCursor]) -> None:
    """Stores versions and reasons, deletes the waiting messages that were applied, and adds those that are new."""
    if not cursors:
        return
    sources, subjects = [cursor.key[0] for cursor in cursors], [cursor.key[1] for cursor in cursors]
    versions, reasons = [cursor.version for cursor in cursors], [cursor.parked_reason for cursor in cursors]
    await connection.execute(SQL["update_streams"], sources, subjects, versions, reasons)
    if any(cursor.persisted for cursor in cursors):
        await connection.execute(SQL["delete_waiting"], sources, subjects, versions)
    if waiting := [inbound for cursor in cursors for inbound in cursor.list_unpersisted()]:
        await _store_waiting(connection, waiting)


async def _store_waiting(connection: Connection, waiting: Sequence[InboundEvent]) -> None:
    await connection.execute(
        SQL["store_waiting"],
        [inbound.key[0] for inbound in waiting],
        [inbound.key[1] for inbound in waiting],
        [inbound.version for inbound in waiting],
        *_message_columns([inbound.message for inbound in waiting]),
    )


async def store_unreadable(connection: Connection, unreadable: Sequence[tuple[KafkaMessage, str]]) -> None:
    """Stores messages whose stream cannot be read, each with its reason."""
    if unreadable:
        reasons = [reason for _, reason in unreadable]
        await connection.execute(
            SQL["store_unreadable"], reasons, *_message_columns([message for message, _ in unreadable])
        )


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


async def store_offsets(connection: Connection, messages: Iterable[KafkaMessage]) -> dict[tuple[str, int], int]:
    """Stores the offset behind the last message of each (topic, partition); returns the offsets stored before."""
    next_offsets = {(message.topic, message.partition): message.offset + 1 for message in messages}
    topics, partitions = [topic for topic, _ in next_offsets], [partition for _, partition in next_offsets]
    rows = await connection.fetch(SQL["store_offsets"], topics, partitions, list(next_offsets.values()))
    return {(row["topic"], row["partition"]): row["before"] for row in rows}
