"""Measures how long other callers wait while one caller sends the most expensive request bodies."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from time import perf_counter
from uuid import uuid4

from bench.cohort import SITE, STUDY, replicate_participants
from bench.environment import bench_environment, create_token, port_of, run_programs, wait_until_answering
from bench.ratio import Bench, Measurements, Pair, Ratio, Size
from infra.local.ports import LOOPBACK
from infra.local.supervisor import python_module
from shared.testing.hostile_bodies import BATCH_BODIES, FACT_BODIES

CONNECTIONS = 16
PROMISED_MS = 100.0
PROBE_INTERVAL_SECONDS = 0.01
RATIO = Ratio(
    name="fairness",
    ours="the longest that another caller waits for a small response while one caller sends the worst known bodies, "
    f"each over {CONNECTIONS} connections at once; one uvicorn process",
    against="the promised limit",
    unit="ms",
    goal=1.0,
    is_upper_bound=True,
)


async def run(size: Size) -> Measurements:
    async with bench_environment(broker=False) as stack:
        port = port_of(stack)
        async with run_programs(stack, {"ours": python_module("bench.minimal_server", "toxicity")}):
            await wait_until_answering(port, "/toxicity/health/ready")
            [participant_id] = await replicate_participants(stack, 1, "toxicity")
            bearer = create_token(stack, STUDY, "site", SITE.site_id)
            base = f"/toxicity/v1/studies/{STUDY}/participants/{participant_id}/facts"
            hostile = [
                _request("POST", f"{base}/toxicity.assessed?dry_run=true", bearer, body())
                for body in FACT_BODIES.values()
            ]
            hostile += [_request("POST", f"{base}?dry_run=true", bearer, body()) for body in BATCH_BODIES.values()]
            probe_request = _request("GET", "/toxicity/v1/dictionaries", create_token(stack, STUDY, "investigator"))
            connections = size.choose(CONNECTIONS, 2)
            await _measure_longest_wait(port, hostile, probe_request, 1)  # warms up what the first request makes
            rounds = [await _measure_longest_wait(port, hostile, probe_request, connections) for _ in range(size.pairs)]
    return {RATIO.name: [Pair(1000 * longest, PROMISED_MS) for longest in rounds]}


async def _measure_longest_wait(port: int, hostile: list[bytes], probe_request: bytes, connections: int) -> float:
    """Returns the seconds of the slowest response to `probe_request` while each hostile request is sent.

    Each hostile request is sent over `connections` connections at once.
    """
    with _start_prober(port, probe_request) as parent:
        for request in hostile:
            await asyncio.gather(*(_send_request(port, request) for _ in range(connections)))
        parent.send(None)
        waits: list[float] = await asyncio.to_thread(parent.recv)
        return max(waits)


@contextmanager
def _start_prober(port: int, request: bytes) -> Iterator[Connection]:
    """Starts a process that repeats the request until it receives a message, then sends the seconds of each response.

    A separate process does not wait for the many bytes that this process writes.
    """
    spawn = get_context("spawn")
    parent, child = spawn.Pipe()
    process = spawn.Process(target=_probe, args=(child, port, request), daemon=True)
    process.start()
    child.close()
    try:
        parent.recv()
        yield parent
    finally:
        parent.close()
        process.join()


def _probe(parent: Connection, port: int, request: bytes) -> None:
    waits = [_time_request(port, request)]
    parent.send(None)
    while not parent.poll(PROBE_INTERVAL_SECONDS):
        waits.append(_time_request(port, request))
    parent.send(waits)


def _time_request(port: int, request: bytes) -> float:
    """Returns the seconds until the whole response has arrived; raises RuntimeError if it is not a 200."""
    started_at = perf_counter()
    with socket.create_connection((LOOPBACK, port)) as connection:
        connection.sendall(request)
        response = b"".join(iter(lambda: connection.recv(65_536), b""))
    if response[9:12] != b"200":
        raise RuntimeError(f"no response: {response[:200]!r}")
    return perf_counter() - started_at


async def _send_request(port: int, request: bytes) -> None:
    """Sends a request over a connection of its own; raises RuntimeError if the response is missing or a 5xx."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        writer.write(request)
        response = await reader.read(-1)
    finally:
        writer.close()
    if response[9:10] not in (b"2", b"4"):
        raise RuntimeError(f"no response: {response[:200]!r}")


def _request(method: str, path: str, bearer: str, body: bytes = b"") -> bytes:
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: {LOOPBACK}\r\nAuthorization: Bearer {bearer}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nIdempotency-Key: {uuid4()}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


BENCH = Bench("fairness", (RATIO,), run)
