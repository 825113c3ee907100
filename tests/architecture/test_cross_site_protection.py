"""Every state-changing request that another site could make a browser send is protected."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from infra.issuer import Issuer
from infra.local.single_port_app import SinglePortApp
from services.enrollment.app import create_app
from shared.settings import SERVICES, Settings
from shared.web.route_classes import CheckedRoute
from shared.web.same_origin import PageRoute

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize("service", SERVICES)
def test_state_changing_routes_need_a_bearer_token_or_a_same_origin_page(service: str, tmp_path: Path) -> None:
    app: FastAPI = SinglePortApp(Settings(jwks=str(Issuer.load(tmp_path).jwks))).apps[service]
    changing_routes = [
        route for route in app.routes if isinstance(route, APIRoute) and (route.methods or set()) - SAFE_METHODS
    ]
    assert changing_routes or service == "analytics"
    assert [route.path for route in changing_routes if not isinstance(route, CheckedRoute | PageRoute)] == []
    assert [route.path for route in changing_routes if isinstance(route, PageRoute) and route.include_in_schema] == []


def test_sign_in_with_a_token_is_a_protected_page_route(tmp_path: Path) -> None:
    app = SinglePortApp(Settings(jwks=str(Issuer.load(tmp_path).jwks))).apps["enrollment"]
    pages = [route for route in app.routes if isinstance(route, PageRoute) and route.path.startswith("/session")]
    assert {route.path for route in pages if route.methods == {"POST"}} == {"/session"}


def test_pages_of_the_sign_in_with_a_provider_change_nothing_for_other_sites(tmp_path: Path) -> None:
    (tmp_path / "kek").write_bytes(base64.b64encode(bytes(32)))
    provider: dict[str, Any] = {
        "oidc_issuer": "https://elsewhere.example",
        "oidc_client_id": "quartal",
        "issuer": "elsewhere",
    }
    app = create_app(Settings(url="https://x.example", kek=tmp_path / "kek", **provider))
    changing = [route for route in app.routes if isinstance(route, APIRoute) and route.path.startswith("/session")]
    assert {route.path for route in changing if (route.methods or set()) - SAFE_METHODS} == {"/session/renew"}
    assert [route.path for route in changing if not isinstance(route, PageRoute)] == []
