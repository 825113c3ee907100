"""How a page leaves: under a strict policy; and, where it is refused, as the way to sign in or as words for people."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from services.analytics.pages.render import CONTENT_SECURITY_POLICY, Pages, Problem
from shared.kernel.errors import RequestError, Unauthenticated
from shared.web.problems import MEDIA_TYPE

MAX_NEXT_LENGTH = 500
ExceptionHandler = Callable[[Request, Any], Awaitable[Response]]
pages = Pages()
_PRESERVED_HEADERS = ("WWW-Authenticate", "Allow", "Retry-After")
"""Headers of a problem document that belong to its status, in whatever form it is told."""


def html_response(html: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(html, status, {"Content-Security-Policy": CONTENT_SECURITY_POLICY})


async def html_or_error(request: Request, page: Awaitable[str]) -> Response:
    """The page; or the way to sign in, or a page that says why it is refused."""
    try:
        return html_response(await page)
    except Unauthenticated:
        return _redirect_to_sign_in(request)
    except RequestError as refusal:
        return html_response(pages.problem(Problem(refusal.status, refusal.title)), refusal.status)


def install_html_errors(app: FastAPI) -> None:
    """Whoever asks for a page gets every refusal as one: programs, which do not ask for HTML, get the document."""
    for exception_type, problem_handler in list(app.exception_handlers.items()):
        app.add_exception_handler(exception_type, _with_html_errors(problem_handler))


def _with_html_errors(problem_handler: Any) -> ExceptionHandler:
    async def handle(request: Request, error: Any) -> Response:
        document: Response = await problem_handler(request, error)
        asks_for_page = "text/html" in request.headers.get("accept", "")
        if not asks_for_page or document.media_type != MEDIA_TYPE:
            return document
        if document.status_code == 401 and request.method == "GET" and not _is_api_request(request):
            return _redirect_to_sign_in(request)
        problem_json = json.loads(bytes(document.body))
        messages = [fault["message"] for fault in problem_json["errors"] if fault["message"] != problem_json["title"]]
        sign_in = _sign_in_url(request) if document.status_code == 401 and request.method == "GET" else "/session"
        problem = Problem(problem_json["status"], problem_json["title"], errors=messages, sign_in=sign_in)
        page = html_response(pages.problem(problem), document.status_code)
        page.headers.update({name: document.headers[name] for name in _PRESERVED_HEADERS if name in document.headers})
        return page

    return handle


def _is_api_request(request: Request) -> bool:
    """Programs call these addresses, whatever media type they accept: they get a status, not a form."""
    return request.url.path.startswith("/analytics/v1/")


def _redirect_to_sign_in(request: Request) -> Response:
    return RedirectResponse(_sign_in_url(request), 303)


def _sign_in_url(request: Request) -> str:
    """The address of the form, which leads back to what was asked for."""
    path, query = request.url.path, request.url.query
    full_path = f"{path}?{query}" if query else path
    return f"/session?{urlencode({'next': full_path if len(full_path) <= MAX_NEXT_LENGTH else path})}"
