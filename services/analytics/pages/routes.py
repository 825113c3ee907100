"""The pages: where to go, signing in, a study's cohort, one figure of it."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from services.analytics.api import Wanted, drawable
from services.analytics.asking import Asked, Figures
from services.analytics.figures.catalogue import FIGURES
from services.analytics.operations import OPERATING
from services.analytics.pages.render import (
    CONTENT_SECURITY_POLICY,
    Link,
    Pages,
    Problem,
    Study,
    local_address,
    part,
)
from shared.contracts.study import Opened
from shared.kernel.refusal import NotFound, Refusal, Unrecognised
from shared.security.grants import EVERY_SITE, Rights
from shared.security.tokens import BadToken, KeysUnavailable
from shared.web.body import BoundedRoute
from shared.web.routes import StudyOf

COOKIE, SESSION_SECONDS = "quartal_session", 15 * 60
STATIC = Path(__file__).parent / "static"
_TYPES = {"app.css": "text/css", "live.js": "text/javascript", "favicon.svg": "image/svg+xml"}
routes = APIRouter(include_in_schema=False, route_class=BoundedRoute)
pages = Pages()


def shown(html: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(html, status, {"Content-Security-Policy": CONTENT_SECURITY_POLICY})


@routes.get("/")
async def home(request: Request) -> Response:
    links: list[Link] = request.app.state.links
    return shown(pages.home(links))


@routes.get("/session")
async def sign_in(next: str = "/") -> Response:  # noqa: A002 - the query's name
    return shown(pages.login(local_address(next)))


@routes.post("/session")
async def signed_in(
    request: Request,
    token: Annotated[str, Form(max_length=8192)],
    next: Annotated[str, Form(max_length=500)] = "/",  # noqa: A002 - the form field's name
) -> Response:
    """Keeps a valid token in a cookie that no script can read, for as long as a token lives."""
    try:
        await request.app.state.verifier.verify(token.strip())
    except (BadToken, KeysUnavailable):
        return shown(pages.login(local_address(next), Problem(401, "That token is not valid, or it has expired.")), 401)
    return with_session(request, token.strip(), local_address(next))


def with_session(request: Request, token: str, address: str) -> Response:
    answer = RedirectResponse(address, 303)
    secure = not request.app.state.plain_http
    answer.set_cookie(COOKIE, token, SESSION_SECONDS, path="/", secure=secure, httponly=True, samesite="strict")
    return answer


@routes.get("/analytics/static/{name}")
async def static(name: str) -> Response:
    if name not in _TYPES:
        raise NotFound
    return FileResponse(STATIC / name, media_type=_TYPES[name], headers={"Cache-Control": "no-cache"})


@routes.get("/favicon.ico")
async def favicon() -> Response:
    return FileResponse(STATIC / "favicon.svg", media_type="image/svg+xml")


@routes.get("/analytics/studies/{study_id}")
async def cohort(request: Request, study: StudyOf, wanted: Wanted) -> Response:
    return await in_words(request, _cohort(request, study, wanted.asked()))


async def in_words(request: Request, page: Awaitable[str]) -> Response:
    """The page; or the way to sign in, or a page that says why it is refused."""
    try:
        return shown(await page)
    except Unrecognised:
        return RedirectResponse(f"/session?{urlencode({'next': request.url.path})}", 303)
    except Refusal as refusal:
        return shown(pages.problem(Problem(refusal.status, refusal.title)), refusal.status)


async def _cohort(request: Request, study: str, asked: Asked) -> str:
    await request.app.state.admit(request)
    member, figures = request.state.caller.subject, _figures(request)
    query = _query(request)
    parts = [part(answer, query) for answer in await _readable(figures, study, member, asked)]
    state = await figures.studies.current(study)
    known = state.record.facts(Opened)
    title = known[0].title if known else study
    first = parts[0]
    live = f"/analytics/v1/studies/{study}/live"
    notes: list[str] = request.app.state.notes.get(study, [])
    links = list(_beyond(study, state.rights(member)))
    return pages.cohort(Study(study, title, first.version, first.recorded_at, first.cut, live, notes, links), parts)


def _beyond(study: str, rights: Rights) -> Iterator[Link]:
    """The other pages of a study that somebody may see."""
    base = f"/analytics/studies/{study}"
    if rights.visible:
        yield Link(f"{base}/participants", "Participants", "each one's timeline")
        yield Link(f"{base}/queries", "Queries", "what is possible but contradictory")
    if EVERY_SITE in rights.sites(OPERATING):
        yield Link(f"{base}/operations", "Operations", "what stands still")


async def _readable(figures: Figures, study: str, member: str, asked: Asked) -> list[dict[str, Any]]:
    """The figures that the member may read; the refusal, if that is none."""
    answers, refused = [], None
    for name in FIGURES:
        try:
            answers.append(drawable(await figures.figure(name, study, member, asked)))
        except Refusal as refusal:
            refused = refusal
    if not answers and refused:
        raise refused
    return answers


@routes.get("/analytics/studies/{study_id}/figures/{name}")
async def fragment(request: Request, study: StudyOf, name: str, wanted: Wanted) -> Response:
    """One figure of the page, as the page has it."""
    await request.app.state.admit(request)
    answer = await _figures(request).figure(name, study, request.state.caller.subject, wanted.asked())
    return shown(pages.fragment(part(drawable(answer), _query(request))))


def _figures(request: Request) -> Figures:
    held: Figures = request.app.state.figures
    return held


def _query(request: Request) -> dict[str, str]:
    return dict(request.query_params)
