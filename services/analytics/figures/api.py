"""Figures of a study over HTTP: as numbers, as tables and as pictures."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Annotated

from fastapi import Depends, Request, Response

from services.analytics.figures.answers import ANY_FIGURE_ANSWER, FigureName, FigureNames
from services.analytics.figures.figure import FigureAnswer
from services.analytics.figures.files import MEDIA_TYPES, file_name_parts
from services.analytics.figures.parameters import OWN_PARAMETERS, FigureFileParameters, FigureFileQuery, FigureRequest
from services.analytics.figures.registry import FIGURES
from services.analytics.figures.service import FigureService
from services.analytics.snapshot.api import StudyReaderDep
from shared.kernel.errors import NotFound, parameter_error
from shared.web.container import Resources, get_container
from shared.web.fact_recording import StudyIdPath
from shared.web.fact_routes import create_router, refusal_responses
from shared.web.file_names import content_disposition
from shared.web.read_logging import logs_reads, note_no_rows, note_rows
from shared.web.response_models import CONTENT_HEADERS, NOT_MODIFIED, read_route_options

routes = create_router("/analytics/v1/studies/{study_id}")


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
    return FigureNames(rows=rows, parameters=list(FigureFileParameters.model_fields))


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
    request: Request, study: StudyIdPath, name: str, kind: str, figure_query: FigureFileQuery, service: FigureServiceDep
) -> Response:
    """Returns a figure as numbers (.json), as a table (.csv) or as a picture (.svg, .png).

    Rows of single participants come in pages, sorted by participant; all other numbers are those of every page. Give
    `next` as `after` for the following page, with the `at`, `cut` and filters of the answer that has it. The table has
    the rows of all pages.

    At a named data cut and without other parameters, the answer is the file that was stored when the cut was sealed:
    the same bytes for ever, with `"sealed": true`. With other parameters it is computed from the facts of the cut."""
    if kind not in MEDIA_TYPES or name not in FIGURES:
        raise NotFound
    figure_request = figure_query.to_request()
    _require_parameters(name, figure_request)
    if sealed := await service.sealed_file(name, study, request.state.caller.subject, figure_request, kind):
        note_sealed_figure(request, study, name, sealed.file.participant_rows)
        names = content_disposition(sealed.file.file_name_parts, sealed.seal.position, kind)
        return _file_response(sealed.file.content, kind, names)
    if kind == "csv" and FIGURES[name].has_pages():
        figure_request = replace(figure_request, page=replace(figure_request.page, all_rows=True))
    answer = await service.figure(name, study, request.state.caller.subject, figure_request)
    note_figure(request, answer)
    content = await service.render(answer, kind)
    return _file_response(
        content, kind, content_disposition(list(file_name_parts(answer)), answer.context.position, kind)
    )


def _file_response(content: bytes, kind: str, headers: Mapping[str, str]) -> Response:
    """Returns the response of a file, with the SHA-256 of its bytes (RFC 9530) beside its tag."""
    digest = f"sha-256=:{b64encode(sha256(content).digest()).decode()}:"
    return Response(content, media_type=MEDIA_TYPES[kind], headers={**headers, "Repr-Digest": digest})


def _require_parameters(name: str, figure_request: FigureRequest) -> None:
    """Raises RequestRejected for a parameter that other figures have and this one does not, and for such an origin."""
    chosen = FIGURES[name]
    for parameter in OWN_PARAMETERS:
        if getattr(figure_request, parameter) is not None and parameter not in chosen.PARAMETERS:
            having = ", ".join(other for other, figure in FIGURES.items() if parameter in figure.PARAMETERS)
            raise parameter_error(
                parameter, f"This figure has no `{parameter}`. Leave it out. These figures have it: {having}."
            )
    if figure_request.origin is not None and figure_request.origin not in chosen.ORIGINS:
        raise parameter_error("origin", f"This figure counts from: {', '.join(chosen.ORIGINS)}. Give one of them.")


def note_figure(request: Request, answer: FigureAnswer) -> None:
    """Notes for the log of reads how many rows of single participants a figure shows."""
    if answer.figure.DISCLOSURE.person_level:
        context = answer.context
        note_rows(
            request, context.study_id, answer.name, answer.figure.count_participant_rows(), site=context.filters.site
        )
    else:
        note_no_rows(request)


def note_sealed_figure(request: Request, study: str, name: str, participant_rows: int) -> None:
    """Notes for the log of reads how many rows of single participants a sealed figure shows."""
    if FIGURES[name].DISCLOSURE.person_level:
        note_rows(request, study, name, participant_rows)
    else:
        note_no_rows(request)
