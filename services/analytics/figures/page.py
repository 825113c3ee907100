"""The cohort page of a study, and each of its figures alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fastapi import Request
from fastapi.responses import Response

from services.analytics import urls
from services.analytics.figures.api import FigureResources, note_figure, note_sealed_figure
from services.analytics.figures.cut_rows import CutRow, cut_rows
from services.analytics.figures.document_links import DocumentLinkResources
from services.analytics.figures.figure import FigureAnswer
from services.analytics.figures.order_links import order_links
from services.analytics.figures.page_content import DrawnFigure, PageContent, draw_figure
from services.analytics.figures.parameters import CohortParameters, CohortQuery, format_pages
from services.analytics.figures.registry import FIGURES
from services.analytics.figures.row_pages import PAGE_SIZE, RowPage
from services.analytics.figures.sealed import SealedPage
from services.analytics.figures.service import FigureService
from services.analytics.snapshot.access import may_see_participants
from services.analytics.snapshot.api import StudyResources
from services.analytics.snapshot.as_of import cut_name
from services.analytics.snapshot.study_reader import StudyReader
from services.analytics.study_header import StudyPage, build_study_header
from shared.eventstore.study_cache import load_rights
from shared.kernel.errors import RequestError
from shared.ui.html_errors import html_or_error
from shared.ui.navigation import Link, NavLink, StudyHeader
from shared.ui.pages import MAX_TABLE_ROWS, Pages, create_page_router, html_response
from shared.web.container import get_container
from shared.web.fact_recording import StudyIdPath
from shared.web.read_logging import logs_reads

FILE_KINDS = {".json": "Numbers", ".csv": "Table", ".svg": "Picture", ".png": "Picture"}
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
    figure whose rows fit one page. `orders`: of the lanes of a figure that has lanes.
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
    orders: Sequence[NavLink]

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


@dataclass(frozen=True, slots=True)
class ShownFigure:
    """A figure on the cohort page. `publication`: the name of the data cut that a reader sees; None for others."""

    part: FigurePart
    publication: str | None


@routes.get(PAGE.route)
@logs_reads
async def cohort_page(request: Request, study: StudyIdPath, figure_query: CohortQuery) -> Response:
    return await html_or_error(request, pages, _render_cohort(request, study, figure_query))


async def _render_cohort(request: Request, study: str, parameters: CohortParameters) -> str:
    await get_container(request).authenticate(request)
    shown = await _shown_figures(request, study, parameters)
    first = shown[0].part
    header = await build_study_header(
        request, study, PAGE, position=first.version, recorded_at=first.recorded_at, cut_date=first.cut_date
    )
    reader = get_container(request).get_resources(StudyResources).reader
    rights, _ = await load_rights(reader.studies, study, request.state.caller.subject)
    publication = shown[0].publication
    return render_cohort(
        header,
        [figure.part for figure in shown],
        await _publication_part(request, study, reader, publication),
        [] if publication else await cut_rows(reader, study, has_changes=may_see_participants(rights)),
        await _documents(request, study, publication or cut_name(parameters.at or ""), parameters.site),
    )


async def _documents(request: Request, study: str, cut: str | None, site: str | None) -> Sequence[Link]:
    """Returns links to the documents of the data cut that the page shows; none at any other position."""
    if cut is None:
        return []
    document_links = get_container(request).get_resources(DocumentLinkResources).document_links
    return await document_links(study, request.state.caller.subject, cut, site)


async def _publication_part(
    request: Request, study: str, reader: StudyReader, publication: str | None
) -> PublicationPart | None:
    """Returns the publication that a reader sees; None for all other members. `publication`: the name of its cut."""
    if publication is None:
        return None
    cuts = await reader.data_cuts(study)
    published_cut = next(cut for cut in cuts if cut.name == publication)
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


async def _shown_figures(request: Request, study: str, parameters: CohortParameters) -> list[ShownFigure]:
    """Returns the figures that the member may read, all at one position. Raises the first refusal if there is none.

    Figures of a sealed data cut are shown as they were sealed.
    """
    figures, member = _figure_service(request), request.state.caller.subject
    figure_request, numbers = parameters.to_request(), parameters.page_numbers()
    shown, refusals = dict[str, ShownFigure](), list[RequestError]()
    for name in FIGURES:
        if sealed := await figures.sealed_page(name, study, member, figure_request, numbers):
            shown[name] = _show_sealed(request, study, sealed)
    computed = [name for name in FIGURES if name not in shown]
    async for answer in figures.figures(computed, study, member, figure_request, numbers):
        if isinstance(answer, RequestError):
            refusals.append(answer)
        else:
            shown[answer.name] = await _show_answer(request, answer)
    if not shown and refusals:
        raise refusals[0]
    return [shown[name] for name in FIGURES if name in shown]


async def _show_answer(request: Request, answer: FigureAnswer) -> ShownFigure:
    """Returns a computed figure, and notes the read."""
    note_figure(request, answer)
    cut, drawn = answer.context.requested_cut, await _figure_service(request).drawn(answer)
    return ShownFigure(build_drawn_part(drawn, request.query_params), cut.name if cut else None)


def _show_sealed(request: Request, study: str, sealed: SealedPage) -> ShownFigure:
    """Returns a sealed figure, and notes the read."""
    note_sealed_figure(request, study, sealed.content.name, sealed.participant_rows)
    part = _figure_part(study, sealed.content, sealed.picture, request.query_params, is_live=False)
    return ShownFigure(part, sealed.cut_name if sealed.is_publication else None)


@routes.get("/analytics/studies/{study_id}/figures/{name}")
@logs_reads
async def figure_fragment(request: Request, study: StudyIdPath, name: str, figure_query: CohortQuery) -> Response:
    """Returns one figure as the cohort page shows it."""
    await get_container(request).authenticate(request)
    figures, member = _figure_service(request), request.state.caller.subject
    figure_request, numbers = figure_query.to_request(), figure_query.page_numbers()
    if sealed := await figures.sealed_page(name, study, member, figure_request, numbers):
        return html_response(render_figure(_show_sealed(request, study, sealed).part))
    answer = await figures.figure(name, study, member, figure_request, numbers)
    return html_response(render_figure((await _show_answer(request, answer)).part))


def build_figure_part(answer: FigureAnswer, query: Mapping[str, str] = urls.NO_QUERY) -> FigurePart:
    """Returns the part that shows a figure, with links that keep its `query`."""
    return build_drawn_part(draw_figure(answer), query)


def build_drawn_part(drawn: DrawnFigure, query: Mapping[str, str]) -> FigurePart:
    """Returns what `build_figure_part` returns, of a figure that is drawn."""
    context = drawn.answer.context
    is_live = context.publication is None
    return _figure_part(context.study_id, drawn.content, drawn.picture, query, is_live=is_live)


def _figure_part(
    study: str, content: PageContent, picture: str, query: Mapping[str, str], *, is_live: bool
) -> FigurePart:
    return FigurePart(
        name=content.name,
        title=content.title,
        source=urls.figure_url(study, content.name, query),
        version=content.position,
        recorded_at=content.recorded_at,
        cut_date=content.cut_date.isoformat(),
        picture=picture,
        caption=content.caption,
        headline=content.headline,
        header=content.header,
        rows=content.rows,
        downloads=_downloads(study, content, query),
        is_live=is_live,
        row_pages=_row_pages(study, content, query),
        orders=order_links(study, content.name, query),
    )


def _downloads(study: str, content: PageContent, query: Mapping[str, str]) -> list[Link]:
    """Returns links to the files. They have the rows of the page that is shown, but the table those of all pages."""
    filters = _without_pages(query)
    page_query = filters if (number := _shown_page(content)) == 1 else {**filters, "page": str(number)}
    return [
        Link(
            urls.figure_file_url(study, content.name, extension, filters if extension == ".csv" else page_query),
            f"{label} ({extension})",
        )
        for extension, label in FILE_KINDS.items()
    ]


def _row_pages(study: str, content: PageContent, query: Mapping[str, str]) -> RowPagesPart | None:
    shown, number = content.row_page, _shown_page(content)
    if shown is None or shown.total <= PAGE_SIZE:
        return None
    chosen = CohortParameters(pages=query.get("pages", "")).page_numbers()

    def page_url(other: int) -> str:
        page_query = {**_without_pages(query), **format_pages({**chosen, content.name: other})}
        return f"{urls.cohort_url(study, page_query)}#{content.name}-table"

    return RowPagesPart(
        shown=shown,
        previous=page_url(number - 1) if number > 1 else None,
        next=page_url(number + 1) if shown.last < shown.total else None,
        is_chosen=content.name in chosen,
    )


def _shown_page(content: PageContent) -> int:
    """Returns the number of the page that is shown: the last one, if a later one was chosen."""
    return content.row_page.first // PAGE_SIZE + 1 if content.row_page else 1


def _without_pages(query: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in query.items() if name != "pages"}


def render_cohort(
    study: StudyHeader,
    parts: Sequence[FigurePart],
    publication: PublicationPart | None = None,
    cuts: Sequence[CutRow] = (),
    documents: Sequence[Link] = (),
) -> str:
    return pages.render_study(
        "cohort.html", study, parts=parts, publication=publication, cuts=cuts, documents=documents
    )


def render_figure(part: FigurePart) -> str:
    return pages.render("figure.html", part=part)


def _figure_service(request: Request) -> FigureService:
    return get_container(request).get_resources(FigureResources).figures
