"""Around every answer: headers that keep a browser strict, a count, and a document for what nobody foresaw."""

from __future__ import annotations

from prometheus_client import Counter
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.web.problems import unforeseen

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; style-src 'self'",
    "Cache-Control": "no-store",
}
FOR_PAGES = {"Referrer-Policy": "same-origin"}
"""Differs for HTML: under `no-referrer` a browser sends a form of ours with `Origin: null`."""
REQUESTS = Counter("quartal_http_requests", "Requests answered", ["service", "method", "status"])
_METHODS = frozenset({"GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"})


class Answered:
    """ASGI middleware. A stream that breaks half-way is left broken: its status is sent already."""

    def __init__(self, app: ASGIApp, service: str) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        method, begun = scope["method"] if scope["method"] in _METHODS else "other", False

        async def answer(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                is_page = headers.get("content-type", "").startswith("text/html")
                for name, value in (HEADERS | FOR_PAGES if is_page else HEADERS).items():
                    headers.setdefault(name, value)
                REQUESTS.labels(self._service, method, message["status"]).inc()
            await send(message)

        try:
            await self._app(scope, receive, answer)
        except Exception as error:  # what leaves here would be logged by the server, with values
            failure = unforeseen(error)
            if not begun:
                await failure(scope, receive, answer)
        return None
