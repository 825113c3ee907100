"""Server-sent events that name the changed parts of a page, so that it fetches them again.

A subscriber is one open stream. It gets the newest version of every part of its study, or of some parts, and none in
between: a slow subscriber has no queue. It gets no version twice, and the next ones a second later at the earliest.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

RETRY_SECONDS = 2.0
PING_SECONDS = 15.0
FRAME_SECONDS = 1.0
"""The least time between two frames of a stream: pages of a busy study are computed once a second and not per fact."""


@dataclass(eq=False, slots=True)
class _Subscriber:
    """One open stream: `parts` limits what it gets, `newest` has the last frame of each part that it was offered."""

    parts: Collection[str] | None
    newest: dict[str, bytes] = field(default_factory=dict)
    pending: dict[str, bytes] = field(default_factory=dict)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def offer(self, frames: Mapping[str, bytes]) -> None:
        """Queues the frames that the subscriber may get and does not have."""
        for part, frame in frames.items():
            if (self.parts is None or part in self.parts) and self.newest.get(part) != frame:
                self.newest[part] = self.pending[part] = frame
                self.wake.set()


class LiveUpdates:
    """The event streams of all studies. They belong to one event loop."""

    def __init__(self, ping_seconds: float = PING_SECONDS, frame_seconds: float = FRAME_SECONDS) -> None:
        self._ping_seconds, self._frame_seconds = ping_seconds, frame_seconds
        self._newest: defaultdict[str, dict[str, bytes]] = defaultdict(dict)
        self._subscribers: defaultdict[str, set[_Subscriber]] = defaultdict(set)
        self._closed = False
        self.generation = 0

    def publish(self, topic: str, data: str) -> None:
        """Sends a new version of a part to the subscribers of its study.

        `topic` is `<study>/<part>`, and `data` is the version. Raises ValueError for a topic of another form, and for
        line breaks, with which a value could forge another event.
        """
        study, slash, part = topic.partition("/")
        if not (study and slash and part) or not (topic + data).isprintable():
            raise ValueError("a topic is <study>/<part>, and topic and data are one printable line")
        self._newest[study][part] = frame = _frame(part, data)
        for subscriber in self._subscribers.get(study, ()):
            subscriber.offer({part: frame})

    async def stream(
        self,
        study: str,
        versions_at_load: Mapping[str, str] | None = None,
        generation_at_load: int | None = None,
        parts: Collection[str] | None = None,
    ) -> AsyncIterator[bytes]:
        """Yields the frames for one subscriber of a study: the current versions, then each change, with pings between.

        `versions_at_load` are those that the subscriber loaded in the generation `generation_at_load`; versions that
        were published since then replace them. The stream of an earlier generation ends at once. `parts` are those that
        the subscriber gets; None: all. Other parts do not delay its pings either.
        """
        initial_frames = {part: _frame(part, data) for part, data in (versions_at_load or {}).items()}
        subscriber = _Subscriber(parts)
        if generation_at_load not in (None, self.generation):
            subscriber.ended.set()
        subscriber.offer(initial_frames | self._newest.get(study, {}))
        self._subscribers[study].add(subscriber)
        try:
            yield f"retry: {RETRY_SECONDS * 1000:.0f}\n\n".encode()
            while not (self._closed or subscriber.ended.is_set()):
                if subscriber.pending:
                    frames, subscriber.pending = b"".join(subscriber.pending.values()), {}
                    subscriber.wake.clear()
                    yield frames
                    await self._pause(subscriber)
                elif not await self._wait_for_change(subscriber):
                    yield b": ping\n\n"
        finally:
            self._unsubscribe(study, subscriber)

    def close(self) -> None:
        """Ends all streams, also those opened later: a server that shuts down waits for open streams."""
        self._closed = True
        self.reset()

    def reset(self) -> None:
        """Ends all open streams. Their subscribers connect again and load what they may have missed."""
        self._newest.clear()
        self.generation += 1
        for subscribers in self._subscribers.values():
            for subscriber in subscribers:
                subscriber.ended.set()
                subscriber.wake.set()

    def count_subscribers(self, study: str) -> int:
        """Returns the number of open streams of a study."""
        return len(self._subscribers.get(study, ()))

    async def _wait_for_change(self, subscriber: _Subscriber) -> bool:
        try:
            async with asyncio.timeout(self._ping_seconds):
                await subscriber.wake.wait()
        except TimeoutError:
            return False
        return True

    async def _pause(self, subscriber: _Subscriber) -> None:
        """Waits before the next frame, unless the stream ends."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._frame_seconds):
                await subscriber.ended.wait()

    def _unsubscribe(self, study: str, subscriber: _Subscriber) -> None:
        self._subscribers[study].discard(subscriber)
        if not self._subscribers[study]:
            del self._subscribers[study]


def _frame(part: str, data: str) -> bytes:
    return f"event: {part}\ndata: {data}\n\n".encode()
