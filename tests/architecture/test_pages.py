"""Every request that a browser can be made to send must be protected against other sites."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from infra.issuer import Issuer
from infra.local.web import Web
from shared.settings import SERVICES, Settings
from shared.web.body import CheckedRoute
from shared.web.same_origin import PageRoute

READS = {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize("service", SERVICES)
def test_what_changes_anything_is_asked_for_by_bearer_token_or_by_a_page_of_ours(service: str, tmp_path: Path) -> None:
    app: FastAPI = Web(Settings(jwks=str(Issuer.load(tmp_path).jwks))).apps[service]
    changing = [route for route in app.routes if isinstance(route, APIRoute) and (route.methods or set()) - READS]
    assert changing
    assert [route.path for route in changing if not isinstance(route, CheckedRoute | PageRoute)] == []
    assert [route.path for route in changing if isinstance(route, PageRoute) and route.include_in_schema] == []


def test_the_pages_of_today_are_among_them(tmp_path: Path) -> None:
    app = Web(Settings(jwks=str(Issuer.load(tmp_path).jwks))).apps["analytics"]
    pages = [route for route in app.routes if isinstance(route, PageRoute) and route.methods == {"POST"}]
    assert {route.path for route in pages} == {"/session", "/session/end"}
