"""The pages: where to go, signing in, a study's cohort, one figure of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import FileResponse, RedirectResponse, Response

from services.analytics.api import Wanted, drawable, note_figure
from services.analytics.asking import Asked, Figures
from services.analytics.figures.catalogue import FIGURES
from services.analytics.pages.answering import LONGEST_NEXT, in_words, pages, shown
from services.analytics.pages.heads import head
from services.analytics.pages.render import Link, Problem, local_address, part
from shared.kernel.refusal import NotFound, Refusal
from shared.security.tokens import BadToken, KeysUnavailable
from shared.web.app import PUBLIC
from shared.web.reads import logs_reads
from shared.web.routes import StudyOf
from shared.web.same_origin import PageRoute

COOKIE, SESSION_SECONDS = "quartal_session", 15 * 60
STATIC = Path(__file__).parent / "static"
_TYPES = {
    "app.css": "text/css",
    "favicon.svg": "image/svg+xml",
    "live.js": "text/javascript",
    "stream.js": "text/javascript",
}
routes = APIRouter(include_in_schema=False, route_class=PageRoute)


@routes.get("/")
async def home(request: Request) -> Response:
    links: dict[str, list[Link]] = request.app.state.links
    return shown(pages.home(links, await _member(request)))


async def _member(request: Request) -> str:
    """Who is signed in, or nothing."""
    try:
        await request.app.state.admit(request)
    except Refusal:
        return ""
    return str(request.state.caller.subject)


@routes.get("/session")
async def sign_in(next: str = "/") -> Response:  # noqa: A002 - the query's name
    return shown(pages.login(local_address(next)))


@routes.post("/session")
async def signed_in(
    request: Request,
    token: Annotated[str, Form(max_length=8192)],
    next: Annotated[str, Form(max_length=LONGEST_NEXT)] = "/",  # noqa: A002 - the form field's name
) -> Response:
    """Keeps a valid token in a cookie that no script can read, for as long as a token lives."""
    try:
        await request.app.state.verifier.verify(token.strip())
    except (BadToken, KeysUnavailable):
        return shown(
            pages.login(
                local_address(next),
                Problem(401, "This token is not valid, or it has expired. Get a new token and paste it again."),
            ),
            401,
        )
    return with_session(request, token.strip(), local_address(next))


@routes.post("/session/end")
async def signed_out() -> Response:
    answer = RedirectResponse("/session", 303)
    answer.delete_cookie(COOKIE, path="/")
    return answer


def with_session(request: Request, token: str, address: str) -> Response:
    answer = RedirectResponse(address, 303)
    secure = not request.app.state.plain_http
    answer.set_cookie(COOKIE, token, SESSION_SECONDS, path="/", secure=secure, httponly=True, samesite="strict")
    return answer


@routes.get("/analytics/static/{name}")
async def static(name: str) -> Response:
    if name not in _TYPES:
        raise NotFound
    return FileResponse(STATIC / name, media_type=_TYPES[name], headers={"Cache-Control": PUBLIC})


@routes.get("/favicon.ico")
async def favicon() -> Response:
    return FileResponse(STATIC / "favicon.svg", media_type="image/svg+xml", headers={"Cache-Control": PUBLIC})


@routes.get("/analytics/studies/{study_id}")
@logs_reads
async def cohort(request: Request, study: StudyOf, wanted: Wanted) -> Response:
    return await in_words(request, _cohort(request, study, wanted.asked()))


async def _cohort(request: Request, study: str, asked: Asked) -> str:
    await request.app.state.admit(request)
    member, figures = request.state.caller.subject, _figures(request)
    query = _query(request)
    answers = await _readable(figures, study, member, asked)
    for answer in answers:
        note_figure(request, answer)
    parts = [part(answer, query) for answer in answers]
    first = parts[0]
    return pages.cohort(await head(request, study, "cohort", first.version, first.recorded_at, first.cut), parts)


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
@logs_reads
async def fragment(request: Request, study: StudyOf, name: str, wanted: Wanted) -> Response:
    """One figure of the page, as the page has it."""
    await request.app.state.admit(request)
    answer = await _figures(request).figure(name, study, request.state.caller.subject, wanted.asked())
    note_figure(request, answer)
    return shown(pages.fragment(part(drawable(answer), _query(request))))


def _figures(request: Request) -> Figures:
    held: Figures = request.app.state.figures
    return held


def _query(request: Request) -> dict[str, str]:
    return dict(request.query_params)
