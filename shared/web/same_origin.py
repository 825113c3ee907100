"""Protects pages against requests that another site makes a browser send (cross-site request forgery).

Cookies alone do not: they are `SameSite=strict`, but signing in needs none, and a foreign page could sign somebody in
under another name. The API itself takes bearer tokens only, which no browser adds by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response

from shared.kernel.errors import CrossSiteRequest
from shared.web.container import get_container
from shared.web.route_classes import BoundedRoute

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class PageRoute(BoundedRoute):
    """A route of a page: a request that may change something must come from a page of this server.

    Every route that a browser reaches without a bearer token is one; `tests/architecture` holds all services to it.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_guarded(request: Request) -> Response:
            if request.method not in _SAFE_METHODS:
                require_same_origin(request)
            return await handle(request)

        return handle_guarded


def require_same_origin(request: Request) -> None:
    """Raises CrossSiteRequest unless the browser states that a page of this server sent the request.

    A browser that does not send `Sec-Fetch-Site` (none of today's, but over plain HTTP to another machine) sends
    `Origin` with every POST.
    """
    site = request.headers.get("sec-fetch-site")
    is_same_origin = request.headers.get("origin") == own_origin(request) if site is None else site == "same-origin"
    if not is_same_origin:
        raise CrossSiteRequest


def require_own_navigation(request: Request) -> None:
    """Raises CrossSiteRequest unless a page of this server led here, or the user (address bar, terminal, bookmark)."""
    if request.headers.get("sec-fetch-site") not in ("none", "same-origin"):
        raise CrossSiteRequest


def own_origin(request: Request) -> str:
    """The origin of this server as its user's browser writes it, whatever proxy ends TLS in between."""
    scheme = "http" if get_container(request).plain_http else "https"
    return f"{scheme}://{request.headers.get('host', '')}"
