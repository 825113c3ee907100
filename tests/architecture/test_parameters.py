"""Every route of every service refuses a query parameter that it does not declare."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.routing import Route

from infra.issuer import Issuer
from infra.local.single_port_app import SinglePortApp
from services.analytics.__main__ import SERVICE_PROCESS as ANALYTICS
from services.enrollment.__main__ import SERVICE_PROCESS as ENROLLMENT
from services.followup.__main__ import SERVICE_PROCESS as FOLLOWUP
from services.toxicity.__main__ import SERVICE_PROCESS as TOXICITY
from shared.settings import Settings
from shared.web.container import container_of
from shared.web.route_classes import StrictRoute

APPLICATIONS = {service.name: service.create_app(Settings()) for service in (ENROLLMENT, TOXICITY, FOLLOWUP, ANALYTICS)}
ISSUER_FOLDER = TemporaryDirectory()
APPLICATIONS["web"] = SinglePortApp(Settings(jwks=str(Issuer.load(Path(ISSUER_FOLDER.name)).jwks))).shared_app
UNDECLARED_QUERY = b"unheard-of=1"


def route_params() -> Iterator[Any]:
    for name, app in APPLICATIONS.items():
        for route in (candidate for candidate in app.routes if isinstance(candidate, Route)):
            yield pytest.param(app, route, id=f"{name} {sorted(route.methods or ())} {route.path}")


def test_every_application_route_is_covered() -> None:
    for app in APPLICATIONS.values():
        assert all(isinstance(route, Route) for route in app.routes), "an included router hides routes: use add_routes"


async def response_status(app: FastAPI, scope: dict[str, Any]) -> int:
    """Returns the status of the response; nothing that a successful response needs is running."""
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(scope, receive, send)
    return statuses[0]


@pytest.mark.parametrize(("app", "route"), list(route_params()))
async def test_undeclared_query_parameter_is_rejected(
    app: FastAPI, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller is entitled, since rights are checked before parameters."""
    assert isinstance(route, StrictRoute), "give its router route_class=StrictRoute, or a class derived from it"
    assert "unheard-of" not in route.parameters

    async def authenticate(request: Any) -> None:
        request.state.caller = type("Caller", (), {"subject": "somebody"})()

    container_of(app).authenticate = authenticate
    monkeypatch.setattr(route, "_entitlement", None, raising=False)
    path = route.path.format_map(dict.fromkeys(route.param_convertors, "atc-rt"))
    method = sorted(route.methods or ())[0]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": UNDECLARED_QUERY,
        "headers": [(b"content-type", b"application/json"), (b"sec-fetch-site", b"same-origin")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }
    assert await response_status(app, scope) == 422
