"""The pages: where to go, signing in, a study's cohort, one figure of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import FileResponse, RedirectResponse, Response

from services.analytics.api import FigureQuery, note_figure, require_unsuppressed
from services.analytics.asking import FigureRequest, FigureService
from services.analytics.figures.registry import FIGURES
from services.analytics.pages.html_errors import MAX_NEXT_LENGTH, html_or_error, html_response, pages
from services.analytics.pages.render import Link, Problem, build_figure_part, local_address
from services.analytics.pages.study_header import build_study_header
from shared.kernel.errors import NotFound, RequestError
from shared.security.tokens import BadToken, KeysUnavailable
from shared.web.app import PUBLIC_CACHE_CONTROL
from shared.web.fact_recording import StudyIdPath
from shared.web.read_logging import logs_reads
from shared.web.same_origin import PageRoute

SESSION_COOKIE, SESSION_SECONDS = "quartal_session", 15 * 60
STATIC = Path(__file__).parent / "static"
_MEDIA_TYPES = {
    "app.css": "text/css",
    "favicon.svg": "image/svg+xml",
    "live.js": "text/javascript",
    "stream.js": "text/javascript",
}
routes = APIRouter(include_in_schema=False, route_class=PageRoute)


@routes.get("/")
async def home(request: Request) -> Response:
    links: dict[str, list[Link]] = request.app.state.links
    return html_response(pages.home(links, await _signed_in_member(request)))


async def _signed_in_member(request: Request) -> str:
    """Who is signed in, or nothing."""
    try:
        await request.app.state.admit(request)
    except RequestError:
        return ""
    return str(request.state.caller.subject)


@routes.get("/session")
async def sign_in_form(next: str = "/") -> Response:  # noqa: A002 - the query's name
    return html_response(pages.login(local_address(next)))


@routes.post("/session")
async def create_session(
    request: Request,
    token: Annotated[str, Form(max_length=8192)],
    next: Annotated[str, Form(max_length=MAX_NEXT_LENGTH)] = "/",  # noqa: A002 - the form field's name
) -> Response:
    """Keeps a valid token in a cookie that no script can read, for as long as a token lives."""
    try:
        await request.app.state.verifier.verify(token.strip())
    except (BadToken, KeysUnavailable):
        return html_response(
            pages.login(
                local_address(next),
                Problem(401, "This token is not valid, or it has expired. Get a new token and paste it again."),
            ),
            401,
        )
    return redirect_with_session(request, token.strip(), local_address(next))


@routes.post("/session/end")
async def end_session() -> Response:
    response = RedirectResponse("/session", 303)
    response.delete_cookie(SESSION_COOKIE, path="/")
    return response


def redirect_with_session(request: Request, token: str, address: str) -> Response:
    response = RedirectResponse(address, 303)
    secure = not request.app.state.plain_http
    response.set_cookie(
        SESSION_COOKIE, token, SESSION_SECONDS, path="/", secure=secure, httponly=True, samesite="strict"
    )
    return response


@routes.get("/analytics/static/{name}")
async def static_file(name: str) -> Response:
    if name not in _MEDIA_TYPES:
        raise NotFound
    return FileResponse(STATIC / name, media_type=_MEDIA_TYPES[name], headers={"Cache-Control": PUBLIC_CACHE_CONTROL})


@routes.get("/favicon.ico")
async def favicon() -> Response:
    return FileResponse(
        STATIC / "favicon.svg", media_type="image/svg+xml", headers={"Cache-Control": PUBLIC_CACHE_CONTROL}
    )


@routes.get("/analytics/studies/{study_id}")
@logs_reads
async def cohort_page(request: Request, study: StudyIdPath, figure_query: FigureQuery) -> Response:
    return await html_or_error(request, _render_cohort(request, study, figure_query.to_request()))


async def _render_cohort(request: Request, study: str, figure_request: FigureRequest) -> str:
    await request.app.state.admit(request)
    member, figures = request.state.caller.subject, _figure_service(request)
    query = _query_parameters(request)
    answers = await _readable_figures(figures, study, member, figure_request)
    for answer in answers:
        note_figure(request, answer)
    parts = [build_figure_part(answer, query) for answer in answers]
    first = parts[0]
    return pages.cohort(
        await build_study_header(request, study, "cohort", first.version, first.recorded_at, first.cut), parts
    )


async def _readable_figures(
    figures: FigureService, study: str, member: str, figure_request: FigureRequest
) -> list[dict[str, Any]]:
    """The figures that the member may read; the refusal, if that is none."""
    answers, last_refusal = [], None
    for name in FIGURES:
        try:
            answers.append(require_unsuppressed(await figures.figure(name, study, member, figure_request)))
        except RequestError as refusal:
            last_refusal = refusal
    if not answers and last_refusal:
        raise last_refusal
    return answers


@routes.get("/analytics/studies/{study_id}/figures/{name}")
@logs_reads
async def figure_fragment(request: Request, study: StudyIdPath, name: str, figure_query: FigureQuery) -> Response:
    """One figure of the page, as the page has it."""
    await request.app.state.admit(request)
    answer = await _figure_service(request).figure(name, study, request.state.caller.subject, figure_query.to_request())
    note_figure(request, answer)
    return html_response(
        pages.figure_fragment(build_figure_part(require_unsuppressed(answer), _query_parameters(request)))
    )


def _figure_service(request: Request) -> FigureService:
    service: FigureService = request.app.state.figures
    return service


def _query_parameters(request: Request) -> dict[str, str]:
    return dict(request.query_params)
