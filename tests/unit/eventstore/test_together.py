"""When a sending begins and ends. What it keeps in a real database is in the contract of stores."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import asyncpg
import pytest

from shared.eventstore.together import LANES, Together


class Server:
    """What an asyncpg pool is here: it takes a few passes of the loop, refuses `bad`, and holds locked studies up."""

    def __init__(self) -> None:
        self.kept: list[str] = []
        self.sendings: list[list[str]] = []
        self.busy: Counter[str] = Counter()
        self.most = 0
        self.locked: dict[str, asyncio.Event] = {}

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Server]:
        await asyncio.sleep(0)
        yield self

    async def execute(self, statement: str, *arguments: Any) -> None:
        await self.executemany(statement, [arguments])

    async def executemany(self, statement: str, every: Sequence[Sequence[Any]]) -> None:
        (study,) = {arguments[0] for arguments in every}
        self.busy[study] += 1
        self.most = max(self.most, self.busy[study])
        self.sendings.append([arguments[1] for arguments in every])
        try:
            if study in self.locked:
                await self.locked[study].wait()
            await asyncio.sleep(0)
            if any(arguments[1] == "bad" for arguments in every):
                raise asyncpg.RaiseError
            self.kept += [arguments[1] for arguments in every]
        finally:
            self.busy[study] -= 1


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def together(server: Server) -> Together:
    return Together(cast("asyncpg.Pool[Any]", server), "append")


@pytest.mark.parametrize("passes", range(16))
async def test_whoever_comes_while_sendings_end_is_sent_too(server: Server, together: Together, passes: int) -> None:
    async def late() -> None:
        for _ in range(passes):
            await asyncio.sleep(0)
        await together.run("study", "late")

    async with asyncio.timeout(5):
        await asyncio.gather(*(together.run("study", f"P{number}") for number in range(5)), late())
    assert sorted(server.kept) == ["P0", "P1", "P2", "P3", "P4", "late"]


async def test_what_waits_goes_together_in_the_order_of_streams_and_two_sendings_at_a_time(
    server: Server, together: Together
) -> None:
    names = [f"P{number:02}" for number in reversed(range(40))]
    await asyncio.gather(*(together.run("study", name) for name in names))
    assert sorted(server.kept) == sorted(names)
    assert len(server.sendings) < len(names) / 2
    assert all(sending == sorted(sending) for sending in server.sendings)
    assert server.most == LANES


async def test_a_study_that_is_locked_holds_up_no_other(server: Server, together: Together) -> None:
    server.locked["one"] = asyncio.Event()
    held = [asyncio.create_task(together.run("one", f"P{number}")) for number in range(20)]
    async with asyncio.timeout(5):
        await together.run("two", "Q")
    assert server.kept == ["Q"]
    server.locked["one"].set()
    await asyncio.gather(*held)


async def test_of_those_that_went_together_only_the_refused_one_is_refused(server: Server, together: Together) -> None:
    told = await asyncio.gather(*(together.run("study", name) for name in ("a", "bad", "c")), return_exceptions=True)
    assert [type(each) for each in told] == [type(None), asyncpg.RaiseError, type(None)]
    assert sorted(server.kept) == ["a", "c"]


async def test_nothing_is_remembered_of_a_study_when_its_appends_are_kept(together: Together) -> None:
    await asyncio.gather(*(together.run("study", f"P{number}") for number in range(9)))
    await asyncio.sleep(0)
    assert not together._studies
