"""When a sending begins and ends. What it keeps in a real database is in the contract of stores."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import asyncpg
import pytest

from shared.eventstore.append_batcher import MAX_IN_FLIGHT, AppendBatcher


class FakePool:
    """Substitute of an asyncpg pool: takes a few passes of the loop, refuses `bad`, and delays locked studies."""

    def __init__(self) -> None:
        self.appended: list[str] = []
        self.batches: list[list[str]] = []
        self.running_by_study: Counter[str] = Counter()
        self.max_running = 0
        self.locks: dict[str, asyncio.Event] = {}

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[FakePool]:
        await asyncio.sleep(0)
        yield self

    async def execute(self, statement: str, *arguments: Any) -> None:
        await self.executemany(statement, [arguments])

    async def executemany(self, statement: str, argument_rows: Sequence[Sequence[Any]]) -> None:
        (study,) = {arguments[0] for arguments in argument_rows}
        self.running_by_study[study] += 1
        self.max_running = max(self.max_running, self.running_by_study[study])
        self.batches.append([arguments[1] for arguments in argument_rows])
        try:
            if study in self.locks:
                await self.locks[study].wait()
            await asyncio.sleep(0)
            if any(arguments[1] == "bad" for arguments in argument_rows):
                raise asyncpg.RaiseError
            self.appended += [arguments[1] for arguments in argument_rows]
        finally:
            self.running_by_study[study] -= 1


@pytest.fixture
def pool() -> FakePool:
    return FakePool()


@pytest.fixture
def batcher(pool: FakePool) -> AppendBatcher:
    return AppendBatcher(cast("asyncpg.Pool[Any]", pool), "append")


@pytest.mark.parametrize("passes", range(16))
async def test_append_arriving_while_batches_end_is_sent(pool: FakePool, batcher: AppendBatcher, passes: int) -> None:
    async def late() -> None:
        for _ in range(passes):
            await asyncio.sleep(0)
        await batcher.append("study", "late")

    async with asyncio.timeout(5):
        await asyncio.gather(*(batcher.append("study", f"P{number}") for number in range(5)), late())
    assert sorted(pool.appended) == ["P0", "P1", "P2", "P3", "P4", "late"]


async def test_waiting_appends_are_batched_in_stream_order_two_at_a_time(
    pool: FakePool, batcher: AppendBatcher
) -> None:
    names = [f"P{number:02}" for number in reversed(range(40))]
    await asyncio.gather(*(batcher.append("study", name) for name in names))
    assert sorted(pool.appended) == sorted(names)
    assert len(pool.batches) < len(names) / 2
    assert all(sending == sorted(sending) for sending in pool.batches)
    assert pool.max_running == MAX_IN_FLIGHT


async def test_locked_study_does_not_block_other_studies(pool: FakePool, batcher: AppendBatcher) -> None:
    pool.locks["one"] = asyncio.Event()
    blocked_tasks = [asyncio.create_task(batcher.append("one", f"P{number}")) for number in range(20)]
    async with asyncio.timeout(5):
        await batcher.append("two", "Q")
    assert pool.appended == ["Q"]
    pool.locks["one"].set()
    await asyncio.gather(*blocked_tasks)


async def test_refused_append_does_not_affect_others_in_its_batch(pool: FakePool, batcher: AppendBatcher) -> None:
    outcomes = await asyncio.gather(
        *(batcher.append("study", name) for name in ("a", "bad", "c")), return_exceptions=True
    )
    assert [type(each) for each in outcomes] == [type(None), asyncpg.RaiseError, type(None)]
    assert sorted(pool.appended) == ["a", "c"]


async def test_batcher_forgets_a_study_without_pending_appends(batcher: AppendBatcher) -> None:
    await asyncio.gather(*(batcher.append("study", f"P{number}") for number in range(9)))
    await asyncio.sleep(0)
    assert not batcher._queues
