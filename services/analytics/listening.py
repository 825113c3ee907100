"""Hears from the projection that a study has moved, and tells the pages that are open."""

from __future__ import annotations

import asyncio
import logging

import asyncpg

from services.analytics.api import changed
from services.analytics.asking import Figures
from services.analytics.pages.live import Live

CHANNEL = "quartal_live"
PAUSE = 1.0
log = logging.getLogger(__name__)


async def listen(url: str, figures: Figures, live: Live) -> None:
    """Until cancelled. A lost connection is made again, and whoever watches a study then looks at it anew."""
    while True:
        try:
            await _listen(url, figures, live)
        except Exception as away:  # of whatever kind: pages that no longer live and do not say so are worse
            log.warning("no notifications from the projection, connecting again: %s", type(away).__name__)
        await asyncio.sleep(PAUSE)


async def _listen(url: str, figures: Figures, live: Live) -> None:
    moved: asyncio.Queue[str] = asyncio.Queue()
    connection = await asyncpg.connect(url)
    try:
        connection.add_termination_listener(lambda _: moved.put_nowait(""))
        await connection.add_listener(CHANNEL, lambda *said: moved.put_nowait(str(said[3])))
        live.begin_anew()
        while payload := await moved.get():
            study, at, *version = payload.split(":")
            await (figures.studies.at(study, int(version[0])) if version else figures.studies.reload(study))
            changed(live, study, int(at))
    finally:
        await connection.close()
