"""Errors as pages: a problem document becomes sentences for people, or leads to the form that signs them in."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response

from shared.kernel.errors import RequestError, Unauthenticated
from shared.ui.navigation import limit_address
from shared.ui.pages import Pages, html_response
from shared.web.problems import MEDIA_TYPE

ExceptionHandler = Callable[[Request, Any], Awaitable[Response]]
_API_PATH = re.compile(r"/[a-z]+/v[0-9]+/")
_PRESERVED_HEADERS = ("WWW-Authenticate", "Allow", "Retry-After")
"""Headers that belong to the status of a problem, whatever its media type."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem document (RFC 9457) for people: `errors` are its sentences, `sign_in` is the address of the form, and
    empty for somebody who is signed in."""

    status: int
    title: str
    detail: str = ""
    errors: Sequence[str] = ()
    sign_in: str = "/session"


def problem_response(pages: Pages, problem: Problem) -> Response:
    return html_response(pages.render("problem.html", problem=problem), problem.status)


async def html_or_error(request: Request, pages: Pages, page: Awaitable[str]) -> Response:
    """Returns the page, a redirect to the sign-in form, or a page with the reason why the request was refused."""
    try:
        return html_response(await page)
    except Unauthenticated:
        return _redirect_to_sign_in(request)
    except RequestError as refusal:
        sign_in = _offered_sign_in(request, refusal.status)
        response = problem_response(pages, Problem(refusal.status, refusal.title, sign_in=sign_in))
        if refusal.retry_after is not None:
            response.headers["Retry-After"] = str(refusal.retry_after)
        return response


def install_html_errors(app: FastAPI, pages: Pages) -> None:
    """Renders errors as pages for clients that accept HTML; other clients get problem documents."""
    for exception_type, problem_handler in list(app.exception_handlers.items()):
        app.add_exception_handler(exception_type, _with_html_errors(problem_handler, pages))


def _with_html_errors(problem_handler: Any, pages: Pages) -> ExceptionHandler:
    async def handle(request: Request, error: Any) -> Response:
        document: Response = await problem_handler(request, error)
        accepts_html = "text/html" in request.headers.get("accept", "")
        if not accepts_html or document.media_type != MEDIA_TYPE:
            return document
        may_sign_in = document.status_code == 401 and request.method == "GET"
        if may_sign_in and not _API_PATH.match(request.url.path):  # programs call the API: they get a status, no form
            return _redirect_to_sign_in(request)
        sign_in = _sign_in_url(request) if may_sign_in else _offered_sign_in(request, document.status_code)
        return _as_page(document, pages, sign_in)

    return handle


def _as_page(document: Response, pages: Pages, sign_in: str) -> Response:
    members = json.loads(bytes(document.body))
    messages = [error["message"] for error in members["errors"] if error["message"] != members["title"]]
    page = problem_response(pages, Problem(members["status"], members["title"], errors=messages, sign_in=sign_in))
    page.headers.update({name: document.headers[name] for name in _PRESERVED_HEADERS if name in document.headers})
    return page


def _redirect_to_sign_in(request: Request) -> Response:
    return RedirectResponse(_sign_in_url(request), 303)


def _offered_sign_in(request: Request, status: int) -> str:
    """Returns the address of the form, for a visitor who may not see what somebody who is signed in may; else nothing.

    A request that is wrong in itself is wrong for everybody, and is refused before anybody is asked who they are.
    """
    return "/session" if status in (401, 403) and not hasattr(request.state, "caller") else ""


def _sign_in_url(request: Request) -> str:
    """Returns the address of the form, which leads back to the requested page."""
    path, query = request.url.path, request.url.query
    return f"/session?{urlencode({'next': limit_address(f'{path}?{query}' if query else path)})}"
