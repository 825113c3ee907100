"""Finds, retries and discards parked streams and unreadable messages in the database of a consumer.

A worker may run meanwhile: each operation takes the same locks as the worker. Operations raise ParkedItemNotFound.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import typer

from infra.cli.event_handlers import EVENT_HANDLERS
from infra.cli.settings_source import command_environment, read_settings
from shared.inbox import parked
from shared.inbox.batch import BatchResult
from shared.inbox.parked import ParkedItemNotFound, ParkedStreamStatus, UnreadableMessage
from shared.inbox.repository import Connection
from shared.postgres.tenancy import open_pool

StuckItems = tuple[list[ParkedStreamStatus], list[UnreadableMessage]]


async def find_stuck(service: str) -> StuckItems:
    async with _connection(service) as connection:
        return await parked.parked_streams(connection), await parked.unreadable_messages(connection)


async def find_stream(service: str, source: str, subject: str) -> ParkedStreamStatus:
    for parked_stream in (await find_stuck(service))[0]:
        if (parked_stream.source, parked_stream.subject) == (source, subject):
            return parked_stream
    raise ParkedItemNotFound


async def retry(service: str, source: str, subject: str) -> BatchResult:
    async with _connection(service) as connection:
        return await parked.retry(connection, source, subject, EVENT_HANDLERS[service])


async def retry_message(service: str, message: int) -> BatchResult:
    async with _connection(service) as connection:
        return await parked.retry_unreadable(connection, message, EVENT_HANDLERS[service])


async def retry_all(service: str) -> list[BatchResult]:
    """Retries each message, then each stream: a stream may wait for an event in a message."""
    results = []
    for message in (await find_stuck(service))[1]:
        with suppress(ParkedItemNotFound):  # another command was faster
            results.append(await retry_message(service, message.id))
    for parked_stream in (await find_stuck(service))[0]:
        with suppress(ParkedItemNotFound):
            results.append(await retry(service, parked_stream.source, parked_stream.subject))
    return results


async def discard(service: str, parked_stream: ParkedStreamStatus, decided_by: str, reason: str) -> BatchResult:
    """Skips the event that was next when the stream was read, and no other."""
    async with _connection(service) as connection:
        return await parked.discard(
            connection,
            parked_stream.source,
            parked_stream.subject,
            discarded_by=decided_by,
            reason=reason,
            handler=EVENT_HANDLERS[service],
            version=parked_stream.version + 1,
        )


async def discard_message(service: str, message: int, decided_by: str, reason: str) -> None:
    async with _connection(service) as connection:
        await parked.discard_unreadable(connection, message, discarded_by=decided_by, reason=reason)


@asynccontextmanager
async def _connection(service: str) -> AsyncIterator[Connection]:
    async with await open_pool(_database_url(service), max_size=1) as pool, pool.acquire() as connection:
        yield connection


def _database_url(service: str) -> str:
    """Returns the URL of the database; ends the command with a message if no setting gives it."""
    try:
        return read_settings(command_environment()).database_url(service, "system")
    except ValueError as unset:
        typer.echo(f"{unset}, and no Quartal runs on this data folder. Start it, or give the setting.", err=True)
        raise typer.Exit(1) from None
