"""Listens to the projection for changed studies, and publishes them to the open pages."""

from __future__ import annotations

import asyncio
import logging

import asyncpg

from services.analytics.live.parts import publish_change
from shared.inbox.participant_registry.repository import ReplicatedStudies
from shared.retry import Backoff
from shared.ui.live_updates import LiveUpdates

NOTIFY_CHANNEL, PROJECTED_CHANNEL = "quartal_live", "quartal_projected"
RECONNECT_SECONDS = 1.0
log = logging.getLogger(__name__)


async def listen(url: str, studies: ReplicatedStudies, live: LiveUpdates) -> None:
    """Listens until cancelled. After a lost connection, open streams end, so that pages connect and load again."""
    backoff = Backoff.constant(RECONNECT_SECONDS)
    while True:
        try:
            await _listen_until_disconnected(url, studies, live)
        except Exception as error:  # of any kind, because pages would silently stop following the record
            log.warning("no notifications from the projection, connecting again: %s", type(error).__name__)
        await backoff.wait()


async def _listen_until_disconnected(url: str, studies: ReplicatedStudies, live: LiveUpdates) -> None:
    notifications: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    connection = await asyncpg.connect(url)
    try:
        connection.add_termination_listener(lambda _: notifications.put_nowait(("", "")))
        for channel in (PROJECTED_CHANNEL, NOTIFY_CHANNEL):
            await connection.add_listener(channel, lambda _, __, *message: notifications.put_nowait(message))
        live.reset()
        while (notification := await notifications.get())[1]:
            channel, payload = notification
            study, position, *version = payload.split(":")
            await (studies.at_version(study, int(version[0])) if version else studies.reload(study))
            if channel == NOTIFY_CHANNEL:
                publish_change(live, study, int(position))
    finally:
        await connection.close()
