"""Protects pages against cross-site request forgery.

`SameSite` cookies are not enough: signing in needs no cookie, so a foreign page could sign a user in under another
name. The JSON routes that record facts accept only bearer tokens, which no browser adds by itself.
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

    Every route that a browser reaches without a bearer token must be one, which `tests/architecture` checks.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_guarded(request: Request) -> Response:
            if request.method not in _SAFE_METHODS:
                require_same_origin(request)
            return await handle(request)

        return handle_guarded


def require_same_origin(request: Request) -> None:
    """Raises CrossSiteRequest unless the browser declares that a page of this server sent the request.

    A browser that does not send `Sec-Fetch-Site`, as over plain HTTP to another machine, sends `Origin` with every
    POST.
    """
    site = request.headers.get("sec-fetch-site")
    is_same_origin = request.headers.get("origin") == own_origin(request) if site is None else site == "same-origin"
    if not is_same_origin:
        raise CrossSiteRequest


def require_own_navigation(request: Request) -> None:
    """Raises CrossSiteRequest unless a page of this server or the user (address bar, bookmark) opened the address.

    A browser that does not send `Sec-Fetch-Site` sends the address of our own page as `Referer`.
    """
    site, page = request.headers.get("sec-fetch-site"), request.headers.get("referer", "")
    is_own = page.startswith(f"{own_origin(request)}/") if site is None else site in ("none", "same-origin")
    if not is_own:
        raise CrossSiteRequest


def own_origin(request: Request) -> str:
    """Returns the origin of this server as the user's browser writes it, also behind a proxy that terminates TLS."""
    scheme = "http" if get_container(request).cookies.plain_http else "https"
    return f"{scheme}://{request.headers.get('host', '')}"
