"""Measures how late the last of many readers of a study's event stream learn of a change, against a bare writer.

`python -m bench.fan_out PORT` runs the bare writer.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, closing
from itertools import count
from statistics import median
from time import perf_counter
from typing import cast

from bench.analytics_study import ReplicatedCohort, analytics_pools, study_events
from bench.environment import (
    TIMEOUT_SECONDS,
    bench_environment,
    create_token,
    port_of,
    run_programs,
    wait_until_answering,
)
from bench.ratio import Bench, Measurements, Pair, Ratio, Size, run_alternately
from infra.local.ports import LOOPBACK, free_port
from infra.local.supervisor import python_module
from services.analytics.live.parts import LIVE_PARTS
from services.analytics.projection.study_changes import DERIVED_CHANNEL
from services.analytics.urls import live_url
from shared.ui.live_updates import FRAME_SECONDS

STUDY, READERS, CHANGES_PER_ROUND = "bench", 1_000, 5
LIMITS = {
    f"QUARTAL_MAX_{name}": str(2 * READERS)
    for name in ("STREAMS_PER_CALLER", "REQUESTS_PER_CALLER", "CONNECTIONS_PER_ADDRESS")
}
FRAMES = "".join(f"event: {part}\ndata: 1000000\n\n" for part in LIVE_PARTS).encode()
"""The frames of one change, as a reader gets them."""
READ, CHANGE, READY = b"read\n", b"change\n", b"ready\n"
RATIO = Ratio(
    name="fan-out",
    ours=f"from the notification of the deriver to the frame of one change at each of {READERS:,} readers of the event "
    "stream, one uvicorn process; the 99th percentile",
    against=f"from a byte at a bare asyncio server until it has written as many bytes to {READERS:,} sockets, as they "
    "arrive; the 99th percentile",
    unit="ms",
    goal=2,
    is_upper_bound=True,
)


async def run(size: Size) -> Measurements:
    readers, bare_port = size.choose(READERS, 10), free_port()
    commands = {
        "ours": python_module("bench.minimal_server", "analytics"),
        "bare": python_module("bench.fan_out", str(bare_port)),
    }
    async with (
        bench_environment(broker=False) as stack,
        analytics_pools(stack) as (_, system),
        run_programs(stack, commands, LIMITS),
        AsyncExitStack() as connections,
    ):
        await ReplicatedCohort.fill(system, STUDY, 1)
        await wait_until_answering(port_of(stack), "/analytics/health/ready")
        bearer = create_token(stack, STUDY, "investigator")
        request = f"GET {live_url(STUDY)} HTTP/1.1\r\nHost: {LOOPBACK}\r\nAuthorization: Bearer {bearer}\r\n\r\n"
        ours = await connect_readers(connections, port_of(stack), request.encode(), b"event: ", readers)
        bare = await connect_readers(connections, bare_port, READ, READY, readers)
        (trigger,) = await connect_readers(connections, bare_port, READY, READY, 1)
        study_version, positions = len(study_events(STUDY)), count(1_000_000)

        async def notify() -> None:
            payload = f"{STUDY}:{next(positions)}:{study_version}"
            await system.execute("select pg_notify($1, $2)", DERIVED_CHANNEL, payload)

        async def write_bare() -> None:
            trigger.send(CHANGE)

        rounds = await run_alternately(size, lambda: measure(ours, notify), lambda: measure(bare, write_bare))
    return {RATIO.name: [Pair(*milliseconds) for milliseconds in rounds]}


class Reader(asyncio.Protocol):
    """A connection that sends a request, and then notes when bytes arrive."""

    def __init__(self, request: bytes, ready: bytes) -> None:
        self._request, self._ready, self._first_bytes = request, ready, b""
        self._transport: asyncio.Transport
        self._loop = asyncio.get_running_loop()
        self.is_ready: asyncio.Future[None] = self._loop.create_future()
        self.arrival: asyncio.Future[float] = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.send(self._request)

    def send(self, data: bytes) -> None:
        self._transport.write(data)

    def close(self) -> None:
        self.arrival.cancel()
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        if not self.is_ready.done():
            self._first_bytes += data
            if self._ready in self._first_bytes:
                self.is_ready.set_result(None)
        elif not self.arrival.done():
            self.arrival.set_result(perf_counter())

    def connection_lost(self, error: Exception | None) -> None:
        for future in (self.is_ready, self.arrival):
            if not future.done():
                future.set_exception(error or ConnectionError(f"ended: {self._first_bytes.decode(errors='replace')}"))

    def expect(self) -> asyncio.Future[float]:
        """Returns the time at which the next bytes arrive."""
        self.arrival = self._loop.create_future()
        return self.arrival


async def connect_readers(
    connections: AsyncExitStack, port: int, request: bytes, ready: bytes, readers: int
) -> list[Reader]:
    """Connects so many readers, and returns them when all have got the bytes `ready`."""
    connected = list[Reader]()
    loop = asyncio.get_running_loop()
    for _ in range(readers):
        _, reader = await loop.create_connection(lambda: Reader(request, ready), LOOPBACK, port)
        connected.append(connections.enter_context(closing(reader)))
    async with asyncio.timeout(TIMEOUT_SECONDS):
        for reader in connected:
            await reader.is_ready
    return connected


async def measure(readers: Sequence[Reader], change: Callable[[], Awaitable[None]]) -> float:
    """Returns the milliseconds from a change to the arrival at the readers, as the median of several 99th percentiles.

    Changes are further apart than the frames of a stream.
    """
    percentiles = list[float]()
    for _ in range(CHANGES_PER_ROUND):
        await asyncio.sleep(2 * FRAME_SECONDS)
        arrivals, started_at = [reader.expect() for reader in readers], perf_counter()
        await change()
        async with asyncio.timeout(TIMEOUT_SECONDS):
            times = sorted([await arrival - started_at for arrival in arrivals])
        percentiles.append(1000 * times[len(times) * 99 // 100])
    return median(percentiles)


async def serve_bare(port: int) -> None:
    """Serves connections: after a line CHANGE of one of them, FRAMES are written to all that have sent READ."""
    writers = list[asyncio.StreamWriter]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            if line == CHANGE:
                for other in writers:
                    other.write(FRAMES)
            else:
                writer.write(READY)
                writers.extend([writer] if line == READ else [])

    server = await asyncio.start_server(serve, LOOPBACK, port, backlog=READERS)
    await server.serve_forever()


BENCH = Bench("fan-out", (RATIO,), run)

if __name__ == "__main__":
    asyncio.run(serve_bare(int(sys.argv[1])))
