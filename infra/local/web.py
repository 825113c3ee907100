"""`python -m infra.local.web`: the four services on one port, behind the paths that they have when deployed apart.

Here, and only here, the development issuer signs people in: each link of the start page is a role in a study. A page
of any site could point a name of its own at 127.0.0.1 (DNS rebinding) and would then be "the same origin" for the
browser; therefore nothing is answered but under the loopback names and the port that this server was started on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_address
from itertools import groupby
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response
from starlette.datastructures import Headers
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
from shared.kernel.refusal import NotConfirmed, NotFound, WrongHost
from shared.observability.logging import configure
from shared.outbox.confirmation import is_confirmed
from shared.settings import PRODUCERS, Settings
from shared.web.answering import Answered
from shared.web.app import bare_app, published_routes, readiness
from shared.web.body import StrictRoute
from shared.web.metrics import exposition
from shared.web.problems import of_refusal
from shared.web.same_origin import require_own_navigation
from shared.web.server import serve

FRONT = "analytics"
"""The service that answers what no service's name begins: the start page and the session."""

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
HTTP_PORT = 80
"""A browser leaves it out of `Host`."""
OWN = ("health", "metrics", "problems", "schemas", "asyncapi.json")
"""First parts of paths that are of all services together."""


class Web:
    """An ASGI application that hands each request, unchanged, to the service that its path names."""

    def __init__(self, settings: Settings) -> None:
        processes = (ENROLLMENT, TOXICITY, FOLLOWUP, ANALYTICS)
        self.apps: Mapping[str, FastAPI] = {each.name: each.create_app(settings) for each in processes}
        self.streams = [self.apps[FRONT].state.live]
        self.own = _own(self.apps, settings)
        self._misdirected = Answered(of_refusal(WrongHost()), "web")
        self._hosts = own_hosts(settings.port) if issuer_folder(settings) else None
        for app in self.apps.values():
            app.state.traffic = self.own.state.traffic  # a caller's share is one of the process
        self.apps[FRONT].state.links = {
            f"{title}: sign in as": [Link(door.way_in, door.role, door.description) for door in of_study]
            for title, of_study in groupby(doors(), lambda door: f"{door.title} ({door.study})")
        }
        self.apps[FRONT].state.notes = {door.study: list(door.notes) for door in doors()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.own(scope, receive, send)
        if self._hosts is not None and Headers(scope=scope).get("host", "").lower() not in self._hosts:
            return await self._misdirected(scope, receive, send)
        first = scope["path"].removeprefix("/").partition("/")[0]
        if first in OWN or scope["path"] == "/session/development":
            return await self.own(scope, receive, send)
        return await self.apps.get(first, self.apps[FRONT])(scope, receive, send)


def own_hosts(port: int) -> frozenset[str]:
    """The values of `Host` by which a browser on this machine asks for this server."""
    with_port = {f"{name}:{port}" for name in LOOPBACK_NAMES}
    return frozenset(with_port | set(LOOPBACK_NAMES) if port == HTTP_PORT else with_port)


def issuer_folder(settings: Settings) -> Path | None:
    """The folder of the development issuer; None where tokens come from another one."""
    folder = Path(settings.jwks).parent
    return folder if settings.jwks and (folder / "issuer.json").exists() else None


def _own(apps: Mapping[str, FastAPI], settings: Settings) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as entered:
            for app in apps.values():
                await entered.enter_async_context(app.router.lifespan_context(app))
            yield

    own = bare_app("web", lifespan, limits=settings)
    own.state.plain_http = settings.plain_http
    own.router.routes.extend(_about(apps).routes)
    if folder := issuer_folder(settings):
        own.router.routes.extend(_development(settings, folder).routes)
    return own


def _about(apps: Mapping[str, FastAPI]) -> APIRouter:
    about = APIRouter(route_class=StrictRoute)

    @about.get("/health/live")
    async def live() -> JSONResponse:
        return JSONResponse({"status": "live"})

    @about.get("/health/ready")
    async def ready() -> JSONResponse:
        for name, app in apps.items():
            await readiness(app.state.pool)
            if name in PRODUCERS and not await is_confirmed(app.state.pool):
                raise NotConfirmed
        return JSONResponse({"status": "ready"})

    @about.get("/metrics")
    async def metrics() -> Response:
        return await exposition(apps.values())

    about.routes.extend(published_routes().routes)
    return about


def _development(settings: Settings, folder: Path) -> APIRouter:
    """Sign-in without a password: on a developer's own machine, with the keys in `folder`, which were made there."""
    router = APIRouter(include_in_schema=False, route_class=StrictRoute)

    @router.get("/session/development")
    async def enter(
        request: Request,
        study: Annotated[StudyId, Query()],
        role: Annotated[Role, Query()],
        site: Annotated[SiteId | None, Query()] = None,
        next: Annotated[str, Query(max_length=500)] = "/",  # noqa: A002 - the query's name
    ) -> Response:
        require_loopback(request)
        require_own_navigation(request)
        token = Issuer.load(folder).token(subject(study, role, site), now=settings.study_clock().now())
        return with_session(request, token, local_address(next))

    return router


def require_loopback(request: Request) -> None:
    """Raises NotFound for a client that is not on this machine."""
    if request.client is None or not ip_address(request.client.host).is_loopback:
        raise NotFound


def main() -> None:
    settings = Settings()
    configure("web")
    serve(Web(settings), settings)


if __name__ == "__main__":
    main()
