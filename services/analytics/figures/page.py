"""The cohort page of a study, and each of its figures alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fastapi import Request
from fastapi.responses import Response

from services.analytics import urls
from services.analytics.figures.api import FigureResources, note_figure
from services.analytics.figures.figure import FigureAnswer, FigureContext
from services.analytics.figures.parameters import FigureQuery, FigureRequest
from services.analytics.figures.registry import FIGURES
from services.analytics.figures.service import FigureService
from services.analytics.snapshot.api import StudyResources
from services.analytics.study_header import StudyPage, build_study_header
from shared.kernel.errors import RequestError
from shared.ui.html_errors import html_or_error
from shared.ui.navigation import Link, StudyHeader
from shared.ui.pages import MAX_TABLE_ROWS, Pages, create_page_router, html_response
from shared.web.container import get_container
from shared.web.fact_recording import StudyIdPath
from shared.web.read_logging import logs_reads

FILE_KINDS = {".json": "Numbers", ".csv": "Table", ".svg": "Picture"}
PAGE = StudyPage(route=urls.cohort_url("{study_id}"), nav_label="Cohort", is_live=True)
routes = create_page_router()
pages = Pages("analytics", Path(__file__).with_name("templates"))


@dataclass(frozen=True, slots=True, kw_only=True)
class FigurePart:
    """A figure on a page: `version` is the position it shows, `source` the address of this part alone.

    A figure that `is_live` follows the record by itself. A publication is replaced as a whole.
    """

    name: str
    title: str
    source: str
    version: int
    recorded_at: datetime | None
    cut_date: str
    picture: str
    caption: str
    headline: Sequence[tuple[str, str, str]]
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    downloads: Sequence[Link]
    is_live: bool

    @property
    def rows_shown(self) -> Sequence[Sequence[str]]:
        return self.rows[:MAX_TABLE_ROWS]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicationPart:
    """A publication on a page, with links to the others: all figures of it are replaced once there is a newer one."""

    name: str
    source: str
    version: int
    recorded_at: datetime
    cut_date: str
    others: Sequence[Link]


@routes.get(PAGE.route)
@logs_reads
async def cohort_page(request: Request, study: StudyIdPath, figure_query: FigureQuery) -> Response:
    return await html_or_error(request, pages, _render_cohort(request, study, figure_query.to_request()))


async def _render_cohort(request: Request, study: str, figure_request: FigureRequest) -> str:
    await get_container(request).authenticate(request)
    member, figures = request.state.caller.subject, _figure_service(request)
    answers = await _readable_figures(figures, study, member, figure_request)
    publication = await _publication_part(request, study, answers[0].context)
    for answer in answers:
        note_figure(request, answer)
    context = answers[0].context
    header = await build_study_header(
        request,
        study,
        PAGE,
        position=context.position,
        recorded_at=context.recorded_at,
        cut_date=context.cut_date.isoformat(),
    )
    return render_cohort(header, [build_figure_part(answer, request.query_params) for answer in answers], publication)


async def _publication_part(request: Request, study: str, context: FigureContext) -> PublicationPart | None:
    """Returns the publication that a reader sees; None for all other members."""
    published_cut = context.requested_cut
    if published_cut is None:
        return None
    cuts = await get_container(request).get_resources(StudyResources).reader.data_cuts(study)
    return PublicationPart(
        name=published_cut.name,
        source=urls.cohort_url(study, request.query_params),
        version=published_cut.position,
        recorded_at=published_cut.recorded_at,
        cut_date=published_cut.cut_on.isoformat(),
        others=[
            Link(urls.cohort_url(study, {"at": f"cut:{cut.name}"}), f"{cut.name} ({cut.cut_on})")
            for cut in reversed(cuts)
            if cut != published_cut
        ],
    )


async def _readable_figures(
    figures: FigureService, study: str, member: str, figure_request: FigureRequest
) -> list[FigureAnswer]:
    """Returns the figures that the member may read, all at one position. Raises the first refusal if there is none."""
    answers, refusals = list[FigureAnswer](), list[RequestError]()
    async for answer in figures.figures(list(FIGURES), study, member, figure_request):
        if isinstance(answer, RequestError):
            refusals.append(answer)
        else:
            answers.append(answer)
    if not answers and refusals:
        raise refusals[0]
    return answers


@routes.get("/analytics/studies/{study_id}/figures/{name}")
@logs_reads
async def figure_fragment(request: Request, study: StudyIdPath, name: str, figure_query: FigureQuery) -> Response:
    """Returns one figure as the cohort page shows it."""
    await get_container(request).authenticate(request)
    answer = await _figure_service(request).figure(name, study, request.state.caller.subject, figure_query.to_request())
    note_figure(request, answer)
    return html_response(render_figure(build_figure_part(answer, request.query_params)))


def build_figure_part(answer: FigureAnswer, query: Mapping[str, str] = urls.NO_QUERY) -> FigurePart:
    """Returns the part that shows a figure, with links that keep its `query`."""
    figure, context = answer.figure, answer.context
    header, rows = figure.table()
    return FigurePart(
        name=answer.name,
        title=figure.TITLE,
        source=urls.figure_url(context.study_id, answer.name, query),
        version=context.position,
        recorded_at=context.recorded_at,
        cut_date=context.cut_date.isoformat(),
        picture=figure.draw(context),
        caption=figure.caption(context),
        headline=figure.headline(context),
        header=[figure.COLUMN_HEADINGS.get(column, column) for column in header],
        rows=rows,
        downloads=[
            Link(urls.figure_file_url(context.study_id, answer.name, extension, query), f"{label} ({extension})")
            for extension, label in FILE_KINDS.items()
        ],
        is_live=context.publication is None,
    )


def render_cohort(study: StudyHeader, parts: Sequence[FigurePart], publication: PublicationPart | None = None) -> str:
    return pages.render_study("cohort.html", study, parts=parts, publication=publication)


def render_figure(part: FigurePart) -> str:
    return pages.render("figure.html", part=part)


def _figure_service(request: Request) -> FigureService:
    return get_container(request).get_resources(FigureResources).figures
