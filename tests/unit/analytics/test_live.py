from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

import pytest

from services.analytics.api import LISTS, changed
from services.analytics.figures.catalogue import FIGURES
from services.analytics.pages.live import Live

SOON = 5


def reading(live: Live, study: str) -> AsyncGenerator[bytes, None]:
    return cast("AsyncGenerator[bytes, None]", live.stream(study))


async def sent(stream: AsyncGenerator[bytes, None]) -> bytes:
    async with asyncio.timeout(SOON):
        return await anext(stream)


async def opened(live: Live, study: str) -> AsyncGenerator[bytes, None]:
    stream = reading(live, study)
    assert await sent(stream) == b"retry: 2000\n\n"
    return stream


def frame(part: str, version: int) -> bytes:
    return f"event: {part}\ndata: {version}\n\n".encode()


async def test_when_a_study_moves_its_figures_and_lists_are_named() -> None:
    live = Live()
    changed(live, "atc-rt", 7)
    async with aclosing(await opened(live, "atc-rt")) as stream:
        assert await sent(stream) == b"".join(frame(name, 7) for name in (*FIGURES, *LISTS))


async def test_a_new_reader_is_sent_the_current_versions_at_once() -> None:
    live = Live()
    live.publish("atc-rt/flow", "7")
    live.publish("atc-rt/accrual", "7")
    live.publish("atc-rt/flow", "8")
    async with aclosing(await opened(live, "atc-rt")) as stream:
        assert await sent(stream) == frame("flow", 8) + frame("accrual", 7)


async def test_a_new_reader_is_sent_what_it_found_unless_something_was_published_since() -> None:
    live = Live(ping_every=0.05)
    live.publish("atc-rt/flow", "8")
    async with aclosing(await opened(live, "atc-rt")) as earlier:
        assert await sent(earlier) == frame("flow", 8)
        found = cast("AsyncGenerator[bytes, None]", live.stream("atc-rt", {"flow": "7", "accrual": "7"}))
        async with aclosing(found) as stream:
            assert await sent(stream) == b"retry: 2000\n\n"
            assert await sent(stream) == frame("flow", 8) + frame("accrual", 7)
        assert await sent(earlier) == b": ping\n\n"


async def test_what_was_published_before_a_new_beginning_is_not_taken_for_news() -> None:
    live = Live()
    live.publish("atc-rt/flow", "9")
    live.begin_anew()
    found = cast("AsyncGenerator[bytes, None]", live.stream("atc-rt", {"flow": "7"}))
    async with aclosing(found) as stream:
        assert await sent(stream) == b"retry: 2000\n\n"
        assert await sent(stream) == frame("flow", 7)


async def test_who_found_something_before_a_new_beginning_comes_again() -> None:
    live = Live()
    since = live.beginnings
    live.begin_anew()
    assert [chunk async for chunk in live.stream("atc-rt", {"flow": "7"}, since)] == [b"retry: 2000\n\n"]


async def test_a_change_reaches_every_reader_of_its_study_and_no_other() -> None:
    live = Live(ping_every=0.05)
    async with (
        aclosing(await opened(live, "atc-rt")) as first,
        aclosing(await opened(live, "atc-rt")) as second,
        aclosing(await opened(live, "demo-live")) as elsewhere,
    ):
        live.publish("atc-rt/flow", "9")
        assert await sent(first) == await sent(second) == frame("flow", 9)
        assert await sent(elsewhere) == b": ping\n\n"


async def test_a_slow_reader_is_sent_the_newest_version_only() -> None:
    live = Live()
    async with aclosing(await opened(live, "atc-rt")) as stream:
        for version in range(1, 1001):
            live.publish("atc-rt/flow", str(version))
        live.publish("atc-rt/treatments", "1000")
        assert await sent(stream) == frame("flow", 1000) + frame("treatments", 1000)


async def test_a_change_while_a_frame_is_being_sent_is_not_lost() -> None:
    live = Live()
    live.publish("atc-rt/flow", "1")
    async with aclosing(await opened(live, "atc-rt")) as stream:
        assert await sent(stream) == frame("flow", 1)
        live.publish("atc-rt/flow", "2")
        assert await sent(stream) == frame("flow", 2)


async def test_a_silent_stream_is_kept_open_by_pings() -> None:
    async with aclosing(await opened(Live(ping_every=0.01), "atc-rt")) as stream:
        assert [await sent(stream) for _ in range(3)] == [b": ping\n\n"] * 3


async def test_closing_ends_waiting_streams_at_once_and_later_ones_too() -> None:
    live = Live()
    stream = await opened(live, "atc-rt")
    waiting = asyncio.ensure_future(anext(stream, b"ended"))
    await asyncio.sleep(0)
    live.close()
    async with asyncio.timeout(SOON):
        assert await waiting == b"ended"
    assert [chunk async for chunk in live.stream("atc-rt")] == [b"retry: 2000\n\n"]
    assert live.readers("atc-rt") == 0


async def test_a_reader_that_leaves_is_forgotten() -> None:
    live = Live()
    stays, leaves = await opened(live, "atc-rt"), await opened(live, "atc-rt")
    assert live.readers("atc-rt") == 2
    await leaves.aclose()
    assert live.readers("atc-rt") == 1
    await stays.aclose()
    assert live.readers("atc-rt") == 0


async def test_a_reader_that_is_cut_off_while_it_waits_is_forgotten() -> None:
    live = Live()
    stream = await opened(live, "atc-rt")
    waiting = asyncio.ensure_future(sent(stream))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert live.readers("atc-rt") == 0


@pytest.mark.parametrize(
    ("topic", "data"),
    [
        ("flow", "1"),
        ("/flow", "1"),
        ("atc-rt/", "1"),
        ("atc-rt/flow", "1\n\nevent: x"),
        ("atc-rt/fl\row", "1"),
        ("atc-rt/flow", "1\u2028"),
    ],
)
async def test_what_could_pass_for_another_event_is_refused(topic: str, data: str) -> None:
    with pytest.raises(ValueError, match="a topic is"):
        Live().publish(topic, data)
