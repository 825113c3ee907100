"""Whoever is slow, or sends what costs more than it weighs, is ended in time; everybody else is served meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress

import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, Response

from infra.local.ports import free_port
from shared.settings import Limits
from shared.web.app import bare_app
from shared.web.body import BoundedRoute
from shared.web.connection import connection

QUICK = Limits(
    max_header_seconds=0.3, max_body_seconds=0.3, max_idle_seconds=1, max_stall_seconds=0.3, max_connections=12,
    max_connections_per_address=10,
)  # fmt: skip
PATIENCE = 20.0  # seconds, on a machine that does other things too
LARGE = 30 * 1024 * 1024
LIVE = b"GET /live HTTP/1.1\r\nHost: a\r\n\r\n"


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield


def app() -> FastAPI:
    made = bare_app("here", _lifespan, limits=QUICK)
    made.router.route_class = BoundedRoute

    @made.get("/live")
    async def live() -> Response:
        return PlainTextResponse("live")

    @made.get("/large")
    async def large() -> Response:
        return PlainTextResponse("x" * LARGE)

    @made.post("/echo")
    async def echo(request: Request) -> Response:
        return PlainTextResponse(str(len(await request.body())))

    return made


@asynccontextmanager
async def served(limits: Limits = QUICK) -> AsyncIterator[int]:
    port = free_port()
    config = uvicorn.Config(
        app(), "127.0.0.1", port, http=connection(limits), ws="none", log_config=None, access_log=False,  # type: ignore[arg-type]
        timeout_keep_alive=limits.max_idle_seconds, timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    server.capture_signals = nullcontext  # type: ignore[assignment,method-assign] # those of the test run stay
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn tells in no other way
        await asyncio.sleep(0.01)
    try:
        yield port
    finally:
        server.should_exit = True
        await running


async def spoken(port: int, *pieces: bytes, pause: float = 0.0) -> bytes:
    """All that the server says to these bytes until it closes the connection: TimeoutError if it never does."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(pause)
        return await asyncio.wait_for(reader.read(), PATIENCE)
    finally:
        writer.close()


def problem(heard: bytes) -> tuple[int, str]:
    """Status and type of an answer that is a problem document and ends the connection."""
    head, _, body = heard.rpartition(b"\r\n\r\n")
    assert b"connection: close" in head.lower()
    assert b"application/problem+json" in head
    document = json.loads(body)
    assert [f"/problems/{error['code']}" for error in document["errors"]] == [document["type"]]
    return int(heard.split()[1]), document["type"]


POST = b"POST /echo HTTP/1.1\r\nHost: a\r\n"
TOO_SLOW = {
    "half a request line": b"GET /li",
    "half a head": b"GET /live HTTP/1.1\r\nHost: a\r\nX-",
    "a body that stops": POST + b"Content-Length: 10\r\n\r\n1",
    "a body that never comes": POST + b"Content-Length: 10\r\n\r\n",
    "a chunk that stops": POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
    "chunks without an end": POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",
    "half a trailer": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: y\r\n",
}


@pytest.mark.parametrize("what", TOO_SLOW)
async def test_a_request_that_does_not_arrive_in_time_is_ended_with_408(what: str) -> None:
    async with served() as port:
        assert problem(await spoken(port, TOO_SLOW[what])) == (408, "/problems/too-slow")


async def test_a_request_that_comes_byte_by_byte_is_ended_all_the_same() -> None:
    async with served() as port:
        drops = [bytes([byte]) for byte in b"GET /live HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 20]
        try:
            assert problem(await spoken(port, *drops, pause=0.02)) == (408, "/problems/too-slow")
        except ConnectionError:  # what lay unread when the connection was closed cost the answer
            assert await spoken(port, LIVE)


async def test_who_waits_to_be_told_to_go_on_and_sends_nothing_is_ended() -> None:
    async with served() as port:
        heard = await spoken(port, POST + b"Expect: 100-continue\r\nContent-Length: 10\r\n\r\n")
        assert heard.startswith(b"HTTP/1.1 100 ")
        assert b"HTTP/1.1 408 " in heard


async def test_a_body_that_nobody_reads_is_not_waited_for() -> None:
    async with served() as port:
        heard = await spoken(port, b"GET /live HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n1")
        assert heard.startswith(b"HTTP/1.1 200 ")
        assert heard.count(b"HTTP/1.1") == 1


async def test_a_connection_without_a_request_is_closed_without_a_word() -> None:
    async with served() as port:
        assert await spoken(port) == b""
        heard = await spoken(port, LIVE)
        assert heard.count(b"HTTP/1.1 200 ") == 1


async def test_a_second_request_has_its_own_time() -> None:
    async with served() as port:
        heard = await spoken(port, LIVE, LIVE[:-2], LIVE[-2:], LIVE[:9], pause=0.15)
        assert heard.count(b"HTTP/1.1 200 ") == 2
        assert b"HTTP/1.1 408 " in heard


async def test_requests_in_a_row_are_answered_in_turn() -> None:
    async with served() as port:
        heard = await spoken(port, LIVE * 1000)
        assert heard.count(b"HTTP/1.1 200 ") == 1000


async def test_what_costs_more_than_it_weighs_is_refused() -> None:
    async with served() as port:
        tiny = POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 50_000
        assert await refused(port, tiny)
        assert await refused(port, b"GET /live HTTP/1.1\r\n" + b"a:b\r\n" * 50_000)
        assert await refused(port, POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * 50_000)


async def refused(port: int, request: bytes) -> bool:
    """Is it answered by 400? Bytes that lie unread when a connection is closed may cost their sender the answer."""
    try:
        return problem(await spoken(port, request)) == (400, "/problems/malformed")
    except ConnectionError:
        return True


async def test_an_answer_that_nobody_reads_is_given_up() -> None:
    async with served() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.sleep(2.0)
        got = 0
        with suppress(ConnectionError):
            while more := await asyncio.wait_for(reader.read(65536), PATIENCE):
                got += len(more)
        assert got < LARGE
        writer.close()


async def test_an_answer_that_is_read_slowly_is_sent_to_its_end() -> None:
    async with served() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        got = 0
        while more := await reader.read(1024 * 1024):
            got += len(more)
            await asyncio.sleep(0.005)
        assert got > LARGE
        writer.close()


async def test_more_connections_than_an_address_may_have_are_refused_and_counted_down() -> None:
    async with served(QUICK.model_copy(update={"max_header_seconds": 60.0})) as port:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(10)]
        await asyncio.sleep(0.1)
        heard = await spoken(port)
        assert problem(heard) == (429, "/problems/too-many-requests")
        assert b"retry-after: 1" in heard
        for _, writer in held:
            writer.close()
        await asyncio.sleep(0.1)
        assert b"HTTP/1.1 200 " in await spoken(port, LIVE)
