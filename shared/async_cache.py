"""Results of asynchronous work, kept by what was asked: the same question is answered once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from functools import partial
from typing import Any, Generic, TypeVar

V = TypeVar("V")


class AsyncCache(Generic[V]):
    """The results that were used last, at most `size` of them. It belongs to one event loop.

    Callers who ask for one key at the same time wait for one computation. It goes on if they are cancelled. A failure
    is raised to all who wait for it, and is not kept.
    """

    def __init__(self, size: int) -> None:
        self._size, self._tasks = size, OrderedDict[Hashable, asyncio.Task[V]]()

    async def get(self, key: Hashable, compute: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """Returns the result for a key, computed if it is not there. Raises what `compute` raises."""
        if (task := self._tasks.get(key)) is None:
            task = self._tasks[key] = asyncio.create_task(compute())
            task.add_done_callback(partial(self._remove_failure, key))
            while len(self._tasks) > self._size:
                self._tasks.popitem(last=False)
        else:
            self._tasks.move_to_end(key)
        return await asyncio.shield(task)

    def _remove_failure(self, key: Hashable, task: asyncio.Task[V]) -> None:
        if (task.cancelled() or task.exception()) and self._tasks.get(key) is task:
            del self._tasks[key]
