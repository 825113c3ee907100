"""An unknown parameter is refused; the message suggests a similar one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Query
from pydantic import BaseModel

from shared.web.app import create_bare_app
from shared.web.route_classes import StrictRoute, add_routes


class RowFilter(BaseModel):
    local_reference: str | None = None
    site: str | None = None
    state: list[str] | None = None


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    app, routes = create_bare_app("listing", _lifespan), APIRouter(route_class=StrictRoute)

    @routes.get("/rows")
    async def rows(filters: Annotated[RowFilter, Query()]) -> dict[str, Any]:
        return {"site": filters.site, "state": filters.state}

    @routes.get("/plain")
    async def plain() -> str:
        return "plain"

    add_routes(app, routes)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
        yield client


async def test_declared_parameters_are_accepted_and_lists_may_be_repeated(http: httpx.AsyncClient) -> None:
    response = await http.get("/rows?site=rome&state=due&state=overdue")
    assert (response.status_code, response.json()) == (200, {"site": "rome", "state": ["due", "overdue"]})


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("sit=rome", "Probably site was meant."),
        ("localReference=4711", "Probably local_reference was meant."),
        ("local-reference=4711", "Probably local_reference was meant."),
        ("Local_Reference=4711", "Probably local_reference was meant."),
        ("MRN4711", "There is no such parameter here. The parameters are: local_reference, site, state."),
        ("site=rome&site=milan", "site: This parameter is given more than once. Give it once."),
    ],
)
async def test_unknown_parameter_is_refused_and_not_repeated(http: httpx.AsyncClient, query: str, message: str) -> None:
    response = await http.get(f"/rows?{query}")
    (fault,) = response.json()["errors"]
    assert (response.status_code, response.json()["type"], fault["code"]) == (422, "/problems/parameter", "parameter")
    assert message in fault["message"]
    assert "4711" not in response.text


async def test_route_without_parameters_says_so(http: httpx.AsyncClient) -> None:
    response = await http.get("/plain?page=2")
    assert (
        response.json()["errors"][0]["message"] == "There is no such parameter here. No parameters are accepted here."
    )
