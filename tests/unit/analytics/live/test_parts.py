"""The parts of pages that change when facts of a study have been projected."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

from services.analytics.figures.registry import FIGURES
from services.analytics.live.parts import LIVE_LISTS, SEALING_PARTS, publish_change, publish_sealing
from shared.ui.live_updates import LiveUpdates

TIMEOUT_SECONDS = 5


async def test_study_change_publishes_every_figure_and_list() -> None:
    live = LiveUpdates()
    publish_change(live, "atc-rt", 7)
    frame_stream = cast("AsyncGenerator[bytes, None]", live.stream("atc-rt"))
    async with aclosing(frame_stream) as stream, asyncio.timeout(TIMEOUT_SECONDS):
        assert await anext(stream) == b"retry: 2000\n\n"
        frames = [f"event: {part}\ndata: 7\n\n" for part in (*FIGURES, *LIVE_LISTS)]
        assert await anext(stream) == "".join(frames).encode()


async def test_sealing_publishes_the_parts_that_follow_it_and_no_figure() -> None:
    live = LiveUpdates()
    publish_sealing(live, "atc-rt", 3)
    frame_stream = cast("AsyncGenerator[bytes, None]", live.stream("atc-rt"))
    async with aclosing(frame_stream) as stream, asyncio.timeout(TIMEOUT_SECONDS):
        assert await anext(stream) == b"retry: 2000\n\n"
        assert await anext(stream) == "".join(f"event: {part}\ndata: 3\n\n" for part in SEALING_PARTS).encode()
