"""`python -m infra.local.single_port_app`: serves the four services on one port, under the paths of a deployment.

Only here the development issuer signs people in: each link of the start page is a role in a study. A foreign page could
point its own host name at 127.0.0.1 (DNS rebinding) and would then be "the same origin" for the browser. So the server
answers only requests for a loopback name and its own port.
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
from infra.local.demo_links import demo_links
from infra.local.development_session import COOKIE_SECONDS, DevelopmentSessions
from infra.local.outbox.kept_mails import KeptMails
from infra.local.outbox.mail_server import run_mail_server
from infra.local.outbox.page import OUTBOX_LINK, outbox_routes
from infra.reference.publications import comparison_table
from infra.reference.study import STUDY_ID, subject
from services.analytics.app import create_app as create_analytics
from services.enrollment.__main__ import SERVICE_PROCESS as ENROLLMENT
from services.followup.__main__ import SERVICE_PROCESS as FOLLOWUP
from services.toxicity.__main__ import SERVICE_PROCESS as TOXICITY
from shared.kernel.errors import DatabaseNotConfirmed, MisdirectedRequest, NotFound
from shared.kernel.fact import Role
from shared.kernel.ids import SiteId, StudyId
from shared.outbox.confirmation import is_confirmed
from shared.runtime.server import serve
from shared.runtime.startup import start_process
from shared.settings import PRODUCERS, Settings
from shared.ui.navigation import Link, return_address
from shared.ui.session import redirect_with_session
from shared.web.app import create_bare_app, published_routes, ready_response
from shared.web.container import Resources, container_of
from shared.web.cookies import Cookies
from shared.web.metrics import metrics_response
from shared.web.middleware import ResponseMiddleware
from shared.web.problems import refusal_response
from shared.web.route_classes import StrictRoute, add_routes
from shared.web.same_origin import require_own_navigation
from shared.web.traffic import Traffic

DEFAULT_SERVICE = "analytics"
"""The service for paths that begin with no service's name: the start page."""
SESSION_SERVICE = "enrollment"
"""The service of `/session`, which works when analytics is unavailable."""

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
HTTP_PORT = 80
"""The port that a browser leaves out of `Host`."""
SHARED_PATHS = ("health", "metrics", "problems", "schemas", "asyncapi.json", "outbox")
"""First parts of paths that all services share."""


class SinglePortApp:
    """An ASGI application that hands each request, unchanged, to the service that its path names."""

    def __init__(self, settings: Settings) -> None:
        require_one_sign_in(settings)
        traffic = Traffic(settings)  # a caller's limits are those of the process
        recording = (ENROLLMENT, TOXICITY, FOLLOWUP)
        self.apps: Mapping[str, FastAPI] = {
            **{process.name: process.create_app(settings, traffic=traffic) for process in recording},
            DEFAULT_SERVICE: _create_analytics(settings, traffic),
        }
        self.streams = [streams for app in self.apps.values() for streams in container_of(app).streams]
        self.shared_app = _create_shared_app(self.apps, settings)
        self._wrong_host_response = ResponseMiddleware(refusal_response(MisdirectedRequest()), "web")
        folder = issuer_folder(settings)
        self._allowed_hosts = allowed_hosts(settings.port) if folder else None
        self._sessions = _create_sessions(settings, folder) if folder else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.shared_app(scope, receive, send)
        if self._allowed_hosts is not None and Headers(scope=scope).get("host", "").lower() not in self._allowed_hosts:
            return await self._wrong_host_response(scope, receive, send)
        first_part = scope["path"].removeprefix("/").partition("/")[0]
        service = SESSION_SERVICE if first_part == "session" else first_part
        if self._sessions and scope["type"] == "http":
            scope, send = self._sessions.renew(scope, send)
        if first_part in SHARED_PATHS or scope["path"] == "/session/development":
            return await self.shared_app(scope, receive, send)
        return await self.apps.get(service, self.apps[DEFAULT_SERVICE])(scope, receive, send)


def _create_analytics(settings: Settings, traffic: Traffic) -> FastAPI:
    """Creates the service of the pages, with links to sign in to the studies of this installation."""
    links = demo_links() if issuer_folder(settings) else []
    study_links = {
        f"{title}: sign in as": [Link(link.sign_in_url, link.role, link.description) for link in of_study]
        for title, of_study in groupby(links, lambda link: f"{link.title} ({link.study})")
    }
    if settings.outbox_port:
        study_links["Messages of this installation"] = [OUTBOX_LINK]
    notes = {link.study: link.notes for link in links}
    return create_analytics(
        settings,
        traffic=traffic,
        study_links=study_links,
        study_notes=notes,
        comparison_tables={STUDY_ID: comparison_table()},
    )


def _create_sessions(settings: Settings, folder: Path) -> DevelopmentSessions:
    cookies = Cookies(settings.plain_http, settings.port)
    return DevelopmentSessions(Issuer.load(folder), cookies, settings.study_clock().now)


def allowed_hosts(port: int) -> frozenset[str]:
    """Returns the values of `Host` that a browser on this machine sends to this server."""
    with_port = {f"{name}:{port}" for name in LOOPBACK_NAMES}
    return frozenset(with_port | set(LOOPBACK_NAMES) if port == HTTP_PORT else with_port)


def issuer_folder(settings: Settings) -> Path | None:
    """Returns the folder of the development issuer; None if another issuer signs the tokens."""
    folder = Path(settings.jwks).parent
    return folder if settings.jwks and (folder / "issuer.json").exists() else None


def require_one_sign_in(settings: Settings) -> None:
    """Raises ValueError where people sign in with a provider and the development issuer would sign them in too."""
    if settings.oidc_issuer and issuer_folder(settings):
        raise ValueError(
            "QUARTAL_OIDC_ISSUER names an OpenID provider, but QUARTAL_JWKS names the keys of the development issuer, "
            "which signs anybody in. Set QUARTAL_JWKS to the keys of the provider."
        )


def _create_shared_app(apps: Mapping[str, FastAPI], settings: Settings) -> FastAPI:
    mails = KeptMails(settings.data / "outbox")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as entered:
            for app in apps.values():
                await entered.enter_async_context(app.router.lifespan_context(app))
            if settings.outbox_port:
                await entered.enter_async_context(run_mail_server(settings.outbox_port, mails))
            yield

    shared_app = create_bare_app("web", lifespan, limits=settings, cookies=Cookies(settings.plain_http, settings.port))
    add_routes(shared_app, _shared_routes(apps))
    if settings.outbox_port:
        add_routes(shared_app, outbox_routes(mails, require_loopback))
    if folder := issuer_folder(settings):
        add_routes(shared_app, _development_routes(settings, folder))
    return shared_app


def _shared_routes(apps: Mapping[str, FastAPI]) -> APIRouter:
    router = APIRouter(route_class=StrictRoute)

    @router.get("/health/live")
    async def live() -> JSONResponse:
        return JSONResponse({"status": "live"})

    @router.get("/health/ready")
    async def ready() -> JSONResponse:
        for name, app in apps.items():
            pool = container_of(app).get_resources(Resources).pool
            await ready_response(pool)
            if name in PRODUCERS and not await is_confirmed(pool):
                raise DatabaseNotConfirmed
        return JSONResponse({"status": "ready"})

    @router.get("/metrics")
    async def metrics() -> Response:
        collectors = {name: container_of(app).get_resources(Resources).metrics_collectors for name, app in apps.items()}
        return await metrics_response(collectors)

    add_routes(router, published_routes())
    return router


def _development_routes(settings: Settings, folder: Path) -> APIRouter:
    """Returns the sign-in without a password, for a developer's own machine; the issuer's keys are in `folder`."""
    router = APIRouter(include_in_schema=False, route_class=StrictRoute)

    @router.get("/session/development")
    async def sign_in(
        request: Request,
        study: Annotated[StudyId, Query()],
        role: Annotated[Role, Query()],
        site: Annotated[SiteId | None, Query()] = None,
        destination: Annotated[str, Query(alias="next", max_length=500)] = "/",
    ) -> Response:
        require_loopback(request)
        require_own_navigation(request)
        now = settings.study_clock().now()
        token = Issuer.load(folder).token(subject(study, role, site), now=now, signed_in_at=now)
        return redirect_with_session(request, token, return_address(destination), seconds=COOKIE_SECONDS)

    return router


def require_loopback(request: Request) -> None:
    """Raises NotFound for a client on another machine."""
    if request.client is None or not ip_address(request.client.host).is_loopback:
        raise NotFound


def main() -> None:
    settings = start_process("web")
    app = SinglePortApp(settings)
    serve(app, settings, streams=app.streams)


if __name__ == "__main__":
    main()
