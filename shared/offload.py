"""Runs long computations in a thread, one at a time and callers in turn, so that the event loop stays responsive."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

T = TypeVar("T")
OFFLOAD_MIN_ITEMS = 20
"""Number of facts or events from which work on them runs in a thread."""


class SerialExecutor:
    """Runs one piece of work at a time: Python runs one thread at a time, and more would only block the event loop.

    A caller waits for its own earlier work first, so that callers take turns however much one of them sends.
    """

    def __init__(self) -> None:
        self._thread_lock = asyncio.Lock()
        self._caller_locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def run(self, caller: str, work: Callable[[], T]) -> T:
        """Returns the result of `work`, run in a thread when it is the caller's turn."""
        caller_lock = self._caller_locks.setdefault(caller, asyncio.Lock())
        async with caller_lock, self._thread_lock:
            return await asyncio.to_thread(work)


_EXECUTORS: WeakKeyDictionary[asyncio.AbstractEventLoop, SerialExecutor] = WeakKeyDictionary()


async def offload(caller: str, work: Callable[[], T], *, item_count: int = OFFLOAD_MIN_ITEMS) -> T:
    """Returns the result of `work`; runs it in the event loop's executor if it concerns many items."""
    if item_count < OFFLOAD_MIN_ITEMS:
        return work()
    return await _EXECUTORS.setdefault(asyncio.get_running_loop(), SerialExecutor()).run(caller, work)
