"""Server-sent events that name the changed parts of a page, so that it fetches them again.

A subscriber is one open stream. It gets the newest version of every part of its study, or of some parts, and none in
between: a slow subscriber has no queue. It gets no version twice, and the next ones a second later at the earliest.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from time import monotonic

RETRY_SECONDS = 2.0
PING_SECONDS = 15.0
FRAME_SECONDS = 1.0
"""The least time between two frames of a stream: pages of a busy study are computed once a second and not per fact."""
Write = Callable[[bytes], bool]
"""Sends bytes to a subscriber if that is possible at once and allowed; returns whether it has."""


@dataclass(frozen=True, eq=False, slots=True)
class _Versions:
    """The frames of parts at one time. Each is another one, whatever it holds, so that it can be a key."""

    frames: Mapping[str, bytes]

    def replace(self, frames: Mapping[str, bytes]) -> _Versions:
        return _Versions({**self.frames, **frames})


_NOTHING = _Versions({})


@lru_cache(maxsize=100)
def _advance(versions: _Versions, newest: _Versions, parts: frozenset[str] | None) -> tuple[bytes, _Versions]:
    """Returns the frames that a subscriber to the parts may get and does not know, and what it knows with them.

    Subscribers who know the same share both.
    """
    frames = b"".join(
        frame
        for part, frame in newest.frames.items()
        if (parts is None or part in parts) and versions.frames.get(part) != frame
    )
    return frames, newest if versions.frames.keys() <= newest.frames.keys() else versions.replace(newest.frames)


@dataclass(eq=False, slots=True)
class _Subscriber:
    """One open stream: what it knows, and the times from which it may get the next frame and has to get a ping."""

    parts: frozenset[str] | None
    write: Write
    frame_seconds: float
    ping_seconds: float
    frame_at: float
    ping_at: float
    versions: _Versions = _NOTHING
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    is_waiting: bool = False

    def offer(self, newest: _Versions, now: float) -> None:
        """Writes what the subscriber does not know, or wakes its stream if that is not possible at once."""
        frames, versions = _advance(self.versions, newest, self.parts)
        if not frames:
            return
        if self.is_waiting and not self.wake.is_set() and now >= self.frame_at and self.write(frames):
            self.note_frames(versions, now)
        else:
            self.wake.set()

    def note_frames(self, versions: _Versions, now: float) -> None:
        self.versions, self.frame_at, self.ping_at = versions, now + self.frame_seconds, now + self.ping_seconds

    async def wait(self, until: float) -> None:
        """Waits for the next versions, and at most until that time."""
        timer = asyncio.get_running_loop().call_later(until - monotonic(), self.wake.set)
        self.is_waiting = True
        try:
            await self.wake.wait()
        finally:
            self.is_waiting = False
            timer.cancel()


class LiveUpdates:
    """The event streams of all studies. They belong to one event loop."""

    def __init__(self, ping_seconds: float = PING_SECONDS, frame_seconds: float = FRAME_SECONDS) -> None:
        self._ping_seconds, self._frame_seconds = ping_seconds, frame_seconds
        self._newest, self._subscribers = dict[str, _Versions](), defaultdict[str, set[_Subscriber]](set)
        self._closed = False
        self.generation = 0

    def publish(self, study: str, versions: Mapping[str, str]) -> None:
        """Sends new versions of parts to the subscribers of their study.

        Raises ValueError for an empty name, and for line breaks, with which a value could forge another event.
        """
        if not all(study and part and f"{study}{part}{version}".isprintable() for part, version in versions.items()):
            raise ValueError("a study and a part have names, and each of them and a version is one printable line")
        self._newest[study] = newest = self._newest_of(study).replace(_frames(versions))
        now = monotonic()
        for subscriber in tuple(self._subscribers.get(study, ())):
            subscriber.offer(newest, now)

    async def stream(
        self,
        study: str,
        versions_at_load: Mapping[str, str] | None = None,
        generation_at_load: int | None = None,
        parts: frozenset[str] | None = None,
        write: Write = lambda _: False,
    ) -> AsyncIterator[bytes]:
        """Yields the frames for one subscriber of a study: the current versions, then each change, with pings between.

        `versions_at_load` are those that the subscriber loaded in the generation `generation_at_load`; versions that
        were published since then replace them. The stream of an earlier generation ends at once. `parts` are those that
        the subscriber gets; None: all. Other parts do not delay its pings either. What `write` has sent is not yielded.
        """
        generation = self.generation if generation_at_load is None else generation_at_load
        loaded, now = _Versions(_frames(versions_at_load or {})), monotonic()
        pace = self._frame_seconds, self._ping_seconds
        subscriber = _Subscriber(parts, write, *pace, frame_at=now, ping_at=now + self._ping_seconds)
        self._subscribers[study].add(subscriber)
        try:
            yield f"retry: {RETRY_SECONDS * 1000:.0f}\n\n".encode()
            newest = loaded.replace(self._newest_of(study).frames)
            while generation == self.generation and not self._closed:
                subscriber.wake.clear()
                frames, versions = _advance(subscriber.versions, newest, parts)
                due_at, now = subscriber.frame_at if frames else subscriber.ping_at, monotonic()
                if now < due_at:
                    await subscriber.wait(due_at)
                elif frames:
                    subscriber.note_frames(versions, now)
                    yield frames
                else:
                    subscriber.ping_at = now + self._ping_seconds
                    yield b": ping\n\n"
                newest = self._newest_of(study)
        finally:
            self._subscribers[study].discard(subscriber)
            if not self._subscribers[study]:
                del self._subscribers[study]

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
                subscriber.wake.set()

    def count_subscribers(self, study: str) -> int:
        """Returns the number of open streams of a study."""
        return len(self._subscribers.get(study, ()))

    def _newest_of(self, study: str) -> _Versions:
        return self._newest.get(study, _NOTHING)


def _frames(versions: Mapping[str, str]) -> dict[str, bytes]:
    return {part: f"event: {part}\ndata: {version}\n\n".encode() for part, version in versions.items()}
