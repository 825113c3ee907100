"""The stream that names what has changed, so that a page fetches that part again.

A reader is owed the newest version of every part of its study, and nothing in between: a slow reader never queues.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

RETRY_AFTER = 2.0
PING_EVERY = 15.0


@dataclass(eq=False, slots=True)
class _Reader:
    owed: dict[str, bytes]
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    is_over: bool = False


class Live:
    """Server-sent events for every study. All of it belongs to one event loop."""

    def __init__(self, ping_every: float = PING_EVERY) -> None:
        self._ping_every = ping_every
        self._newest: defaultdict[str, dict[str, bytes]] = defaultdict(dict)
        self._readers: defaultdict[str, set[_Reader]] = defaultdict(set)
        self._closed = False
        self.beginnings = 0

    def publish(self, topic: str, data: str) -> None:
        """Tell the readers of a study that a part of it has a new version.

        `topic` is `<study>/<part>`, `data` the version. Raises ValueError for another shape, or for a line break,
        with which a value could pass for an event of its own.
        """
        study, slash, part = topic.partition("/")
        if not (study and slash and part) or not (topic + data).isprintable():
            raise ValueError("a topic is <study>/<part>, and topic and data are one printable line")
        self._newest[study][part] = frame = _frame(part, data)
        for reader in self._readers.get(study, ()):
            reader.owed[part] = frame
            reader.wake.set()

    async def stream(
        self, study: str, found: Mapping[str, str] | None = None, since: int | None = None
    ) -> AsyncIterator[bytes]:
        """What a reader of one study is sent: at once the current versions, then each change, pings between.

        `found` has the version of each part as the reader found it after `since` beginnings; what was published by
        now may be newer.
        """
        first = {part: _frame(part, data) for part, data in (found or {}).items()}
        reader = _Reader(first | self._newest.get(study, {}), is_over=since not in (None, self.beginnings))
        self._readers[study].add(reader)
        try:
            yield f"retry: {RETRY_AFTER * 1000:.0f}\n\n".encode()
            while not (self._closed or reader.is_over):
                if reader.owed:
                    frames, reader.owed = b"".join(reader.owed.values()), {}
                    reader.wake.clear()
                    yield frames
                elif not await self._woken(reader):
                    yield b": ping\n\n"
        finally:
            self._leave(study, reader)

    def close(self) -> None:
        """End every stream, and each one opened later, at once: a server that shuts down waits for open streams."""
        self._closed = True
        self.begin_anew()

    def begin_anew(self) -> None:
        """End every stream that is open: whoever comes again is told how things are now, whatever was not heard of."""
        self._newest.clear()
        self.beginnings += 1
        for readers in self._readers.values():
            for reader in readers:
                reader.is_over = True
                reader.wake.set()

    def readers(self, study: str) -> int:
        """How many are reading a study now."""
        return len(self._readers.get(study, ()))

    async def _woken(self, reader: _Reader) -> bool:
        try:
            async with asyncio.timeout(self._ping_every):
                await reader.wake.wait()
        except TimeoutError:
            return False
        return True

    def _leave(self, study: str, reader: _Reader) -> None:
        self._readers[study].discard(reader)
        if not self._readers[study]:
            del self._readers[study]


def _frame(part: str, data: str) -> bytes:
    return f"event: {part}\ndata: {data}\n\n".encode()
