"""HEAD, OPTIONS, conditional reads and compression, for every kind of response."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from starlette.responses import Response

from shared.security.tokens import Caller
from shared.web.app import create_bare_app, published_routes
from shared.web.fact_routes import create_router
from shared.web.route_classes import add_routes

LARGE_CONTENT = {"rows": ["a row of a list"] * 200}


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield


@pytest.fixture
def ended_streams() -> list[str]:
    """The event streams that have ended."""
    return []


@pytest.fixture
async def http(ended_streams: list[str]) -> AsyncIterator[httpx.AsyncClient]:
    async def admit(request: Request) -> None:
        request.state.caller = Caller("somebody")

    app, routes = create_bare_app("answering", _lifespan, authenticate=admit), create_router("/rows")

    @routes.get("")
    async def rows() -> Response:
        return JSONResponse(LARGE_CONTENT)

    @routes.post("")
    async def add_row() -> str:
        return "more"

    @routes.get("/small")
    async def small() -> Response:
        return JSONResponse({})

    @routes.get("/versioned")
    async def versioned() -> Response:
        return JSONResponse(LARGE_CONTENT, headers={"ETag": '"3"'})

    @routes.get("/sealed")
    async def sealed() -> Response:
        return JSONResponse(LARGE_CONTENT, headers={"Cache-Control": "private, no-cache, no-transform"})

    @routes.get("/stream")
    async def stream() -> Response:
        return StreamingResponse(endless_pings(ended_streams), media_type="text/event-stream")

    @routes.get("/file")
    async def file() -> Response:
        return FileResponse(__file__, media_type="text/css", headers={"Cache-Control": "public, no-cache"})

    add_routes(app, routes, published_routes())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
        yield client


async def endless_pings(ended_streams: list[str]) -> AsyncIterator[bytes]:
    try:
        while True:
            yield b": ping\n\n"
            await asyncio.sleep(0.01)
    finally:
        ended_streams.append("pings")


@pytest.mark.parametrize("path", ["/rows", "/rows/small", "/rows/versioned", "/problems", "/nowhere"])
async def test_head_has_the_headers_of_get_without_content(http: httpx.AsyncClient, path: str) -> None:
    whole, head = await http.get(path), await http.head(path)
    assert (head.status_code, head.content) == (whole.status_code, b"")
    assert dict(head.headers) == dict(whole.headers)


async def test_head_of_an_event_stream_ends_it(http: httpx.AsyncClient, ended_streams: list[str]) -> None:
    response = await asyncio.wait_for(http.head("/rows/stream"), 5)
    assert (response.status_code, response.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert ended_streams == ["pings"]


async def test_options_and_405_list_every_method_of_the_path(http: httpx.AsyncClient) -> None:
    options, refused, head = await http.options("/rows"), await http.delete("/rows"), await http.options("/rows/small")
    assert (options.status_code, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS, POST")
    assert refused.json()["errors"][0]["code"] == "method-not-allowed"
    assert head.headers["allow"] == "GET, HEAD, OPTIONS"
    assert (await http.options("/nowhere")).status_code == 404


@pytest.mark.parametrize("path", ["/rows", "/rows/small", "/rows/versioned", "/rows/sealed", "/problems"])
async def test_cached_response_is_not_sent_again(http: httpx.AsyncClient, path: str) -> None:
    first = await http.get(path, headers={"Accept-Encoding": "identity"})
    tag = first.headers["etag"]
    assert "no-store" not in first.headers["cache-control"]
    assert "no-cache" in first.headers["cache-control"]
    for cached_tag in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        for method in ("GET", "HEAD"):
            again = await http.request(
                method, path, headers={"If-None-Match": cached_tag, "Accept-Encoding": "identity"}
            )
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
            assert again.headers["cache-control"] == first.headers["cache-control"]
    assert (await http.get(path, headers={"If-None-Match": '"other"'})).status_code == 200


@pytest.mark.parametrize("path", ["/rows", "/rows/versioned", "/rows/sealed"])
async def test_browser_stores_nothing_that_a_session_reads(http: httpx.AsyncClient, path: str) -> None:
    session, token = {"Cookie": "quartal-session-8000=a"}, {"Authorization": "Bearer a"}
    of_program, of_both = await http.get(path, headers=token), await http.get(path, headers=token | session)
    of_session = await http.get(path, headers=session)
    assert of_session.headers["cache-control"] in ("no-store", "no-store, no-transform")
    assert ("no-transform" in of_session.headers["cache-control"]) == (path == "/rows/sealed")
    for response in (of_program, of_both):
        assert response.headers["cache-control"].startswith("private, no-cache")
        assert response.headers["etag"] == of_session.headers["etag"]
    public = await http.get("/problems", headers=session)
    assert public.headers["cache-control"] == "public, no-cache"


async def test_large_response_is_compressed_and_keeps_its_etag(http: httpx.AsyncClient) -> None:
    plain = await http.get("/rows/versioned", headers={"Accept-Encoding": "gzip;q=0"})
    async with http.stream("GET", "/rows/versioned", headers={"Accept-Encoding": "br, gzip"}) as packed:
        raw = b"".join([piece async for piece in packed.aiter_raw()])
    assert gzip.decompress(raw) == plain.content
    assert (packed.headers["content-encoding"], packed.headers["content-length"]) == ("gzip", str(len(raw)))
    assert plain.headers["etag"] == packed.headers["etag"] == '"3"'
    assert plain.headers["vary"] == packed.headers["vary"] == "Accept-Encoding"
    again = await http.get("/rows/versioned", headers={"If-None-Match": 'W/"3"'})
    assert (again.status_code, again.headers["etag"], again.headers["vary"]) == (304, '"3"', "Accept-Encoding")


async def test_compressed_file_has_a_weak_etag(http: httpx.AsyncClient) -> None:
    plain = await http.get("/rows/file", headers={"Accept-Encoding": "identity"})
    packed = await http.get("/rows/file", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert (packed.content, packed.headers["etag"]) == (plain.content, f"W/{plain.headers['etag']}")
    part = await http.get("/rows/file", headers={"Range": "bytes=0-9", "If-Range": packed.headers["etag"]})
    assert part.status_code == 200
    again = await http.get("/rows/file", headers={"If-None-Match": packed.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/rows/small", {}),
        ("/rows/sealed", {}),
        ("/rows", {"Cookie": "__Host-quartal-session=a"}),
        ("/rows", {"Accept-Encoding": "identity"}),
        ("/rows", {"Accept-Encoding": "gzip;q=0.0, *"}),
    ],
)
async def test_small_and_sensitive_responses_are_not_compressed(
    http: httpx.AsyncClient, path: str, headers: dict[str, str]
) -> None:
    response = await http.get(path, headers={"Accept-Encoding": "gzip", **headers})
    assert "content-encoding" not in response.headers


async def test_public_documents_are_compressed_despite_a_cookie(http: httpx.AsyncClient) -> None:
    response = await http.get("/problems", headers={"Cookie": "__Host-quartal-session=a", "Accept-Encoding": "gzip"})
    assert response.headers["content-encoding"] == "gzip"
    assert response.headers["cache-control"] == "public, no-cache"
