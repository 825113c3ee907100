"""A dry run with a misspelled parameter is refused, and records nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI, Request

from shared.security.tokens import Caller
from shared.web.app import create_bare_app
from shared.web.fact_recording import DryRun
from shared.web.fact_routes import create_router


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield


async def post_with_query(query: str) -> httpx.Response:
    """Returns the response of an app with one route, which tells whether the request was a dry run."""

    async def admit(request: Request) -> None:
        request.state.caller = Caller("somebody")

    app, routes = create_bare_app("stating", _lifespan, authenticate=admit), create_router("/stating")

    @routes.post("")
    async def state(content: dict[str, str], dry_run: DryRun = False) -> bool:
        return dry_run

    app.include_router(routes)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as http:
        return await http.post(f"/stating{query}", json={})


@pytest.mark.parametrize(("query", "dry"), [("", False), ("?dry_run=true", True), ("?dry_run=0", False)])
async def test_dry_run_parameter_is_passed_to_the_route(query: str, dry: bool) -> None:
    response = await post_with_query(query)
    assert (response.status_code, response.json()) == (200, dry)


@pytest.mark.parametrize("query", ["?dryrun=true", "?dry-run=true", "?dry_run=true&dry_run=false", "?dry_run=true&x=1"])
async def test_misspelled_dry_run_parameter_is_refused(query: str) -> None:
    response = await post_with_query(query)
    assert (response.status_code, response.json()["type"]) == (422, "/problems/parameter")
    assert "x=1" not in response.text
