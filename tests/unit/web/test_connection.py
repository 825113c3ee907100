"""Slow clients and expensive bodies are cut off in time, and other clients are served meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, Response, StreamingResponse

from infra.local.ports import free_port
from shared.settings import Limits
from shared.web.app import create_bare_app
from shared.web.connection import WRITE_PIECE, connection_class
from shared.web.route_classes import BoundedRoute
from tests.polling import wait_until

SHORT_LIMITS = Limits(
    max_header_seconds=0.3,
    max_body_seconds=0.3,
    max_idle_seconds=1,
    max_stall_seconds=0.3,
    max_connections=12,
    max_connections_per_address=10,
)
IMPATIENT_LIMITS = SHORT_LIMITS.model_copy(update={"max_body_seconds": 0.05, "max_stall_seconds": 0.05})
"""Limits for clients that send or read nothing more: they exceed these however slow the machine is."""
PATIENT_LIMITS = Limits()
TIMEOUT_SECONDS = 20.0  # on a machine that does other things too
LARGE_BYTES = 30 * 1024 * 1024
LIVE_REQUEST = b"GET /live HTTP/1.1\r\nHost: a\r\n\r\n"
CLOSING_REQUEST = b"GET /live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield


def create_app() -> FastAPI:
    application = create_bare_app("here", _lifespan, limits=SHORT_LIMITS)
    application.router.route_class = BoundedRoute

    @application.get("/live")
    async def live() -> Response:
        return PlainTextResponse("live")

    @application.get("/large")
    async def large() -> Response:
        return PlainTextResponse("x" * LARGE_BYTES)

    @application.get("/stream")
    async def stream(request: Request) -> Response:
        write_piece = request.scope["extensions"][WRITE_PIECE]["write"]

        async def pieces() -> AsyncIterator[bytes]:
            assert not write_piece(b"before the response")
            yield b"begun"
            if write_piece(b"without a wait"):
                while write_piece(b"x" * 100_000):
                    pass
                yield b"when the client has read"

        return StreamingResponse(pieces())

    @application.post("/echo")
    async def echo(request: Request) -> Response:
        return PlainTextResponse(str(len(await request.body())))

    return application


@dataclass(frozen=True)
class RunningServer:
    port: int
    server: uvicorn.Server

    @property
    def open_connections(self) -> int:
        return len(self.server.server_state.connections)


class _ServerOfTest(uvicorn.Server):
    """Leaves signals to the process of the tests."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@asynccontextmanager
async def run_server(limits: Limits) -> AsyncIterator[RunningServer]:
    port = free_port()
    config = uvicorn.Config(
        create_app(),
        "127.0.0.1",
        port,
        http=connection_class(limits),
        ws="none",
        log_config=None,
        access_log=False,
        timeout_keep_alive=limits.max_idle_seconds,
        timeout_graceful_shutdown=1,
    )
    server = _ServerOfTest(config)
    running = asyncio.create_task(server.serve())

    async def has_started() -> bool:
        return server.started

    await wait_until(has_started)
    try:
        yield RunningServer(port, server)
    finally:
        server.should_exit = True
        await running


@pytest.fixture(scope="module")
async def port() -> AsyncIterator[int]:
    """Port of a server with short limits."""
    async with run_server(SHORT_LIMITS) as running:
        yield running.port


@pytest.fixture(scope="module")
async def impatient_server() -> AsyncIterator[RunningServer]:
    async with run_server(IMPATIENT_LIMITS) as running:
        yield running


@pytest.fixture(scope="module")
async def patient_port() -> AsyncIterator[int]:
    """Port of a server with the limits of production."""
    async with run_server(PATIENT_LIMITS) as running:
        yield running.port


async def wait_for_connections(running: RunningServer, count: int) -> None:
    """Waits until the server has so many connections: TimeoutError if it never has."""

    async def has_so_many() -> bool:
        return running.open_connections == count

    await wait_until(has_so_many, TIMEOUT_SECONDS, pause_seconds=0.005)


async def exchange(port: int, *pieces: bytes, pause: float = 0.0) -> bytes:
    """Returns all that the server sends until it closes the connection. Raises TimeoutError if it never does."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(pause)
        return await asyncio.wait_for(reader.read(), TIMEOUT_SECONDS)
    finally:
        writer.close()


def parse_problem(response: bytes) -> tuple[int, str]:
    """Returns status and type of a response that is a problem document and closes the connection."""
    head, _, body = response.rpartition(b"\r\n\r\n")
    assert b"connection: close" in head.lower()
    assert b"application/problem+json" in head
    document = json.loads(body)
    assert [f"/problems/{error['code']}" for error in document["errors"]] == [document["type"]]
    return int(response.split()[1]), document["type"]


POST_HEAD = b"POST /echo HTTP/1.1\r\nHost: a\r\n"
INCOMPLETE_HEADERS = {
    "half a request line": b"GET /li",
    "half a head": b"GET /live HTTP/1.1\r\nHost: a\r\nX-",
}
INCOMPLETE_BODIES = {
    "a body that stops": POST_HEAD + b"Content-Length: 10\r\n\r\n1",
    "a body that never comes": POST_HEAD + b"Content-Length: 10\r\n\r\n",
    "a chunk that stops": POST_HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
    "chunks without an end": POST_HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",
    "half a trailer": POST_HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: y\r\n",
}


@pytest.mark.parametrize("case", INCOMPLETE_HEADERS)
async def test_incomplete_headers_are_answered_408_after_the_time_limit(port: int, case: str) -> None:
    assert parse_problem(await exchange(port, INCOMPLETE_HEADERS[case])) == (408, "/problems/too-slow")


@pytest.mark.parametrize("case", INCOMPLETE_BODIES)
async def test_incomplete_body_is_answered_408_after_the_time_limit(impatient_server: RunningServer, case: str) -> None:
    response = await exchange(impatient_server.port, INCOMPLETE_BODIES[case])
    assert parse_problem(response) == (408, "/problems/too-slow")


async def test_request_sent_byte_by_byte_is_answered_408(port: int) -> None:
    headers, pause = b"GET /live HTTP/1.1\r\nHost: a\r\n", 0.02
    assert len(headers) * pause > SHORT_LIMITS.max_header_seconds
    try:
        response = await exchange(port, *(bytes([byte]) for byte in headers), pause=pause)
        assert parse_problem(response) == (408, "/problems/too-slow")
    except ConnectionError:  # bytes that lay unread when the connection was closed cost the response
        assert await exchange(port, CLOSING_REQUEST)


async def test_client_that_sends_nothing_after_100_continue_gets_408(impatient_server: RunningServer) -> None:
    request = POST_HEAD + b"Expect: 100-continue\r\nContent-Length: 10\r\n\r\n"
    response = await exchange(impatient_server.port, request)
    assert response.startswith(b"HTTP/1.1 100 ")
    assert b"HTTP/1.1 408 " in response


async def test_unread_request_body_is_not_awaited(port: int) -> None:
    response = await exchange(port, b"GET /live HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n1")
    assert response.startswith(b"HTTP/1.1 200 ")
    assert response.count(b"HTTP/1.1") == 1


async def test_idle_connection_is_closed_silently(port: int) -> None:
    assert await exchange(port) == b""
    response = await exchange(port, LIVE_REQUEST)
    assert response.count(b"HTTP/1.1 200 ") == 1


async def test_each_request_of_a_connection_has_its_own_time_limit(port: int) -> None:
    pieces = (LIVE_REQUEST, LIVE_REQUEST[:-2], LIVE_REQUEST[-2:], LIVE_REQUEST[:9])
    response = await exchange(port, *pieces, pause=0.15)
    assert response.count(b"HTTP/1.1 200 ") == 2
    assert b"HTTP/1.1 408 " in response


async def test_pipelined_requests_are_answered_in_order(patient_port: int) -> None:
    response = await exchange(patient_port, LIVE_REQUEST * 999 + CLOSING_REQUEST)
    assert response.count(b"HTTP/1.1 200 ") == 1000


async def test_tiny_chunks_and_too_many_headers_are_refused(patient_port: int) -> None:
    chunked = POST_HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    assert await is_refused_with_400(patient_port, chunked + b"1\r\na\r\n" * 50_000)
    assert await is_refused_with_400(patient_port, b"GET /live HTTP/1.1\r\n" + b"a:b\r\n" * 50_000)
    assert await is_refused_with_400(patient_port, chunked + b"0\r\n" + b"a: b\r\n" * 50_000)


async def is_refused_with_400(port: int, request: bytes) -> bool:
    """Returns whether the response is 400. Unread bytes at the close may cost the sender the response."""
    try:
        return parse_problem(await exchange(port, request)) == (400, "/problems/malformed")
    except ConnectionError:
        return True


async def test_response_that_is_not_read_is_aborted(impatient_server: RunningServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", impatient_server.port, limit=1024)
    writer.write(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
    await wait_for_connections(impatient_server, 1)
    await wait_for_connections(impatient_server, 0)
    received_bytes = 0
    with suppress(ConnectionError):
        while chunk := await asyncio.wait_for(reader.read(65536), TIMEOUT_SECONDS):
            received_bytes += len(chunk)
    assert received_bytes < LARGE_BYTES
    writer.close()


async def test_slowly_read_response_is_sent_completely(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    received_bytes = 0
    while chunk := await reader.read(1024 * 1024):
        received_bytes += len(chunk)
        await asyncio.sleep(0.005)
    assert received_bytes > LARGE_BYTES
    writer.close()


async def test_connections_above_the_limit_per_address_get_429() -> None:
    limits = SHORT_LIMITS.model_copy(update={"max_header_seconds": PATIENT_LIMITS.max_header_seconds})
    async with run_server(limits) as running:
        connections = [await asyncio.open_connection("127.0.0.1", running.port) for _ in range(10)]
        await wait_for_connections(running, 10)
        response = await exchange(running.port)
        assert parse_problem(response) == (429, "/problems/too-many-requests")
        assert b"retry-after: 1" in response
        for _, writer in connections:
            writer.close()
        await wait_for_connections(running, 0)
        assert b"HTTP/1.1 200 " in await exchange(running.port, CLOSING_REQUEST)


async def test_piece_of_a_stream_is_written_without_a_wait_while_the_client_reads(patient_port: int) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{patient_port}", trust_env=False) as http:
        body = (await http.get("/stream")).content
    assert body.startswith(b"begunwithout a waitxxx")
    assert body.strip(b"x").endswith(b"xwhen the client has read")


async def test_stream_of_a_client_without_chunks_is_only_written_by_its_response(patient_port: int) -> None:
    answer = await exchange(patient_port, b"GET /stream HTTP/1.0\r\nHost: a\r\n\r\n")
    assert answer.endswith(b"\r\n\r\nbegun")
