"""The session of a browser: a valid token in a cookie that no script can read."""

from __future__ import annotations

from datetime import timedelta

from fastapi import Request
from fastapi.responses import RedirectResponse

from shared.security.tokens import MAX_LIFETIME_SECONDS
from shared.web.authentication import SESSION
from shared.web.container import get_container

SESSION_MAX_AGE = timedelta(hours=12)
SESSION_MAX_IDLE = timedelta(minutes=60)


def redirect_with_session(
    request: Request, token: str, address: str, *, seconds: int = MAX_LIFETIME_SECONDS
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
