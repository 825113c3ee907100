"""What stands still in a consumer's database: found, tried again, passed over. Acts raise NotParked.

A worker may be running: every act locks what it is about, as the worker does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import typer

from infra.cli.effects import EFFECTS
from infra.cli.environment import environment, settings_of
from shared.inbox import parked
from shared.inbox.apply import Applied, Connection
from shared.inbox.parked import NotParked, ParkedStream, UnreadableMessage
from shared.security.tenancy import open_pool

Found = tuple[list[ParkedStream], list[UnreadableMessage]]


async def found(service: str) -> Found:
    async with _connection(service) as connection:
        return await parked.parked_streams(connection), await parked.unreadable_messages(connection)


async def stream(service: str, source: str, subject: str) -> ParkedStream:
    for each in (await found(service))[0]:
        if (each.source, each.subject) == (source, subject):
            return each
    raise NotParked


async def retry(service: str, source: str, subject: str) -> Applied:
    async with _connection(service) as connection:
        return await parked.retry(connection, source, subject, EFFECTS[service])


async def retry_message(service: str, message: int) -> Applied:
    async with _connection(service) as connection:
        return await parked.retry_unreadable(connection, message, EFFECTS[service])


async def retry_all(service: str) -> list[Applied]:
    """Messages first, since a stream may wait for what they say; then each stream by itself."""
    done = []
    for message in (await found(service))[1]:
        with suppress(NotParked):  # somebody else was faster
            done.append(await retry_message(service, message.id))
    for each in (await found(service))[0]:
        with suppress(NotParked):
            done.append(await retry(service, each.source, each.subject))
    return done


async def discard(service: str, seen: ParkedStream, by: str, reason: str) -> Applied:
    """Passes over the version that was seen to be next, and over no other."""
    async with _connection(service) as connection:
        return await parked.discard(
            connection, seen.source, seen.subject, by=by, reason=reason, effect=EFFECTS[service],
            version=seen.version + 1,
        )  # fmt: skip


async def discard_message(service: str, message: int, by: str, reason: str) -> None:
    async with _connection(service) as connection:
        await parked.discard_unreadable(connection, message, by=by, reason=reason)


@asynccontextmanager
async def _connection(service: str) -> AsyncIterator[Connection]:
    async with await open_pool(_url(service), largest=1) as pool, pool.acquire() as connection:
        yield connection  # type: ignore[misc] # the pool hands out a proxy of a connection


def _url(service: str) -> str:
    """Ends the command with a sentence where nobody said where the database is."""
    try:
        return settings_of(environment()).database(service, "system")
    except ValueError as unset:
        typer.echo(f"{unset}, and no Quartal runs on this data folder. Start it, or give the setting.", err=True)
        raise typer.Exit(1) from None
