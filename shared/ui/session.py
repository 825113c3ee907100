"""The session of a browser: a valid access token in a cookie that no script can read."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import RedirectResponse

from shared.web.authentication import SESSION
from shared.web.container import get_container

SESSION_SECONDS = 15 * 60
"""The longest that an access token is valid."""


def redirect_with_session(
    request: Request, token: str, address: str, *, seconds: int = SESSION_SECONDS
) -> RedirectResponse:
    """Begins a session with `token`, and redirects to `address`. The browser keeps the cookie for that many seconds."""
    response = RedirectResponse(address, 303)
    get_container(request).cookies.set(response, SESSION, token, seconds)
    return response


def redirect_without_session(request: Request, address: str) -> RedirectResponse:
    """Ends the session, and redirects to `address`."""
    response = RedirectResponse(address, 303)
    get_container(request).cookies.delete(response, SESSION)
    return response
