"""Signing in with an access token, and signing out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from shared.security.issuer_keys import KeysUnavailable
from shared.security.tokens import BadToken
from shared.ui.html_errors import Problem
from shared.ui.navigation import MAX_RETURN_LENGTH, return_address
from shared.ui.pages import NextAddress, Pages, create_page_router, html_response
from shared.ui.session import redirect_with_session, redirect_without_session
from shared.web.container import Resources, get_container
from shared.web.same_origin import require_own_navigation

_INVALID_TOKEN = Problem(401, "This token is not valid, or it has expired. Get a new token and paste it again.")


def token_sign_in_routes(pages: Pages) -> APIRouter:
    """Returns the routes of `/session` where no OpenID provider is configured: a form for an access token.

    `/session` is the form and its submission, `/session/end` signs out.
    """
    routes = create_page_router()

    @routes.get("/session")
    async def sign_in_form(next_address: NextAddress = "/") -> Response:
        return html_response(render_sign_in(pages, next_address))

    @routes.post("/session")
    async def create_session(
        request: Request,
        token: Annotated[str, Form(max_length=8192)],
        next_address: Annotated[str, Form(alias="next", max_length=MAX_RETURN_LENGTH)] = "/",
    ) -> Response:
        """Begins a session if the token is valid; it lasts no longer than a token."""
        try:
            await get_container(request).get_resources(Resources).verifier.verify(token.strip())
        except (BadToken, KeysUnavailable):
            return html_response(render_sign_in(pages, next_address, _INVALID_TOKEN), 401)
        return redirect_with_session(request, token.strip(), return_address(next_address))

    @routes.get("/session/end")
    async def end_session(request: Request) -> Response:
        require_own_navigation(request)
        return redirect_without_session(request, "/session")

    return routes


def render_sign_in(pages: Pages, next_address: str, problem: Problem | None = None) -> str:
    return pages.render("sign_in.html", next=return_address(next_address), problem=problem)
