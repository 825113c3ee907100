"""Middleware for every response: HEAD, conditional reads, compression, security headers, a count, internal errors."""

from __future__ import annotations

import asyncio

from prometheus_client import Counter
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.web.compression import accepts_gzip, compress, may_be_compressed
from shared.web.entity_tags import matches_if_none_match, opaque_tag
from shared.web.problems import internal_error

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; style-src 'self'",
    "Cache-Control": "no-store",
}
PAGE_HEADERS = {"Referrer-Policy": "same-origin"}
"""Headers that differ for HTML: under `no-referrer` a browser sends forms with `Origin: null`."""
REQUESTS = Counter("quartal_http_requests", "Requests answered", ["service", "method", "status"])
_METHODS = frozenset({"GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"})
_CONTENT_HEADERS = ("content-length", "content-type", "content-encoding", "content-disposition")


class ResponseMiddleware:
    """ASGI middleware: adds headers, counts responses, and turns unhandled exceptions into problem documents.

    A stream that fails half-way stays broken, because its status is sent already.
    """

    def __init__(self, app: ASGIApp, service: str) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        if scope["method"] == "HEAD":
            return await self._answer_head(scope, receive, send)
        return await self._run_app(scope, receive, _ResponseSender(self._service, scope["method"], scope, send))

    async def _answer_head(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers as GET without the content. A stream is ended at its beginning, since it would not end by itself."""
        sender = _ResponseSender(self._service, "HEAD", scope, send)
        app_task = asyncio.create_task(self._run_app({**scope, "method": "GET"}, receive, sender))
        stream_task = asyncio.create_task(sender.is_stream.wait())
        try:
            await asyncio.wait({app_task, stream_task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            app_task.cancel()
            stream_task.cancel()
            await asyncio.gather(app_task, stream_task, return_exceptions=True)

    async def _run_app(self, scope: Scope, receive: Receive, sender: _ResponseSender) -> None:
        try:
            await self._app(scope, receive, sender)
        except Exception as error:  # the server would log the exception, with values
            error_response = internal_error(error)
            if not sender.has_begun:
                await error_response(scope, receive, sender)


class _ResponseSender:
    """Sends one response. Holds the start back until the first piece of the body, so that a body in one piece can be
    compressed or left out.

    A program may store what it reads. A browser stores nothing that it reads with the cookie of a session: its history
    would show that again after the sign-out, without a request.
    """

    def __init__(self, service: str, method: str, scope: Scope, send: Send) -> None:
        self._labels, self._send = (service, method if method in _METHODS else "other"), send
        self._is_read, self._without_content = method in ("GET", "HEAD"), method == "HEAD"
        self._request_headers = Headers(scope=scope)
        self._is_of_session = "cookie" in self._request_headers and "authorization" not in self._request_headers
        self._start: Message = {}
        self.has_begun, self.is_stream = False, asyncio.Event()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
        elif self.has_begun:
            await self._pass_on(message)
        else:
            await self._begin(message)

    async def _begin(self, message: Message) -> None:
        headers = MutableHeaders(scope=self._start)
        if "etag" in headers:
            headers.setdefault("Cache-Control", "private, no-cache")
        is_page = headers.get("content-type", "").startswith("text/html")
        for name, value in (SECURITY_HEADERS | PAGE_HEADERS if is_page else SECURITY_HEADERS).items():
            headers.setdefault(name, value)
        if self._is_of_session:
            headers["Cache-Control"] = headers["Cache-Control"].replace("private, no-cache", "no-store")
        if self._is_read and self._start["status"] == 200 and not message.get("more_body", False):
            message = await self._fit_to_client(headers, message)
        self.has_begun = True
        REQUESTS.labels(*self._labels, self._start["status"]).inc()
        await self._send(self._start)
        await self._pass_on(message)

    async def _fit_to_client(self, headers: MutableHeaders, message: Message) -> Message:
        """Leaves out content that the client has, or compress it if that is safe and the client accepts it.

        The tag stays the same, because clients compare versions by it. Only for files, of which a client may request a
        range, the tag of the compressed bytes is weak, so that no client combines parts of both.
        """
        content, tag = message.get("body", b""), headers.get("etag")
        if is_compressible := may_be_compressed(self._request_headers, headers, len(content)):
            headers.add_vary_header("Accept-Encoding")
        if tag and matches_if_none_match(tag, self._request_headers.getlist("if-none-match")):
            self._start["status"] = 304
            for name in _CONTENT_HEADERS:
                del headers[name]
            return {**message, "body": b""}
        if is_compressible and accepts_gzip(self._request_headers):
            if tag and "accept-ranges" in headers:
                headers["ETag"] = f"W/{opaque_tag(tag)}"
            content = await compress(content)
            headers["Content-Encoding"], headers["Content-Length"] = "gzip", str(len(content))
        return {**message, "body": content}

    async def _pass_on(self, message: Message) -> None:
        if not self._without_content:
            await self._send(message)
        elif not self.is_stream.is_set():
            await self._send({**message, "body": b"", "more_body": False})
            if message.get("more_body", False):
                self.is_stream.set()
