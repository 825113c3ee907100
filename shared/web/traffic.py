"""Limits on the concurrent requests, uploads and event streams of one caller in one process."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from shared.kernel.errors import ServiceUnavailable, TooManyRequests
from shared.settings import Limits

MAX_UPLOADS_PER_CALLER = 2


class Traffic:
    """Counts requests and event streams by caller, for one event loop."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.requests, self.streams = Counter[str](), Counter[str]()
        self._turns: dict[str, asyncio.Semaphore] = {}
        self._uploads: dict[str, asyncio.Semaphore] = {}

    @contextmanager
    def request(self, caller: str) -> Iterator[None]:
        """Counts a request while it runs. Raises TooManyRequests."""
        max_requests = self._limits.max_requests_per_caller
        if self.requests[caller] >= max_requests:
            raise TooManyRequests(
                f"You have {max_requests} requests under way, which is the most at one time. Send "
                f"this one again in a moment."
            )
        self.requests[caller] += 1
        try:
            yield
        finally:
            self.requests[caller] -= 1
            if not self.requests[caller]:
                del self.requests[caller]
                self._turns.pop(caller, None)
                self._uploads.pop(caller, None)

    @asynccontextmanager
    async def upload(self, caller: str) -> AsyncIterator[None]:
        """Waits until the caller has few enough large bodies in transfer: each is many pieces for the event loop."""
        async with self._uploads.setdefault(caller, asyncio.Semaphore(MAX_UPLOADS_PER_CALLER)):
            yield

    @asynccontextmanager
    async def turn(self, caller: str) -> AsyncIterator[None]:
        """Waits until few enough requests of the caller are processed: the event loop serves in order of arrival."""
        async with self._turns.setdefault(caller, asyncio.Semaphore(self._limits.max_turns_per_caller)):
            yield

    @contextmanager
    def stream(self, caller: str) -> Iterator[None]:
        """Counts an open event stream. Raises TooManyRequests, or ServiceUnavailable if all callers have too many."""
        max_streams = self._limits.max_streams_per_caller
        if self.streams[caller] >= max_streams:
            raise TooManyRequests(
                f"You have {max_streams} event streams open, which is the most at one time. Close one, then try again."
            )
        if self.streams.total() >= self._limits.max_streams:
            raise ServiceUnavailable("The service has too many event streams open. Try again in a moment.")
        self.streams[caller] += 1
        try:
            yield
        finally:
            self.streams[caller] -= 1
            if not self.streams[caller]:
                del self.streams[caller]
