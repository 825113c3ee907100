"""The session of a browser: a valid access token in a cookie that no script can read."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import RedirectResponse

from shared.web.container import get_container

SESSION_COOKIE = "quartal_session"
SESSION_SECONDS = 15 * 60
"""The longest that an access token is valid."""


def redirect_with_session(request: Request, token: str, address: str) -> RedirectResponse:
    """Begins a session with `token`, and redirects to `address`."""
    response = RedirectResponse(address, 303)
    secure = not get_container(request).plain_http
    response.set_cookie(
        SESSION_COOKIE, token, SESSION_SECONDS, path="/", secure=secure, httponly=True, samesite="strict"
    )
    return response


def redirect_without_session(address: str) -> RedirectResponse:
    """Ends the session, and redirects to `address`."""
    response = RedirectResponse(address, 303)
    response.delete_cookie(SESSION_COOKIE, path="/")
    return response
