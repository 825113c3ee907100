"""A listener for notifications survives a lost connection and errors of its handler."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.postgres.notifications import Notification, listen_for_notifications
from tests.conftest import Database

TIMEOUT_SECONDS = 20.0  # seconds until a promise counts as broken


class ListenerUnderTest:
    """A listener for two channels of its own. It hands on what it was called with, and fails at the payload `fault`."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.channels = [f"channel_{secrets.token_hex(6)}" for _ in range(2)]
        self.calls = asyncio.Queue[Notification | str]()

    async def run(self) -> None:
        await listen_for_notifications(
            self.database.urls["system"], self.channels, lambda: self.calls.put_nowait("connected"), self._handle
        )

    async def notify(self, channel: str, payload: str) -> None:
        await self.database.system.execute("select pg_notify($1, $2)", channel, payload)

    async def next_call(self) -> Notification | str:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await self.calls.get()

    async def _handle(self, notification: Notification) -> None:
        if notification.payload == "fault":
            raise KeyError(notification.payload)
        self.calls.put_nowait(notification)


@asynccontextmanager
async def running_listener(database: Database) -> AsyncIterator[ListenerUnderTest]:
    listener = ListenerUnderTest(database)
    task = asyncio.create_task(listener.run())
    try:
        assert await listener.next_call() == "connected"
        yield listener
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_notifications_of_all_channels_are_handled_in_order(analytics_database: Database) -> None:
    async with running_listener(analytics_database) as listener:
        sent = [(channel, payload) for payload in ("1", "", "3") for channel in listener.channels]
        for channel, payload in sent:
            await listener.notify(channel, payload)
        assert [await listener.next_call() for _ in sent] == [Notification(*message) for message in sent]


async def test_listener_connects_again_when_its_connection_is_lost(analytics_database: Database) -> None:
    async with running_listener(analytics_database) as listener:
        channel = listener.channels[-1]
        await analytics_database.system.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where query like $1", f"LISTEN%{channel}%"
        )
        assert await listener.next_call() == "connected"
        await listener.notify(channel, "after")
        assert await listener.next_call() == Notification(channel, "after")


async def test_error_of_the_handler_restarts_the_listener(analytics_database: Database) -> None:
    async with running_listener(analytics_database) as listener:
        channel = listener.channels[0]
        await listener.notify(channel, "fault")
        assert await listener.next_call() == "connected"
        await listener.notify(channel, "after")
        assert await listener.next_call() == Notification(channel, "after")
