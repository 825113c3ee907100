"""`python -m infra.local.web`: the four services on one port, behind the paths that they have when deployed apart.

Here, and only here, the development issuer signs people in: each link of the start page is a role in a study.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import groupby
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from infra.issuer import Issuer
from infra.local.roles import doors
from infra.reference.study import subject
from services.analytics.__main__ import PROCESS as ANALYTICS
from services.analytics.pages.render import Link, local_address
from services.analytics.pages.routes import with_session
from services.enrollment.__main__ import PROCESS as ENROLLMENT
from services.followup.__main__ import PROCESS as FOLLOWUP
from services.toxicity.__main__ import PROCESS as TOXICITY
from shared.kernel.fact import Role
from shared.kernel.ids import SiteId, StudyId
from shared.kernel.refusal import Busy
from shared.observability.logging import configure
from shared.settings import Settings
from shared.web.app import bare_app, published_routes, readiness
from shared.web.metrics import exposition
from shared.web.server import serve

FRONT = "analytics"
"""The service that answers what no service's name begins: the start page and the session."""


OWN = ("health", "metrics", "problems", "schemas", "asyncapi.json")
"""First parts of paths that are of all services together."""


class Web:
    """An ASGI application that hands each request, unchanged, to the service that its path names."""

    def __init__(self, settings: Settings) -> None:
        processes = (ENROLLMENT, TOXICITY, FOLLOWUP, ANALYTICS)
        self.apps: Mapping[str, FastAPI] = {each.name: each.create_app(settings) for each in processes}
        self.streams = [self.apps[FRONT].state.live]
        self._own = _own(self.apps, settings)
        for app in self.apps.values():
            app.state.traffic = self._own.state.traffic  # a caller's share is one of the process
        self.apps[FRONT].state.links = {
            f"{title}: sign in as": [Link(door.way_in, door.role, door.description) for door in of_study]
            for title, of_study in groupby(doors(), lambda door: f"{door.title} ({door.study})")
        }
        self.apps[FRONT].state.notes = {door.study: list(door.notes) for door in doors()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._own(scope, receive, send)
        first = scope["path"].removeprefix("/").partition("/")[0]
        if first in OWN or scope["path"] == "/session/development":
            return await self._own(scope, receive, send)
        return await self.apps.get(first, self.apps[FRONT])(scope, receive, send)


def _own(apps: Mapping[str, FastAPI], settings: Settings) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as entered:
            for app in apps.values():
                await entered.enter_async_context(app.router.lifespan_context(app))
            yield

    own = bare_app("web", lifespan, limits=settings)
    own.state.plain_http = settings.plain_http
    own.include_router(_about(apps))
    own.include_router(_development(settings))
    return own


def _about(apps: Mapping[str, FastAPI]) -> APIRouter:
    about = APIRouter()

    @about.get("/health/live")
    async def live() -> JSONResponse:
        return JSONResponse({"status": "live"})

    @about.get("/health/ready")
    async def ready() -> JSONResponse:
        for app in apps.values():
            await readiness(app.state.pool)
        return JSONResponse({"status": "ready"})

    @about.get("/metrics")
    async def metrics() -> Response:
        return await exposition(apps.values())

    about.include_router(published_routes())
    return about


def _development(settings: Settings) -> APIRouter:
    """Signing in without a password: on a developer's own machine, with keys that were made there."""
    router = APIRouter()

    @router.get("/session/development")
    async def enter(
        request: Request,
        study: Annotated[StudyId, Query()],
        role: Annotated[Role, Query()],
        site: Annotated[SiteId | None, Query()] = None,
        next: Annotated[str, Query(max_length=500)] = "/",  # noqa: A002 - the query's name
    ) -> Response:
        folder = Path(settings.jwks).parent
        if not (folder / "issuer.json").exists():
            raise Busy("This installation has no development issuer. Sign in with a token.")
        token = Issuer.load(folder).token(subject(study, role, site), now=settings.study_clock().now())
        return with_session(request, token, local_address(next))

    return router


def main() -> None:
    settings = Settings()
    configure("web")
    serve(Web(settings), settings)


if __name__ == "__main__":
    main()
