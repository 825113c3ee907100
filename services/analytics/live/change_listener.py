"""Listens to the projection, the deriver and the sealers for changes, and publishes them to the open pages."""

from __future__ import annotations

from itertools import count

from services.analytics.live.parts import publish_change, publish_cut, publish_sealing
from services.analytics.projection.study_changes import (
    DERIVED_CHANNEL,
    PROJECTED_CHANNEL,
    SEALING_CHANNEL,
    StudyChange,
)
from services.analytics.snapshot.study_reader import StudyReader
from shared.postgres.notifications import Notification, listen_for_notifications
from shared.ui.live_updates import LiveUpdates


async def listen(url: str, reader: StudyReader, live: LiveUpdates) -> None:
    """Listens until cancelled. After a lost connection, open streams end, so that pages connect and load again."""
    listener = _ChangeListener(reader, live)
    channels = (PROJECTED_CHANNEL, SEALING_CHANNEL, DERIVED_CHANNEL)
    await listen_for_notifications(url, channels, listener.reset, listener.handle)


class _ChangeListener:
    """Publishes what notifications say. It remembers the published positions and versions of studies."""

    def __init__(self, reader: StudyReader, live: LiveUpdates) -> None:
        self._reader, self._live = reader, live
        self._positions, self._study_versions = dict[str, int](), dict[str, int]()
        self._sealings = count(1)

    def reset(self) -> None:
        """Ends the open streams: notifications may have been lost."""
        self._positions.clear()
        self._study_versions.clear()
        self._live.reset()

    async def handle(self, notification: Notification) -> None:
        """Reads the study's own facts again if they have changed, and publishes a position or a sealing."""
        if notification.channel == SEALING_CHANNEL:
            publish_sealing(self._live, notification.payload, next(self._sealings))
            return
        change = StudyChange.from_payload(notification.payload)
        studies, study_id = self._reader.studies, change.study_id
        study = await (
            studies.reload(study_id)
            if change.study_version is None
            else studies.at_version(study_id, change.study_version)
        )
        if notification.channel == DERIVED_CHANNEL:
            self._publish_position(study_id, change.position)
            if self._study_versions.get(study_id) != study.version:
                self._study_versions[study_id] = study.version
                await self._publish_last_cut(study_id)

    def _publish_position(self, study_id: str, position: int) -> None:
        if self._positions.get(study_id) == position:
            self._live.reset()  # rows were repaired at the same position, so pages load them again
        self._positions[study_id] = position
        publish_change(self._live, study_id, position)

    async def _publish_last_cut(self, study_id: str) -> None:
        if cuts := await self._reader.data_cuts(study_id):
            publish_cut(self._live, study_id, cuts[-1].position)
