"""The parts of a study's pages that follow its record, and the announcement of their changes."""

from __future__ import annotations

from services.analytics.disclosure.policy import READER_EVENT
from services.analytics.figures.registry import FIGURES
from shared.ui.live_updates import LiveUpdates

LIVE_LISTS = ("headline", "queries", "timeline", "participants", "worklist")
"""The parts that are not figures."""
LIVE_PARTS = (*FIGURES, *LIVE_LISTS)
SEALING_PARTS = ("data-cuts", "documents")
"""The parts that follow the sealing of data cuts, and not positions."""


def publish_change(live_updates: LiveUpdates, study: str, position: int) -> None:
    """Announces that every part of a study may differ from `position` on."""
    live_updates.publish(study, dict.fromkeys(LIVE_PARTS, str(position)))


def publish_cut(live_updates: LiveUpdates, study: str, position: int) -> None:
    """Announces that the last named data cut of a study is that at `position`."""
    live_updates.publish(study, {READER_EVENT: str(position)})


def publish_sealing(live_updates: LiveUpdates, study: str, version: int) -> None:
    """Announces that more of a data cut of a study is sealed. `version`: another one each time."""
    live_updates.publish(study, dict.fromkeys(SEALING_PARTS, str(version)))
