"""Listens to the projection for changed studies, and publishes them to the open pages."""

from __future__ import annotations

import asyncio
import logging

import asyncpg

from services.analytics.live.parts import publish_change, publish_cut
from services.analytics.snapshot.study_reader import StudyReader
from shared.retry import Backoff
from shared.ui.live_updates import LiveUpdates

NOTIFY_CHANNEL, PROJECTED_CHANNEL = "quartal_live", "quartal_projected"
RECONNECT_SECONDS = 1.0
log = logging.getLogger(__name__)


async def listen(url: str, reader: StudyReader, live: LiveUpdates) -> None:
    """Listens until cancelled. After a lost connection, open streams end, so that pages connect and load again."""
    backoff = Backoff.constant(RECONNECT_SECONDS)
    while True:
        try:
            await _listen_until_disconnected(url, reader, live)
        except Exception as error:  # of any kind, because pages would silently stop following the record
            log.warning("no notifications from the projection, connecting again: %s", type(error).__name__)
        await backoff.wait()


async def _listen_until_disconnected(url: str, reader: StudyReader, live: LiveUpdates) -> None:
    notifications: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    study_versions, positions = dict[str, int](), dict[str, str]()
    connection = await asyncpg.connect(url)
    try:
        connection.add_termination_listener(lambda _: notifications.put_nowait(("", "")))
        for channel in (PROJECTED_CHANNEL, NOTIFY_CHANNEL):
            await connection.add_listener(channel, lambda _, __, *message: notifications.put_nowait(message))
        live.reset()
        while (notification := await notifications.get())[1]:
            channel, payload = notification
            study, position, *version = payload.split(":")
            state = await (
                reader.studies.at_version(study, int(version[0])) if version else reader.studies.reload(study)
            )
            if channel == NOTIFY_CHANNEL:
                if positions.get(study) == position:
                    live.reset()  # rows were repaired at the same position, so pages load them again
                positions[study] = position
                publish_change(live, study, int(position))
                if study_versions.get(study) != state.version:
                    study_versions[study] = state.version
                    await _publish_last_cut(reader, live, study)
    finally:
        await connection.close()


async def _publish_last_cut(reader: StudyReader, live: LiveUpdates, study: str) -> None:
    if cuts := await reader.data_cuts(study):
        publish_cut(live, study, cuts[-1].position)
