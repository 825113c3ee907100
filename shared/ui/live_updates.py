"""Server-sent events that name the changed parts of a page, so that it fetches them again.

A reader gets the newest version of every part of its study, and none in between: a slow reader has no queue.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

RETRY_SECONDS = 2.0
PING_SECONDS = 15.0


@dataclass(eq=False, slots=True)
class _Reader:
    pending: dict[str, bytes]
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    is_ended: bool = False


class LiveUpdates:
    """The event streams of all studies. They belong to one event loop."""

    def __init__(self, ping_seconds: float = PING_SECONDS) -> None:
        self._ping_seconds = ping_seconds
        self._newest: defaultdict[str, dict[str, bytes]] = defaultdict(dict)
        self._readers: defaultdict[str, set[_Reader]] = defaultdict(set)
        self._closed = False
        self.generation = 0

    def publish(self, topic: str, data: str) -> None:
        """Sends a new version of a part to the readers of its study.

        `topic` is `<study>/<part>`, and `data` is the version. Raises ValueError for a topic of another form, and for
        line breaks, with which a value could forge another event.
        """
        study, slash, part = topic.partition("/")
        if not (study and slash and part) or not (topic + data).isprintable():
            raise ValueError("a topic is <study>/<part>, and topic and data are one printable line")
        self._newest[study][part] = frame = _frame(part, data)
        for reader in self._readers.get(study, ()):
            reader.pending[part] = frame
            reader.wake.set()

    async def stream(
        self, study: str, versions_at_load: Mapping[str, str] | None = None, generation_at_load: int | None = None
    ) -> AsyncIterator[bytes]:
        """Yields the frames for one reader of a study: the current versions, then each change, with pings between.

        `versions_at_load` are those that the reader loaded in the generation `generation_at_load`; versions published
        since then replace them. The stream of an earlier generation ends at once.
        """
        initial_frames = {part: _frame(part, data) for part, data in (versions_at_load or {}).items()}
        reader = _Reader(
            initial_frames | self._newest.get(study, {}), is_ended=generation_at_load not in (None, self.generation)
        )
        self._readers[study].add(reader)
        try:
            yield f"retry: {RETRY_SECONDS * 1000:.0f}\n\n".encode()
            while not (self._closed or reader.is_ended):
                if reader.pending:
                    frames, reader.pending = b"".join(reader.pending.values()), {}
                    reader.wake.clear()
                    yield frames
                elif not await self._wait_for_change(reader):
                    yield b": ping\n\n"
        finally:
            self._unsubscribe(study, reader)

    def close(self) -> None:
        """Ends all streams, also those opened later: a server that shuts down waits for open streams."""
        self._closed = True
        self.reset()

    def reset(self) -> None:
        """Ends all open streams. Their readers connect again and load what they may have missed."""
        self._newest.clear()
        self.generation += 1
        for readers in self._readers.values():
            for reader in readers:
                reader.is_ended = True
                reader.wake.set()

    def count_readers(self, study: str) -> int:
        """Returns the number of open streams of a study."""
        return len(self._readers.get(study, ()))

    async def _wait_for_change(self, reader: _Reader) -> bool:
        try:
            async with asyncio.timeout(self._ping_seconds):
                await reader.wake.wait()
        except TimeoutError:
            return False
        return True

    def _unsubscribe(self, study: str, reader: _Reader) -> None:
        self._readers[study].discard(reader)
        if not self._readers[study]:
            del self._readers[study]


def _frame(part: str, data: str) -> bytes:
    return f"event: {part}\ndata: {data}\n\n".encode()
