"""Waits of tests for other processes, tasks and databases, which have no event to wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

TIMEOUT_SECONDS = 40.0  # seconds until a promise counts as broken


async def wait_until(
    condition: Callable[[], Awaitable[object]],
    timeout_seconds: float = TIMEOUT_SECONDS,
    pause_seconds: float = 0.02,
) -> None:
    """Returns when the condition holds. Raises TimeoutError if it does not within so many seconds."""
    async with asyncio.timeout(timeout_seconds):
        while not await condition():  # noqa: ASYNC110 - other processes, tasks and databases have no event for it
            await asyncio.sleep(pause_seconds)
