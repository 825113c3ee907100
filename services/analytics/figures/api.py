"""Figures of a study over HTTP: as numbers, as tables and as pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request, Response
from fastapi.responses import JSONResponse

from services.analytics.figures.answers import ANY_FIGURE_ANSWER, FigureName, FigureNames
from services.analytics.figures.figure import FigureAnswer
from services.analytics.figures.parameters import FigureParameters, FigureQuery
from services.analytics.figures.registry import FIGURES
from services.analytics.figures.service import FigureService
from services.analytics.snapshot.api import StudyReaderDep
from shared.kernel.errors import NotFound
from shared.ui.csv import to_csv
from shared.web.container import Resources, get_container
from shared.web.fact_recording import StudyIdPath
from shared.web.fact_routes import create_router, refusal_responses
from shared.web.file_names import content_disposition
from shared.web.read_logging import logs_reads, note_no_rows, note_rows
from shared.web.response_models import CONTENT_HEADERS, NOT_MODIFIED, read_route_options

routes = create_router("/analytics/v1/studies/{study_id}")
MEDIA_TYPES = {"json": "application/json", "csv": "text/csv; charset=utf-8", "svg": "image/svg+xml"}


@dataclass(frozen=True, kw_only=True)
class FigureResources(Resources):
    """The resources of the figures."""

    figures: FigureService


async def get_figure_service(request: Request) -> FigureService:
    return get_container(request).get_resources(FigureResources).figures


FigureServiceDep = Annotated[FigureService, Depends(get_figure_service)]


@routes.get("/figures", **read_route_options(FigureNames), summary="List of figures")
async def names(request: Request, study: StudyIdPath, reader: StudyReaderDep) -> FigureNames:
    """Lists the figures, and the parameters that can divide each of them."""
    await reader.member_rights(study, request.state.caller.subject)
    rows = [
        FigureName(name=name, title=figure.TITLE, by=list(figure.STRATIFICATIONS)) for name, figure in FIGURES.items()
    ]
    return FigureNames(rows=rows, parameters=list(FigureParameters.model_fields))


@routes.get(
    "/figures/{name}.{kind}",
    tags=["reading"],
    responses={
        200: {
            "model": ANY_FIGURE_ANSWER,
            "content": {media: {} for media in MEDIA_TYPES.values()},
            "description": "The figure",
            "headers": dict(CONTENT_HEADERS),
        },
        304: NOT_MODIFIED,
        **refusal_responses({410: "The position belongs to an earlier epoch"}),
    },
    response_class=Response,
)
@logs_reads
async def figure(
    request: Request, study: StudyIdPath, name: str, kind: str, figure_query: FigureQuery, service: FigureServiceDep
) -> Response:
    """Returns a figure as numbers (.json), as a table (.csv) or as a picture (.svg)."""
    if kind not in MEDIA_TYPES or name not in FIGURES:
        raise NotFound
    answer = await service.figure(name, study, request.state.caller.subject, figure_query.to_request())
    note_figure(request, answer)
    filters = [f"{key}-{value}" for key, value in answer.context.filters.active().items()]
    headers = content_disposition(
        [study, name, *filters, f"cut-{answer.context.cut_date}"], answer.context.position, kind
    )
    if kind == "json":
        return JSONResponse(answer.to_json(), headers=headers)
    return Response(render_file(answer, kind), media_type=MEDIA_TYPES[kind], headers=headers)


def note_figure(request: Request, answer: FigureAnswer) -> None:
    """Notes for the log of reads how many rows of single participants a figure shows."""
    if answer.figure.DISCLOSURE.person_level:
        context = answer.context
        note_rows(
            request, context.study_id, answer.name, answer.figure.count_participant_rows(), site=context.filters.site
        )
    else:
        note_no_rows(request)


def render_file(answer: FigureAnswer, file_format: str) -> str:
    """Returns the text of a `csv` or `svg` file."""
    return to_csv(*answer.figure.table()) if file_format == "csv" else answer.figure.draw(answer.context)
