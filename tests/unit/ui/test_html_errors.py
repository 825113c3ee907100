"""Errors are pages for browsers, and problem documents for programs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI, Request, Response

from shared.kernel.errors import Forbidden
from shared.security.tokens import Caller
from shared.ui.html_errors import install_html_errors
from shared.ui.pages import Pages, create_page_router, html_response
from shared.ui.static_files import static_routes
from shared.ui.static_folder import FOLDER, MEDIA_TYPES, content_name
from shared.web.app import create_bare_app
from shared.web.fact_routes import create_router
from shared.web.route_classes import add_routes

HTML = {"accept": "text/html"}


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """A client without a session of a service that has a page, a page that refuses, and a route of the API."""
    app, page_routes, api_routes = (
        create_bare_app("enrollment", _lifespan),
        create_page_router(),
        create_router("/enrollment/v1/rows"),
    )

    @page_routes.get("/enrollment/refused")
    async def refused() -> Response:
        raise Forbidden

    @page_routes.get("/enrollment/refused-to-anna")
    async def refused_to_anna(request: Request) -> Response:
        request.state.caller = Caller("anna")
        raise Forbidden

    @page_routes.get("/enrollment/page")
    async def page() -> Response:
        return html_response("<p>A page</p>")

    @api_routes.get("")
    async def rows() -> list[str]:
        return []

    add_routes(app, page_routes, api_routes, static_routes("enrollment"))
    install_html_errors(app, Pages("enrollment"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
        yield client


async def test_page_has_a_strict_content_security_policy(http: httpx.AsyncClient) -> None:
    response = await http.get("/enrollment/page")
    assert (response.status_code, response.text) == (200, "<p>A page</p>")
    assert response.headers["content-security-policy"].startswith("default-src 'none'")


async def test_refused_page_is_html_for_browsers_and_json_for_programs(http: httpx.AsyncClient) -> None:
    page, document = await http.get("/enrollment/refused", headers=HTML), await http.get("/enrollment/refused")
    assert (page.status_code, document.status_code) == (403, 403)
    assert f"<h1>{document.json()['title']}</h1>" in page.text
    assert document.headers["content-type"] == "application/problem+json"


async def test_sign_in_is_offered_only_to_visitors_who_are_not_signed_in(http: httpx.AsyncClient) -> None:
    visitor = await http.get("/enrollment/refused", headers=HTML)
    anna = await http.get("/enrollment/refused-to-anna", headers=HTML)
    assert ("Sign in" in visitor.text, "Sign in" in anna.text) == (True, False)


async def test_address_without_a_page_offers_no_sign_in(http: httpx.AsyncClient) -> None:
    page = await http.get("/enrollment/no-such-page", headers=HTML)
    assert (page.status_code, "Sign in" in page.text, 'href="/"' in page.text) == (404, False, True)


async def test_request_that_is_wrong_for_everybody_offers_no_sign_in(http: httpx.AsyncClient) -> None:
    wrong, too_much = [await http.get(f"/enrollment/page?{query}", headers=HTML) for query in ("x=1", "x=1&" * 101)]
    method = await http.post("/enrollment/page", headers=HTML)
    assert [answer.status_code for answer in (wrong, too_much, method)] == [422, 422, 405]
    assert not any("Sign in" in answer.text for answer in (wrong, too_much, method))


async def test_api_without_a_token_answers_401_with_a_page_that_links_to_the_form(http: httpx.AsyncClient) -> None:
    page = await http.get("/enrollment/v1/rows", headers=HTML)
    assert (page.status_code, "www-authenticate" in page.headers) == (401, True)
    assert 'href="/session?next=%2Fenrollment%2Fv1%2Frows"' in page.text


@pytest.mark.parametrize(
    ("name", "media_type"), [("app.css", "text/css"), ("favicon.svg", "image/svg+xml"), ("live.js", "text/javascript")]
)
async def test_static_files_are_served_under_the_name_of_the_service(
    http: httpx.AsyncClient, name: str, media_type: str
) -> None:
    response = await http.get(f"/enrollment/static/{name}")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith(media_type)
    assert (await http.get("/enrollment/static/other.css")).status_code == 404


async def test_static_files_are_kept_by_browsers_below_the_name_of_their_content_only(http: httpx.AsyncClient) -> None:
    current, former = f"/enrollment/static/{content_name()}/live.js", "/enrollment/static/0123456789abcdef/live.js"
    assert (await http.get(current)).headers["cache-control"] == "public, max-age=31536000, immutable"
    assert (await http.get(former)).headers["cache-control"] == "public, no-cache"
    assert (await http.get(current)).content == (await http.get(former)).content
    assert (await http.get(f"/enrollment/static/{content_name()}/other.js")).status_code == 404


def test_every_static_file_has_a_media_type() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(MEDIA_TYPES)
