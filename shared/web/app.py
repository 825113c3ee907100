"""One FastAPI application per service, all made here: problems, health, metrics, documentation, headers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import asyncpg
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from shared.contracts.asyncapi import document
from shared.contracts.schemas import published
from shared.settings import CONSUMERS, Limits, Settings
from shared.version import VERSION
from shared.web.answering import Answered
from shared.web.body import StrictRoute
from shared.web.documentation import STYLE, page
from shared.web.entity_tags import content_tag
from shared.web.metrics import Measure, exposition, of_inbox
from shared.web.openapi import openapi_document
from shared.web.problem_types import PROBLEMS
from shared.web.problems import install_problems, problem
from shared.web.traffic import Traffic

PUBLIC = "public, no-cache"
"""Cache-Control of documents and files that are nobody's: caches keep them, and ask whether they are the same still."""
Start = Callable[[FastAPI], Any]


def create_service_app(name: str, title: str, start: Start, routers: Sequence[APIRouter], limits: Limits) -> FastAPI:
    """`start(app)` is an asynchronous context that fills `app.state` (at least `pool`, `admit`) while the app lives."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with start(app):
            yield

    app = bare_app(name, lifespan, title, limits)
    measures: list[Measure] = [of_inbox] if name in CONSUMERS else []
    app.state.measures = measures
    for router in (*routers, _about(name)):
        app.router.routes.extend(router.routes)  # as they are: an included router is searched at every request
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign] # FastAPI's documented way
    return app


def bare_app(name: str, lifespan: Callable[[FastAPI], Any], title: str = "", limits: Limits | None = None) -> FastAPI:
    """Without a route: problems, headers and counts. A path with a slash too many is unknown, not sent elsewhere."""
    app = FastAPI(
        title=title or name, version=VERSION, lifespan=lifespan, redirect_slashes=False,
        openapi_url=None, docs_url=None, redoc_url=None,
    )  # fmt: skip
    app.state.service, app.state.limits = name, limits or Limits()
    app.state.traffic = Traffic(app.state.limits)
    app.state.plain_http = False
    install_problems(app)
    app.add_middleware(Answered, service=name)
    return app


def _openapi(app: FastAPI) -> dict[str, Any]:
    if not app.openapi_schema:
        app.openapi_schema = openapi_document(app)
    return app.openapi_schema


def _about(name: str) -> APIRouter:
    about = APIRouter(include_in_schema=False, route_class=StrictRoute)

    @about.get(f"/{name}/openapi.json")
    async def openapi(request: Request) -> Response:
        return published_document(JSONResponse(request.app.openapi()))

    @about.get(f"/{name}/docs")
    async def docs(request: Request) -> Response:
        return published_document(HTMLResponse(page(request.app.openapi(), f"/{name}/docs.css")))

    @about.get(f"/{name}/docs.css")
    async def style() -> Response:
        return published_document(Response(STYLE, media_type="text/css"))

    @about.get("/health/live")
    @about.get(f"/{name}/health/live")
    async def live() -> JSONResponse:
        return JSONResponse({"status": "live"})

    @about.get("/health/ready")
    @about.get(f"/{name}/health/ready")
    async def ready(request: Request) -> Response:
        return await readiness(request.app.state.pool)

    @about.get("/metrics")
    @about.get(f"/{name}/metrics")
    async def metrics(request: Request) -> Response:
        return await exposition([request.app])

    about.routes.extend(published_routes().routes)
    return about


def published_document(response: Response) -> Response:
    """What everybody may read and keep, and asks again for, whether it is the same still."""
    response.headers["Cache-Control"] = PUBLIC
    response.headers["ETag"] = content_tag(bytes(response.body))
    return response


def published_routes() -> APIRouter:
    """What every service answers for all: `/problems`, every problem type there is, and what it means; `/schemas`, what
    `ce_dataschema` names; `/asyncapi.json`, all that is on Kafka."""
    router = APIRouter(include_in_schema=False, route_class=StrictRoute)

    @router.get("/asyncapi.json")
    def asyncapi() -> Response:  # in a thread: it is read from many files the first time
        return published_document(Response(_asyncapi(), media_type="application/json"))

    @router.get("/schemas/{name}")
    async def schema(name: str) -> Response:
        known = _schemas().get(f"schemas/{name}")
        if known is None:
            return problem(
                404, "not-found", "There is no schema of this name. `/asyncapi.json` names those that exist."
            )
        return published_document(Response(known, media_type="application/schema+json"))

    @router.get("/problems")
    async def problems() -> Response:
        return published_document(JSONResponse(_problems()))

    @router.get("/problems/{code}")
    async def one(code: str) -> Response:
        said = _problems().get(code)
        return (
            JSONResponse({"code": code, "means": said})
            if said
            else problem(404, "not-found", "There is no problem type of this code. `/problems` lists them.")
        )

    return router


@cache
def _problems() -> dict[str, str]:
    types: dict[str, str] = json.loads(PROBLEMS.read_text("utf-8"))
    return types


@cache
def _schemas() -> dict[str, str]:
    return published()


@cache
def _asyncapi() -> str:
    return json.dumps(document(VERSION, Settings().kafka_bootstrap))


async def readiness(pool: asyncpg.Pool[Any]) -> Response:
    await pool.fetchval("select 1")
    return JSONResponse({"status": "ready"})
