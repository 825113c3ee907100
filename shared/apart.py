"""Work that would hold up an event loop, done in a thread: one piece at a time, and callers in turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

T = TypeVar("T")
LARGE = 20
"""Facts, or events, from which on they are worked on apart."""


class Lane:
    """Python runs one thread at a time: more than one would only keep the event loop from running.

    A caller waits for its own earlier work first. So callers take turns, however much one of them sends.
    """

    def __init__(self) -> None:
        self._free = asyncio.Lock()
        self._own: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def do(self, caller: str, work: Callable[[], T]) -> T:
        own = self._own.setdefault(caller, asyncio.Lock())
        async with own, self._free:
            return await asyncio.to_thread(work)


_LANES: WeakKeyDictionary[asyncio.AbstractEventLoop, Lane] = WeakKeyDictionary()


async def apart(caller: str, work: Callable[[], T], *, if_large: int = LARGE) -> T:
    """Return what `work` gives; where it is about many things (`if_large`), do it in the event loop's lane."""
    if if_large < LARGE:
        return work()
    return await _LANES.setdefault(asyncio.get_running_loop(), Lane()).do(caller, work)
