"""Delays between attempts: the pauses of all loops that retry or poll."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from itertools import islice
from secrets import SystemRandom
from typing import Self


class Backoff:
    """Seconds to wait before each further attempt: `first`, doubled after every pause up to `longest`.

    With `jitter` a pause has a random length up to that, so that callers who met in a conflict do not meet again. One
    loop owns one instance. `reset` after a success makes the next pause the first again.
    """

    def __init__(self, first: float, longest: float, *, jitter: bool = False) -> None:
        self._first, self._longest, self._jitter = first, longest, jitter
        self._seconds = first

    @classmethod
    def constant(cls, seconds: float) -> Self:
        """Makes a backoff whose pauses are all of the same length."""
        return cls(seconds, seconds)

    @property
    def seconds(self) -> float:
        """The length of the next pause, or its upper bound with jitter."""
        return self._seconds

    def reset(self) -> None:
        self._seconds = self._first

    def next_seconds(self) -> float:
        """Returns the length of the next pause, and doubles it for the one after."""
        seconds = self._seconds
        self._seconds = min(2 * seconds, self._longest)
        return SystemRandom().uniform(0, seconds) if self._jitter else seconds

    def delays(self, count: int) -> Iterator[float]:
        """Returns the lengths of the next `count` pauses, for an operation that gives up after them."""
        return islice(iter(self.next_seconds, None), count)

    async def wait(self, wakeup: asyncio.Event | None = None) -> None:
        """Pauses; returns early when `wakeup` is set."""
        seconds = self.next_seconds()
        if wakeup is None:
            await asyncio.sleep(seconds)
        else:
            await wait_for_event(wakeup, seconds)


async def wait_for_event(event: asyncio.Event, seconds: float) -> None:
    """Returns when the event is set, or after `seconds`."""
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)


async def poll_until(
    condition: Callable[[], Awaitable[bool]], *, interval_seconds: float, timeout_seconds: float | None = None
) -> None:
    """Checks the condition at an interval until it holds. Raises TimeoutError after `timeout_seconds` (None: never)."""
    backoff = Backoff.constant(interval_seconds)
    async with asyncio.timeout(timeout_seconds):
        while not await condition():
            await backoff.wait()


def poll_times(*, interval_seconds: float, timeout_seconds: float) -> Iterator[None]:
    """Yields once, and then again after each interval until the time is up, for loops that may block their thread."""
    backoff, deadline = Backoff.constant(interval_seconds), time.monotonic() + timeout_seconds
    yield
    while time.monotonic() < deadline:
        time.sleep(backoff.next_seconds())
        yield
