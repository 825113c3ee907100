"""How a page leaves: under a strict policy; and, where it is refused, as the way to sign in or as words for people."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from services.analytics.pages.render import CONTENT_SECURITY_POLICY, Pages, Problem
from shared.kernel.refusal import Refusal, Unrecognised
from shared.web.problems import MEDIA_TYPE

LONGEST_NEXT = 500
Handler = Callable[[Request, Any], Awaitable[Response]]
pages = Pages()
_KEPT = ("WWW-Authenticate", "Allow", "Retry-After")
"""Headers of a problem document that belong to its status, in whatever form it is told."""


def shown(html: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(html, status, {"Content-Security-Policy": CONTENT_SECURITY_POLICY})


async def in_words(request: Request, page: Awaitable[str]) -> Response:
    """The page; or the way to sign in, or a page that says why it is refused."""
    try:
        return shown(await page)
    except Unrecognised:
        return _to_sign_in(request)
    except Refusal as refusal:
        return shown(pages.problem(Problem(refusal.status, refusal.title)), refusal.status)


def answer_browsers_in_words(app: FastAPI) -> None:
    """Whoever asks for a page gets every refusal as one: programs, which do not ask for HTML, get the document."""
    for kind, documents in list(app.exception_handlers.items()):
        app.add_exception_handler(kind, _in_words(documents))


def _in_words(documents: Any) -> Handler:
    async def answer(request: Request, error: Any) -> Response:
        document: Response = await documents(request, error)
        asks_for_page = "text/html" in request.headers.get("accept", "")
        if not asks_for_page or document.media_type != MEDIA_TYPE:
            return document
        if document.status_code == 401 and request.method == "GET" and not _is_of_the_api(request):
            return _to_sign_in(request)
        said = json.loads(bytes(document.body))
        more = [each["message"] for each in said["errors"] if each["message"] != said["title"]]
        sign_in = _sign_in_address(request) if document.status_code == 401 and request.method == "GET" else "/session"
        problem = Problem(said["status"], said["title"], errors=more, sign_in=sign_in)
        page = shown(pages.problem(problem), document.status_code)
        page.headers.update({name: document.headers[name] for name in _KEPT if name in document.headers})
        return page

    return answer


def _is_of_the_api(request: Request) -> bool:
    """Programs call these addresses, whatever media type they accept: they get a status, not a form."""
    return request.url.path.startswith("/analytics/v1/")


def _to_sign_in(request: Request) -> Response:
    return RedirectResponse(_sign_in_address(request), 303)


def _sign_in_address(request: Request) -> str:
    """The address of the form, which leads back to what was asked for."""
    path, query = request.url.path, request.url.query
    whole = f"{path}?{query}" if query else path
    return f"/session?{urlencode({'next': whole if len(whole) <= LONGEST_NEXT else path})}"
