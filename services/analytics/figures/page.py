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
from services.analytics.figures.parameters import CohortParameters, CohortQuery, format_pages
from services.analytics.figures.person_level import PersonLevelFigure
from services.analytics.figures.registry import FIGURES
from services.analytics.figures.row_pages import PAGE_SIZE, RowPage
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


@dataclass(frozen=True, slots=True)
class RowPagesPart:
    """The page of rows that a figure shows, with links to its neighbors. `is_chosen`: a link led to this page."""

    shown: RowPage
    previous: str | None
    next: str | None
    is_chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FigurePart:
    """A figure on a page: `version` is the position it shows, `source` the address of this part alone.

    A figure that `is_live` follows the record by itself. A publication is replaced as a whole. `row_pages`: None for a
    figure whose rows fit one page.
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
    row_pages: RowPagesPart | None

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
async def cohort_page(request: Request, study: StudyIdPath, figure_query: CohortQuery) -> Response:
    return await html_or_error(request, pages, _render_cohort(request, study, figure_query))


async def _render_cohort(request: Request, study: str, parameters: CohortParameters) -> str:
    await get_container(request).authenticate(request)
    member, figures = request.state.caller.subject, _figure_service(request)
    answers = await _readable_figures(figures, study, member, parameters)
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
    figures: FigureService, study: str, member: str, parameters: CohortParameters
) -> list[FigureAnswer]:
    """Returns the figures that the member may read, all at one position. Raises the first refusal if there is none."""
    answers, refusals = list[FigureAnswer](), list[RequestError]()
    request, page_numbers = parameters.to_request(), parameters.page_numbers()
    async for answer in figures.figures(list(FIGURES), study, member, request, page_numbers):
        if isinstance(answer, RequestError):
            refusals.append(answer)
        else:
            answers.append(answer)
    if not answers and refusals:
        raise refusals[0]
    return answers


@routes.get("/analytics/studies/{study_id}/figures/{name}")
@logs_reads
async def figure_fragment(request: Request, study: StudyIdPath, name: str, figure_query: CohortQuery) -> Response:
    """Returns one figure as the cohort page shows it."""
    await get_container(request).authenticate(request)
    answer = await _figure_service(request).figure(
        name, study, request.state.caller.subject, figure_query.to_request(), figure_query.page_numbers()
    )
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
        downloads=_downloads(answer, query),
        is_live=context.publication is None,
        row_pages=_row_pages(answer, query),
    )


def _downloads(answer: FigureAnswer, query: Mapping[str, str]) -> list[Link]:
    """Returns links to the files. They have the rows of the page that is shown, but the table those of all pages."""
    study, filters = answer.context.study_id, _without_pages(query)
    page_query = filters if (number := _shown_page(answer)) == 1 else {**filters, "page": str(number)}
    return [
        Link(
            urls.figure_file_url(study, answer.name, extension, filters if extension == ".csv" else page_query),
            f"{label} ({extension})",
        )
        for extension, label in FILE_KINDS.items()
    ]


def _row_pages(answer: FigureAnswer, query: Mapping[str, str]) -> RowPagesPart | None:
    figure, number = answer.figure, _shown_page(answer)
    if not isinstance(figure, PersonLevelFigure) or figure.page.total <= PAGE_SIZE:
        return None
    chosen = CohortParameters(pages=query.get("pages", "")).page_numbers()

    def page_url(other: int) -> str:
        page_query = {**_without_pages(query), **format_pages({**chosen, answer.name: other})}
        return f"{urls.cohort_url(answer.context.study_id, page_query)}#{answer.name}-table"

    return RowPagesPart(
        shown=figure.page,
        previous=page_url(number - 1) if number > 1 else None,
        next=page_url(number + 1) if figure.page.last < figure.page.total else None,
        is_chosen=answer.name in chosen,
    )


def _shown_page(answer: FigureAnswer) -> int:
    """Returns the number of the page that is shown: the last one, if a later one was chosen."""
    figure = answer.figure
    return figure.page.first // PAGE_SIZE + 1 if isinstance(figure, PersonLevelFigure) else 1


def _without_pages(query: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in query.items() if name != "pages"}


def render_cohort(study: StudyHeader, parts: Sequence[FigurePart], publication: PublicationPart | None = None) -> str:
    return pages.render_study("cohort.html", study, parts=parts, publication=publication)


def render_figure(part: FigurePart) -> str:
    return pages.render("figure.html", part=part)


def _figure_service(request: Request) -> FigureService:
    return get_container(request).get_resources(FigureResources).figures
