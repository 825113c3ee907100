"""Notifications of PostgreSQL, over a connection that is opened again whenever it is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import asyncpg

from shared.retry import Backoff

_RECONNECT_SECONDS = 1.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Notification:
    """A notification as PostgreSQL delivers it, once its transaction is committed."""

    channel: str
    payload: str


NotificationHandler = Callable[[Notification], Awaitable[None]]


async def listen_for_notifications(
    url: str, channels: Sequence[str], on_connect: Callable[[], None], handle: NotificationHandler
) -> None:
    """Handles the notifications of these channels, one after the other, until cancelled.

    The connection is opened again when it is lost, and after any error of `handle`. Notifications are lost meanwhile,
    so `on_connect` is called each time that listening begins.
    """
    backoff = Backoff.constant(_RECONNECT_SECONDS)
    while True:
        try:
            await _listen_until_disconnected(url, channels, on_connect, handle)
        except Exception as error:  # of any kind, because its process would silently stop following the channels
            _log.warning("no notifications of %s, connecting again: %s", ", ".join(channels), type(error).__name__)
        await backoff.wait()


async def _listen_until_disconnected(
    url: str, channels: Sequence[str], on_connect: Callable[[], None], handle: NotificationHandler
) -> None:
    notifications: asyncio.Queue[Notification | None] = asyncio.Queue()
    connection = await asyncpg.connect(url)
    try:
        connection.add_termination_listener(lambda _: notifications.put_nowait(None))
        for channel in channels:
            await connection.add_listener(
                channel, lambda _, __, *message: notifications.put_nowait(Notification(*message))
            )
        on_connect()
        while notification := await notifications.get():
            await handle(notification)
    finally:
        await connection.close()
