"""The cohort page of a study, and each of its figures alone."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fastapi import Request
from fastapi.responses import Response

from services.analytics import urls
from services.analytics.figures.api import FigureResources, note_figure, note_sealed_figure
from services.analytics.figures.cohort_headline import HEADLINE_FIGURES, cohort_headline
from services.analytics.figures.cut_rows import CutRow, cut_rows
from services.analytics.figures.document_links import DocumentLinkResources, DocumentList
from services.analytics.figures.figure import FigureAnswer
from services.analytics.figures.page_parts import (
    FigurePart,
    HeadlinePart,
    build_drawn_part,
    figure_part,
    with_previews,
)
from services.analytics.figures.parameters import CohortParameters, CohortQuery
from services.analytics.figures.registry import FIGURES
from services.analytics.figures.sealed import SealedPage
from services.analytics.figures.service import FigureService
from services.analytics.figures.state_choices import StateChoices, state_choices
from services.analytics.snapshot.access import may_see_participants
from services.analytics.snapshot.api import StudyResources
from services.analytics.snapshot.as_of import cut_name
from services.analytics.snapshot.study_reader import StudyReader
from services.analytics.study_header import StudyPage, build_study_header
from shared.kernel.errors import ReadersSeeCuts, RequestError
from shared.ui.html_errors import html_or_error
from shared.ui.navigation import Link, StudyHeader
from shared.ui.pages import Pages, create_page_router, html_response
from shared.web.container import get_container
from shared.web.fact_recording import StudyIdPath
from shared.web.read_logging import logs_reads

PAGE = StudyPage(route=urls.cohort_url("{study_id}"), nav_label="Cohort", is_live=True)
routes = create_page_router()
pages = Pages("analytics", Path(__file__).with_name("templates"))


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicationPart:
    """A publication on a page, with links to the others: all figures of it are replaced once there is a newer one."""

    name: str
    source: str
    version: int
    recorded_at: datetime
    cut_date: str
    others: Sequence[Link]


@dataclass(frozen=True, slots=True, kw_only=True)
class CutsPart:
    """The list of data cuts, and the documents of the data cut that the page shows; None at any other position.

    `source`: the address of this part alone. `is_live`: it follows the sealing of data cuts by itself, as it does not
    for readers, and not at a data cut of which everything is sealed.
    """

    rows: Sequence[CutRow]
    documents: DocumentList | None
    source: str
    is_live: bool


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
    figures = await _shown_figures(request, study, parameters)
    first = figures[0].part
    header = await build_study_header(
        request, study, PAGE, position=first.version, recorded_at=first.recorded_at, cut_date=first.cut_date
    )
    reader = get_container(request).get_resources(StudyResources).reader
    publication = figures[0].publication
    return render_cohort(
        header,
        with_previews([figure.part for figure in figures]),
        _headline_part(request, study, figures),
        await _publication_part(request, study, reader, publication),
        await _cuts_part(request, study, reader, parameters, publication),
        await state_choices(reader, study, request.query_params, publication),
    )


async def _cuts_part(
    request: Request, study: str, reader: StudyReader, parameters: CohortParameters, publication: str | None
) -> CutsPart:
    """Returns the data cuts of a study, which readers do not see, and the documents of the one that is shown."""
    rights = await reader.member_rights(study, request.state.caller.subject)
    shown_cut = publication or cut_name(parameters.at or "")
    documents = await _documents(request, study, shown_cut, parameters.site) if shown_cut else None
    return CutsPart(
        rows=[] if publication else await cut_rows(reader, study, has_changes=may_see_participants(rights)),
        documents=documents,
        source=urls.data_cuts_url(study, request.query_params),
        is_live=publication is None and (documents is None or documents.state != ""),
    )


async def _documents(request: Request, study: str, cut: str, site: str | None) -> DocumentList:
    document_links = get_container(request).get_resources(DocumentLinkResources).document_links
    return await document_links(study, request.state.caller.subject, cut, site)


@routes.get("/analytics/studies/{study_id}/data-cuts")
async def data_cuts_fragment(request: Request, study: StudyIdPath, figure_query: CohortQuery) -> Response:
    """Returns the data cuts of the cohort page, and the documents of the one that it shows."""
    await get_container(request).authenticate(request)
    reader = get_container(request).get_resources(StudyResources).reader
    if (await reader.member_rights(study, request.state.caller.subject)).is_reader:
        raise ReadersSeeCuts
    part = await _cuts_part(request, study, reader, figure_query, None)
    names = [*(["documents.html"] if part.documents else []), "data_cuts.html"]
    return html_response("".join(pages.render(name, cuts=part) for name in names))


def _headline_part(request: Request, study: str, figures: Sequence[ShownFigure]) -> HeadlinePart:
    first = figures[0].part
    return HeadlinePart(
        numbers=cohort_headline({figure.part.name: list(figure.part.headline) for figure in figures}),
        source=urls.headline_url(study, request.query_params),
        version=first.version,
        recorded_at=first.recorded_at,
        cut_date=first.cut_date,
        is_live=first.is_live,
    )


@routes.get("/analytics/studies/{study_id}/headline")
@logs_reads
async def headline_fragment(request: Request, study: StudyIdPath, figure_query: CohortQuery) -> Response:
    """Returns the first numbers of the cohort page, which has them before all figures."""
    await get_container(request).authenticate(request)
    figures = await _shown_figures(request, study, figure_query, HEADLINE_FIGURES)
    return html_response(pages.render("headline.html", headline=_headline_part(request, study, figures)))


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


async def _shown_figures(
    request: Request, study: str, parameters: CohortParameters, names: Collection[str] = FIGURES
) -> list[ShownFigure]:
    """Returns the figures of these that the member may read, all at one position.

    Raises the first refusal if there is none.

    Figures of a sealed data cut are shown as they were sealed.
    """
    figures, member = _figure_service(request), request.state.caller.subject
    figure_request, numbers = parameters.to_request(), parameters.page_numbers()
    parts_by_name, refusals = dict[str, ShownFigure](), list[RequestError]()
    for name in names:
        if sealed := await figures.sealed_page(name, study, member, figure_request, numbers):
            parts_by_name[name] = _show_sealed(request, study, sealed)
    computed = [name for name in FIGURES if name in names and name not in parts_by_name]
    async for answer in figures.figures(computed, study, member, figure_request, numbers):
        if isinstance(answer, RequestError):
            refusals.append(answer)
        else:
            parts_by_name[answer.name] = await _show_answer(request, answer)
    if not parts_by_name and refusals:
        raise refusals[0]
    return [parts_by_name[name] for name in FIGURES if name in parts_by_name]


async def _show_answer(request: Request, answer: FigureAnswer) -> ShownFigure:
    """Returns a computed figure, and notes the read."""
    note_figure(request, answer)
    cut, figure = answer.context.requested_cut, await _figure_service(request).drawn(answer)
    return ShownFigure(build_drawn_part(figure, request.query_params), cut.name if cut else None)


def _show_sealed(request: Request, study: str, sealed: SealedPage) -> ShownFigure:
    """Returns a sealed figure, and notes the read."""
    note_sealed_figure(request, study, sealed.content.name, sealed.participant_rows)
    part = figure_part(study, sealed.content, sealed.picture, request.query_params, is_live=False)
    return ShownFigure(part, sealed.cut_name if sealed.is_publication else None)


@routes.get("/analytics/studies/{study_id}/figures/{name}")
@logs_reads
async def figure_page(request: Request, study: StudyIdPath, name: str, figure_query: CohortQuery) -> Response:
    """Returns a page of one figure; the cohort page takes the figure from it."""
    return await html_or_error(request, pages, _render_figure_page(request, study, name, figure_query))


async def _render_figure_page(request: Request, study: str, name: str, parameters: CohortParameters) -> str:
    await get_container(request).authenticate(request)
    figures, member = _figure_service(request), request.state.caller.subject
    figure_request, numbers = parameters.to_request(), parameters.page_numbers()
    if sealed := await figures.sealed_page(name, study, member, figure_request, numbers):
        part = _show_sealed(request, study, sealed).part
    else:
        answer = await figures.figure(name, study, member, figure_request, numbers)
        part = (await _show_answer(request, answer)).part
    header = await build_study_header(
        request, study, PAGE, position=part.version, recorded_at=part.recorded_at, cut_date=part.cut_date
    )
    return pages.render_study(
        "figure_page.html", header, part=part, cohort=urls.cohort_url(study, request.query_params)
    )


def render_cohort(
    study: StudyHeader,
    parts: Sequence[FigurePart],
    headline: HeadlinePart,
    publication: PublicationPart | None = None,
    cuts: CutsPart | None = None,
    states: StateChoices | None = None,
) -> str:
    return pages.render_study(
        "cohort.html",
        study,
        parts=parts,
        headline=headline,
        publication=publication,
        cuts=cuts,
        states=states,
    )


def render_figure(part: FigurePart) -> str:
    return pages.render("figure.html", part=part)


def _figure_service(request: Request) -> FigureService:
    return get_container(request).get_resources(FigureResources).figures
