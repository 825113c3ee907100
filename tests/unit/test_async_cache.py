"""Answers to the same question: computed once, kept while they are used, and never kept after a failure."""

from __future__ import annotations

import asyncio

import pytest

from shared.async_cache import AsyncCache


class Computation:
    """Counts how often it is computed. It ends when `may_end` is set."""

    def __init__(self, *failures: Exception) -> None:
        self.count, self.may_end, self._failures = 0, asyncio.Event(), list(failures)

    async def compute(self) -> int:
        self.count += 1
        await self.may_end.wait()
        if self._failures:
            raise self._failures.pop()
        return self.count


async def test_callers_who_ask_at_once_share_one_computation() -> None:
    cache, computation = AsyncCache[int](2), Computation()
    callers = [asyncio.create_task(cache.get("a", computation.compute)) for _ in range(5)]
    await asyncio.sleep(0)
    computation.may_end.set()
    assert await asyncio.gather(*callers) == [1] * 5
    assert await cache.get("a", computation.compute) == 1


async def test_failure_reaches_all_who_wait_and_is_not_kept() -> None:
    cache, computation = AsyncCache[int](2), Computation(ValueError("first"))
    callers = [asyncio.create_task(cache.get("a", computation.compute)) for _ in range(2)]
    await asyncio.sleep(0)
    computation.may_end.set()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(result) for result in results] == [ValueError, ValueError]
    assert await cache.get("a", computation.compute) == 2


async def test_cancelled_caller_takes_the_answer_from_nobody() -> None:
    cache, computation = AsyncCache[int](2), Computation()
    first, second = (asyncio.create_task(cache.get("a", computation.compute)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    computation.may_end.set()
    assert await second == 1


async def test_answer_that_was_used_longest_ago_is_dropped() -> None:
    cache, computation = AsyncCache[int](2), Computation()
    computation.may_end.set()
    keys = ["a", "b", "a", "c", "a", "b"]
    assert [await cache.get(key, computation.compute) for key in keys] == [1, 2, 1, 3, 1, 4]
