"""Creates the FastAPI application of a service, with problems, health, metrics, documentation and headers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import asyncpg
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from shared.contracts.asyncapi import asyncapi_document
from shared.contracts.json_schemas import load_published_schemas
from shared.contracts.problem_types import PROBLEMS
from shared.settings import CONSUMERS, Limits, Settings
from shared.version import VERSION
from shared.web.api_reference_page import STYLE, render_page
from shared.web.entity_tags import content_tag
from shared.web.metrics import MetricsCollector, inbox_metrics, metrics_response
from shared.web.middleware import ResponseMiddleware
from shared.web.openapi import openapi_document
from shared.web.problems import install_problems, problem_response
from shared.web.route_classes import StrictRoute
from shared.web.traffic import Traffic

PUBLIC_CACHE_CONTROL = "public, no-cache"
"""Cache-Control of public documents and files: caches store them, and revalidate them before each use."""
LifespanFactory = Callable[[FastAPI], Any]
"""Returns the asynchronous context in which an app lives."""


def create_service_app(
    name: str, title: str, open_app: LifespanFactory, routers: Sequence[APIRouter], limits: Limits
) -> FastAPI:
    """Create the app of a service. `open_app(app)` fills `app.state`, at least with `pool` and `admit`."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_app(app):
            yield

    app = create_bare_app(name, lifespan, title, limits)
    collectors: list[MetricsCollector] = [inbox_metrics] if name in CONSUMERS else []
    app.state.measures = collectors
    for router in (*routers, _common_routes(name)):
        app.router.routes.extend(router.routes)  # a flat list: an included router would be searched at every request
    app.openapi = lambda: _cached_openapi(app)  # type: ignore[method-assign] # FastAPI's documented way
    return app


def create_bare_app(
    name: str, lifespan: Callable[[FastAPI], Any], title: str = "", limits: Limits | None = None
) -> FastAPI:
    """Create an app without routes, with problems, headers and counts. A superfluous slash is a 404, no redirect."""
    app = FastAPI(
        title=title or name,
        version=VERSION,
        lifespan=lifespan,
        redirect_slashes=False,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )
    app.state.service, app.state.limits = name, limits or Limits()
    app.state.traffic = Traffic(app.state.limits)
    app.state.plain_http = False
    install_problems(app)
    app.add_middleware(ResponseMiddleware, service=name)
    return app


def _cached_openapi(app: FastAPI) -> dict[str, Any]:
    if not app.openapi_schema:
        app.openapi_schema = openapi_document(app)
    return app.openapi_schema


def _common_routes(name: str) -> APIRouter:
    routes = APIRouter(include_in_schema=False, route_class=StrictRoute)

    @routes.get(f"/{name}/openapi.json")
    async def openapi(request: Request) -> Response:
        return published_document(JSONResponse(request.app.openapi()))

    @routes.get(f"/{name}/docs")
    async def docs(request: Request) -> Response:
        return published_document(HTMLResponse(render_page(request.app.openapi(), f"/{name}/docs.css")))

    @routes.get(f"/{name}/docs.css")
    async def style() -> Response:
        return published_document(Response(STYLE, media_type="text/css"))

    @routes.get("/health/live")
    @routes.get(f"/{name}/health/live")
    async def live() -> JSONResponse:
        return JSONResponse({"status": "live"})

    @routes.get("/health/ready")
    @routes.get(f"/{name}/health/ready")
    async def ready(request: Request) -> Response:
        return await ready_response(request.app.state.pool)

    @routes.get("/metrics")
    @routes.get(f"/{name}/metrics")
    async def metrics(request: Request) -> Response:
        return await metrics_response([request.app])

    routes.routes.extend(published_routes().routes)
    return routes


def published_document(response: Response) -> Response:
    """Make the response public, to be stored by caches and revalidated by its tag."""
    response.headers["Cache-Control"] = PUBLIC_CACHE_CONTROL
    response.headers["ETag"] = content_tag(bytes(response.body))
    return response


def published_routes() -> APIRouter:
    """Return the routes that are the same in every service.

    `/problems` lists the problem types, `/schemas` has the schemas that `ce_dataschema` names, `/asyncapi.json`
    describes the topics on Kafka.
    """
    router = APIRouter(include_in_schema=False, route_class=StrictRoute)

    @router.get("/asyncapi.json")
    def asyncapi() -> Response:  # in a thread: the first call reads many files
        return published_document(Response(_asyncapi_json(), media_type="application/json"))

    @router.get("/schemas/{name}")
    async def schema(name: str) -> Response:
        text = _published_schemas().get(f"schemas/{name}")
        if text is None:
            return problem_response(
                404, "not-found", "There is no schema of this name. `/asyncapi.json` names those that exist."
            )
        return published_document(Response(text, media_type="application/schema+json"))

    @router.get("/problems")
    async def problems() -> Response:
        return published_document(JSONResponse(_problem_meanings()))

    @router.get("/problems/{code}")
    async def problem_type(code: str) -> Response:
        meaning = _problem_meanings().get(code)
        return (
            JSONResponse({"code": code, "means": meaning})
            if meaning
            else problem_response(404, "not-found", "There is no problem type of this code. `/problems` lists them.")
        )

    return router


@cache
def _problem_meanings() -> dict[str, str]:
    types: dict[str, str] = json.loads(PROBLEMS.read_text("utf-8"))
    return types


@cache
def _published_schemas() -> dict[str, str]:
    return load_published_schemas()


@cache
def _asyncapi_json() -> str:
    return json.dumps(asyncapi_document(VERSION, Settings().kafka_bootstrap))


async def ready_response(pool: asyncpg.Pool[Any]) -> Response:
    """Return 200 if the database answers; its errors become 503."""
    await pool.fetchval("select 1")
    return JSONResponse({"status": "ready"})
