"""A caller with too many concurrent requests is refused, and the others are served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import httpx
from fastapi import Body, FastAPI, Request

from shared.kernel.errors import Forbidden
from shared.security.tokens import Caller
from shared.settings import Limits
from shared.web.app import create_bare_app
from shared.web.container import container_of
from shared.web.entitlement import require_entitlement
from shared.web.fact_routes import create_router


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield


LIMITS = Limits(max_requests_per_caller=5, max_turns_per_caller=3)


def slow_app(entered: asyncio.Semaphore, finish: asyncio.Event) -> FastAPI:
    async def admit(request: Request) -> None:
        request.state.caller = Caller(request.headers["caller"])

    app, routes = create_bare_app("slow", _lifespan, limits=LIMITS, authenticate=admit), create_router("/slow")

    @routes.get("")
    async def slow() -> str:
        entered.release()
        await finish.wait()
        return "done"

    app.include_router(routes)
    return app


async def test_requests_above_the_limit_per_caller_get_429_with_retry_after() -> None:
    entered, finish = asyncio.Semaphore(0), asyncio.Event()
    app = slow_app(entered, finish)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as http:
        under_way = [asyncio.create_task(http.get("/slow", headers={"caller": "wild"})) for _ in range(5)]
        for _ in range(3):
            await entered.acquire()
        refused = await http.get("/slow", headers={"caller": "wild"})
        other = asyncio.create_task(http.get("/slow", headers={"caller": "calm"}))
        await entered.acquire()
        assert entered.locked(), "of one caller's requests, so many are worked on at once, and the others wait"
        finish.set()
        served = [response.status_code for response in await asyncio.gather(other, *under_way)]
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert refused.json()["title"].startswith("You have 5 requests under way")
    assert (set(served), container_of(app).traffic.requests.total()) == ({200}, 0)


async def test_concurrent_entitlement_checks_per_caller_are_limited() -> None:
    """A request whose caller has no grant yet may wait for one, and polls the database meanwhile."""
    entered, finish = asyncio.Semaphore(0), asyncio.Event()

    async def check(_: Request) -> None:
        entered.release()
        await finish.wait()
        raise Forbidden

    app, routes = slow_app(asyncio.Semaphore(0), finish), create_router("/closed")

    @routes.post("")
    @require_entitlement(check)
    async def closed() -> str:
        return "stated"

    app.include_router(routes)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as http:
        under_way = [asyncio.create_task(http.post("/closed", headers={"caller": "wild"})) for _ in range(5)]
        for _ in range(3):
            await entered.acquire()
        other = asyncio.create_task(http.post("/closed", headers={"caller": "calm"}))
        await entered.acquire()
        assert entered.locked(), "the caller's other two wait for their turn"
        finish.set()
        responses = await asyncio.gather(other, *under_way)
    assert {response.status_code for response in responses} == {403}


async def test_at_most_two_large_bodies_per_caller_are_received_at_once() -> None:
    """The event loop receives a large body in many pieces: many bodies at once would keep it from other callers."""
    receiving, finish = asyncio.Semaphore(0), asyncio.Event()
    app, routes = slow_app(asyncio.Semaphore(0), finish), create_router("/texts")

    @routes.post("")
    async def text(body: Annotated[str, Body()]) -> str:
        return "done" if body else ""

    async def large_body() -> AsyncIterator[bytes]:
        receiving.release()
        yield b'"' + b"a" * 100_000
        await finish.wait()
        yield b'"'

    app.include_router(routes)
    json = {"caller": "wild", "content-type": "application/json"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as http:
        under_way = [asyncio.create_task(http.post("/texts", headers=json, content=large_body())) for _ in range(4)]
        for _ in range(2):
            await receiving.acquire()
        other = asyncio.create_task(http.post("/texts", headers=json | {"caller": "calm"}, content=large_body()))
        await receiving.acquire()
        beside = await http.post("/texts", headers=json, content=b'"a"')
        assert receiving.locked(), "the caller's other two wait"
        finish.set()
        responses = await asyncio.gather(other, *under_way)
    assert {response.status_code for response in responses} == {beside.status_code} == {200}
