"""Work that would hold up an event loop, done in a thread: one piece at a time, and callers in turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

T = TypeVar("T")
OFFLOAD_MIN_ITEMS = 20
"""Facts, or events, from which on they are worked on apart."""


class SerialExecutor:
    """Python runs one thread at a time: more than one would only keep the event loop from running.

    A caller waits for its own earlier work first. So callers take turns, however much one of them sends.
    """

    def __init__(self) -> None:
        self._thread_lock = asyncio.Lock()
        self._caller_locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def run(self, caller: str, work: Callable[[], T]) -> T:
        caller_lock = self._caller_locks.setdefault(caller, asyncio.Lock())
        async with caller_lock, self._thread_lock:
            return await asyncio.to_thread(work)


_EXECUTORS: WeakKeyDictionary[asyncio.AbstractEventLoop, SerialExecutor] = WeakKeyDictionary()


async def offload(caller: str, work: Callable[[], T], *, item_count: int = OFFLOAD_MIN_ITEMS) -> T:
    """Return what `work` gives; where it is about many things (`if_large`), do it in the event loop's lane."""
    if item_count < OFFLOAD_MIN_ITEMS:
        return work()
    return await _EXECUTORS.setdefault(asyncio.get_running_loop(), SerialExecutor()).run(caller, work)
