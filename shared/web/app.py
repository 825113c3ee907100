"""The FastAPI application of each service: its routes, problems, health, metrics, documentation and headers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from typing import Any

import asyncpg
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from shared.contracts.asyncapi import asyncapi_document
from shared.contracts.json_schemas import load_published_schemas
from shared.contracts.problem_types import PROBLEMS
from shared.settings import Limits, Settings
from shared.version import VERSION
from shared.web.api_reference_page import STYLE, render_page
from shared.web.authentication import SESSION, SessionTokens, authentication, session_verifier
from shared.web.container import (
    AppContainer,
    Authenticate,
    OpenResources,
    Resources,
    Streams,
    container_of,
    get_container,
    refuse_everyone,
)
from shared.web.cookies import Cookies
from shared.web.entity_tags import content_tag
from shared.web.metrics import metrics_response
from shared.web.middleware import ResponseMiddleware
from shared.web.openapi import openapi_document
from shared.web.problems import install_problems, problem_response
from shared.web.route_classes import StrictRoute, add_routes
from shared.web.traffic import Traffic

PUBLIC_CACHE_CONTROL = "public, no-cache"
"""Cache-Control of public documents and files: caches store them, and revalidate them before each use."""
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_service_app(
    name: str,
    open_resources: OpenResources,
    routers: Sequence[APIRouter],
    settings: Settings,
    *,
    traffic: Traffic | None = None,
    streams: Sequence[Streams] = (),
    takes_session: bool = False,
    forms_only: bool = False,
) -> FastAPI:
    """Creates the application of a service, whose resources are open while it lives.

    `traffic` is given if several applications of one process count requests together. `streams` end when the server
    stops. With `takes_session`, pages may be read with the token in the cookie of the session; with `forms_only`, no
    page and no document but the forms.
    """
    cookies = Cookies(settings.plain_http, settings.port)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        container = container_of(app)
        async with open_resources() as container.resources:
            verifier = container.resources.verifier
            session = SessionTokens(cookies.name(SESSION), session_verifier(settings, verifier))
            container.authenticate = authentication(
                name, verifier, session=session if takes_session else None, forms_only=forms_only
            )
            yield

    app = create_bare_app(
        name,
        lifespan,
        f"Quartal {name}",
        limits=settings,
        traffic=traffic,
        streams=streams,
        cookies=cookies,
    )
    add_routes(app, *routers, _common_routes(name))
    return app


class _DescribedApp(FastAPI):
    """An application whose OpenAPI document is the one that Quartal composes."""

    def openapi(self) -> dict[str, Any]:
        if not self.openapi_schema:
            self.openapi_schema = openapi_document(self)
        return self.openapi_schema


def create_bare_app(
    name: str,
    lifespan: Lifespan,
    title: str = "",
    *,
    limits: Limits | None = None,
    traffic: Traffic | None = None,
    streams: Sequence[Streams] = (),
    cookies: Cookies | None = None,
    authenticate: Authenticate = refuse_everyone,
) -> FastAPI:
    """Creates an app without routes, with problems, headers and counts. A superfluous slash is a 404, no redirect."""
    app = _DescribedApp(
        title=title or name,
        version=VERSION,
        lifespan=lifespan,
        redirect_slashes=False,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )
    limits = limits or Limits()
    app.state.container = AppContainer(
        service=name,
        limits=limits,
        traffic=traffic or Traffic(limits),
        cookies=cookies or Cookies(),
        streams=streams,
        authenticate=authenticate,
    )
    install_problems(app)
    app.add_middleware(ResponseMiddleware, service=name)
    return app


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
        return await ready_response(get_container(request).get_resources(Resources).pool)

    @routes.get("/metrics")
    @routes.get(f"/{name}/metrics")
    async def metrics(request: Request) -> Response:
        return await metrics_response({name: get_container(request).get_resources(Resources).metrics_collectors})

    add_routes(routes, published_routes())
    return routes


def published_document(response: Response) -> Response:
    """Makes the response public, to be stored by caches and revalidated by its tag."""
    response.headers["Cache-Control"] = PUBLIC_CACHE_CONTROL
    response.headers["ETag"] = content_tag(bytes(response.body))
    return response


def published_routes() -> APIRouter:
    """Returns the routes that are the same in every service.

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
    """Returns 200 if the database answers; its errors become 503."""
    await pool.fetchval("select 1")
    return JSONResponse({"status": "ready"})
