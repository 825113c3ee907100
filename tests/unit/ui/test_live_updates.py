from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import pytest

from services.analytics.disclosure.policy import READER_EVENT
from services.analytics.live.parts import publish_change, publish_cut
from shared.ui.live_updates import LiveUpdates

TIMEOUT_SECONDS = 5


def open_stream(live: LiveUpdates, study: str) -> AsyncGenerator[bytes, None]:
    return cast("AsyncGenerator[bytes, None]", live.stream(study))


async def next_chunk(stream: AsyncGenerator[bytes, None]) -> bytes:
    async with asyncio.timeout(TIMEOUT_SECONDS):
        return await anext(stream)


async def connected_stream(live: LiveUpdates, study: str) -> AsyncGenerator[bytes, None]:
    stream = open_stream(live, study)
    assert await next_chunk(stream) == b"retry: 2000\n\n"
    return stream


def frame(part: str, version: int) -> bytes:
    return f"event: {part}\ndata: {version}\n\n".encode()


async def test_a_new_reader_is_sent_the_current_versions_at_once() -> None:
    live = LiveUpdates(frame_seconds=0)
    live.publish("atc-rt", {"flow": "7"})
    live.publish("atc-rt", {"accrual": "7"})
    live.publish("atc-rt", {"flow": "8"})
    async with aclosing(await connected_stream(live, "atc-rt")) as stream:
        assert await next_chunk(stream) == frame("flow", 8) + frame("accrual", 7)


async def test_new_reader_gets_its_loaded_versions_unless_newer_ones_were_published() -> None:
    live = LiveUpdates(ping_seconds=0.05, frame_seconds=0)
    live.publish("atc-rt", {"flow": "8"})
    async with aclosing(await connected_stream(live, "atc-rt")) as earlier:
        assert await next_chunk(earlier) == frame("flow", 8)
        stream_with_versions = cast("AsyncGenerator[bytes, None]", live.stream("atc-rt", {"flow": "7", "accrual": "7"}))
        async with aclosing(stream_with_versions) as stream:
            assert await next_chunk(stream) == b"retry: 2000\n\n"
            assert await next_chunk(stream) == frame("flow", 8) + frame("accrual", 7)
        assert await next_chunk(earlier) == b": ping\n\n"


async def test_versions_published_before_a_reset_are_not_sent() -> None:
    live = LiveUpdates(frame_seconds=0)
    live.publish("atc-rt", {"flow": "9"})
    live.reset()
    stream_with_versions = cast("AsyncGenerator[bytes, None]", live.stream("atc-rt", {"flow": "7"}))
    async with aclosing(stream_with_versions) as stream:
        assert await next_chunk(stream) == b"retry: 2000\n\n"
        assert await next_chunk(stream) == frame("flow", 7)


async def test_reader_of_an_earlier_generation_is_disconnected() -> None:
    live = LiveUpdates(frame_seconds=0)
    generation = live.generation
    live.reset()
    assert [chunk async for chunk in live.stream("atc-rt", {"flow": "7"}, generation)] == [b"retry: 2000\n\n"]


async def test_a_change_reaches_every_reader_of_its_study_and_no_other() -> None:
    live = LiveUpdates(ping_seconds=0.05, frame_seconds=0)
    async with (
        aclosing(await connected_stream(live, "atc-rt")) as first,
        aclosing(await connected_stream(live, "atc-rt")) as second,
        aclosing(await connected_stream(live, "demo-live")) as elsewhere,
    ):
        live.publish("atc-rt", {"flow": "9"})
        assert await next_chunk(first) == await next_chunk(second) == frame("flow", 9)
        assert await next_chunk(elsewhere) == b": ping\n\n"


async def test_a_slow_reader_is_sent_the_newest_version_only() -> None:
    live = LiveUpdates(frame_seconds=0)
    async with aclosing(await connected_stream(live, "atc-rt")) as stream:
        for version in range(1, 1001):
            live.publish("atc-rt", {"flow": str(version)})
        live.publish("atc-rt", {"treatments": "1000"})
        assert await next_chunk(stream) == frame("flow", 1000) + frame("treatments", 1000)


async def test_a_change_while_a_frame_is_being_sent_is_not_lost() -> None:
    live = LiveUpdates(frame_seconds=0)
    live.publish("atc-rt", {"flow": "1"})
    async with aclosing(await connected_stream(live, "atc-rt")) as stream:
        assert await next_chunk(stream) == frame("flow", 1)
        live.publish("atc-rt", {"flow": "2"})
        assert await next_chunk(stream) == frame("flow", 2)


async def test_a_silent_stream_is_kept_open_by_pings() -> None:
    async with aclosing(await connected_stream(LiveUpdates(ping_seconds=0.01, frame_seconds=0), "atc-rt")) as stream:
        assert [await next_chunk(stream) for _ in range(3)] == [b": ping\n\n"] * 3


async def test_close_ends_waiting_and_later_streams() -> None:
    live = LiveUpdates(frame_seconds=0)
    stream = await connected_stream(live, "atc-rt")
    waiting = asyncio.ensure_future(anext(stream, b"ended"))
    await asyncio.sleep(0)
    live.close()
    async with asyncio.timeout(TIMEOUT_SECONDS):
        assert await waiting == b"ended"
    assert [chunk async for chunk in live.stream("atc-rt")] == [b"retry: 2000\n\n"]
    assert live.count_subscribers("atc-rt") == 0


async def test_a_reader_that_leaves_is_forgotten() -> None:
    live = LiveUpdates(frame_seconds=0)
    stays, leaves = await connected_stream(live, "atc-rt"), await connected_stream(live, "atc-rt")
    assert live.count_subscribers("atc-rt") == 2
    await leaves.aclose()
    assert live.count_subscribers("atc-rt") == 1
    await stays.aclose()
    assert live.count_subscribers("atc-rt") == 0


async def test_disconnected_reader_is_forgotten() -> None:
    live = LiveUpdates(frame_seconds=0)
    stream = await connected_stream(live, "atc-rt")
    waiting = asyncio.ensure_future(next_chunk(stream))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert live.count_subscribers("atc-rt") == 0


@pytest.mark.parametrize(
    ("study", "part", "version"),
    [
        ("", "flow", "1"),
        ("atc-rt", "", "1"),
        ("atc-rt", "flow", "1\n\nevent: x"),
        ("atc-rt", "fl\row", "1"),
        ("atc-rt", "flow", "1\u2028"),
    ],
)
async def test_names_and_versions_that_could_forge_an_event_are_refused(study: str, part: str, version: str) -> None:
    with pytest.raises(ValueError, match="one printable line"):
        LiveUpdates(frame_seconds=0).publish(study, {part: version})


def reader_stream(live: LiveUpdates, versions: dict[str, str]) -> AsyncGenerator[bytes, None]:
    return cast("AsyncGenerator[bytes, None]", live.stream("atc-rt", versions, parts=frozenset({READER_EVENT})))


async def test_reader_of_publications_hears_of_data_cuts_alone() -> None:
    live = LiveUpdates(ping_seconds=0.05, frame_seconds=0)
    publish_change(live, "atc-rt", 7)
    async with aclosing(reader_stream(live, {READER_EVENT: "5"})) as stream:
        assert await next_chunk(stream) == b"retry: 2000\n\n"
        assert await next_chunk(stream) == frame(READER_EVENT, 5)
        publish_change(live, "atc-rt", 8)
        assert await next_chunk(stream) == b": ping\n\n"
        publish_cut(live, "atc-rt", 9)
        assert await next_chunk(stream) == frame(READER_EVENT, 9)


async def test_change_of_other_parts_does_not_even_delay_the_ping_of_a_reader() -> None:
    live = LiveUpdates(ping_seconds=0.2, frame_seconds=0)
    async with aclosing(reader_stream(live, {})) as stream:
        assert await next_chunk(stream) == b"retry: 2000\n\n"
        ping = asyncio.create_task(next_chunk(stream))
        for position in range(20):
            publish_change(live, "atc-rt", position)
            await asyncio.sleep(0.02)
        assert ping.done()
        assert await ping == b": ping\n\n"


async def test_no_version_is_sent_twice() -> None:
    live = LiveUpdates(ping_seconds=0.05, frame_seconds=0)
    async with aclosing(reader_stream(live, {READER_EVENT: "5"})) as stream:
        assert await next_chunk(stream) == b"retry: 2000\n\n"
        assert await next_chunk(stream) == frame(READER_EVENT, 5)
        publish_cut(live, "atc-rt", 5)
        assert await next_chunk(stream) == b": ping\n\n"


async def test_versions_of_one_second_come_in_one_frame() -> None:
    """The first is sent at once; the others wait for the end of the interval, and only the newest of them is sent."""
    live = LiveUpdates(frame_seconds=0.2)
    async with aclosing(await connected_stream(live, "atc-rt")) as stream:
        live.publish("atc-rt", {"flow": "1"})
        begun = asyncio.get_running_loop().time()
        assert b"data: 1" in await anext(stream)
        for version in ("2", "3", "4"):
            live.publish("atc-rt", {"flow": version})
        assert await anext(stream) == b"event: flow\ndata: 4\n\n"
        assert asyncio.get_running_loop().time() - begun >= 0.2


async def test_stream_that_waits_for_the_next_frame_ends_at_once() -> None:
    live = LiveUpdates(frame_seconds=3600)
    async with aclosing(await connected_stream(live, "atc-rt")) as stream:
        live.publish("atc-rt", {"flow": "1"})
        await anext(stream)
        end = asyncio.create_task(anext(stream, None))
        await asyncio.sleep(0)
        live.reset()
        async with asyncio.timeout(10):
            assert await end is None


@dataclass
class Client:
    """A subscriber that may be written to without its stream, unless it reads too slowly."""

    live: LiveUpdates
    parts: frozenset[str] | None = None
    is_slow: bool = False
    written: list[bytes] = field(default_factory=list)

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[asyncio.Task[bytes]]:
        """Yields the next piece of a stream that waits."""
        stream = cast("AsyncGenerator[bytes, None]", self.live.stream("atc-rt", {}, None, self.parts, self.write))
        async with aclosing(stream):
            assert await next_chunk(stream) == b"retry: 2000\n\n"
            piece = asyncio.create_task(next_chunk(stream))
            await asyncio.sleep(0)
            yield piece
            piece.cancel()
            await asyncio.gather(piece, return_exceptions=True)

    def write(self, frames: bytes) -> bool:
        if not self.is_slow:
            self.written.append(frames)
        return not self.is_slow


async def test_waiting_client_is_written_to_at_once_and_not_by_its_stream() -> None:
    live = LiveUpdates(ping_seconds=0.05, frame_seconds=0)
    client = Client(live, frozenset({"flow"}))
    async with client.waiting() as piece:
        live.publish("atc-rt", {"flow": "1", "accrual": "1"})
        live.publish("atc-rt", {"accrual": "2"})
        live.publish("atc-rt", {"flow": "1"})
        live.publish("atc-rt", {"flow": "3"})
        assert client.written == [frame("flow", 1), frame("flow", 3)]
        assert await piece == b": ping\n\n"


async def test_client_that_cannot_be_written_to_gets_the_newest_by_its_stream() -> None:
    live = LiveUpdates(frame_seconds=0)
    client = Client(live, is_slow=True)
    async with client.waiting() as piece:
        live.publish("atc-rt", {"flow": "1"})
        client.is_slow = False
        live.publish("atc-rt", {"flow": "2"})
        assert await piece == frame("flow", 2)
    assert client.written == []


async def test_client_is_written_to_once_in_the_interval_of_frames() -> None:
    live = LiveUpdates(frame_seconds=0.2)
    client = Client(live)
    async with client.waiting() as piece:
        begun = asyncio.get_running_loop().time()
        for version in ("1", "2", "3"):
            live.publish("atc-rt", {"flow": version})
        assert client.written == [frame("flow", 1)]
        assert await piece == frame("flow", 3)
        assert asyncio.get_running_loop().time() - begun >= 0.19


async def test_client_of_an_ended_stream_is_not_written_to() -> None:
    live = LiveUpdates(frame_seconds=0)
    client = Client(live)
    async with client.waiting() as piece:
        live.reset()
        live.publish("atc-rt", {"flow": "1"})
        with pytest.raises(StopAsyncIteration):
            await piece
    live.publish("atc-rt", {"flow": "2"})
    assert client.written == []
