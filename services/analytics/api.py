"""Figures of a study as numbers, tables and pictures, and the position that they are computed at."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from services.analytics.answers import FigureNames
from services.analytics.figures import active_parameters
from services.analytics.figures.parameters import FigureRequest
from services.analytics.figures.registry import FIGURES
from services.analytics.figures.service import FigureService
from services.analytics.snapshot.as_of import AsOf
from services.analytics.snapshot.as_of_parameters import AsOfParameter, AtParameter, EpochParameter
from services.analytics.snapshot.study_reader import StudyReader
from shared.kernel.errors import Forbidden, NotFound
from shared.kernel.ids import SiteId
from shared.kernel.partial_date import Day
from shared.ui.csv import to_csv
from shared.web.fact_routes import StudyIdPath, create_router, refusal_responses
from shared.web.file_names import content_disposition
from shared.web.read_logging import logs_reads, note_no_rows, note_rows
from shared.web.response_models import CONTENT_HEADERS, NOT_MODIFIED, read_route_options

routes = create_router("/analytics/v1/studies/{study_id}")
MEDIA_TYPES = {"json": "application/json", "csv": "text/csv; charset=utf-8", "svg": "image/svg+xml"}


class FigureParameters(BaseModel):
    """Parameters that filter, date or divide a figure. Unknown parameters are refused."""

    model_config = ConfigDict(extra="forbid")

    cut: Annotated[
        Day | None, Field(description="data cut-off: the last day that is counted; default: the study's today")
    ] = None
    at: AtParameter = None
    as_of: AsOfParameter = None
    site: Annotated[SiteId | None, Field(description="only participants enrolled at this site")] = None
    subset: Literal["all", "stereotactic"] = "all"
    by: Annotated[Literal["site", "sex", "subset"] | None, Field(description="divide the figure by this")] = None
    epoch: EpochParameter = None

    def to_request(self) -> FigureRequest:
        return FigureRequest(
            cut=self.cut,
            as_of=AsOf(at=self.at, recorded_until=self.as_of, epoch=self.epoch),
            site=self.site,
            subset=self.subset,
            by=self.by,
        )


FigureQuery = Annotated[FigureParameters, Query()]


class Position(BaseModel):
    """Number of facts of a study that analytics has applied. `epoch` changes when the count begins anew."""

    position: int
    epoch: str
    recorded_at: datetime | None


async def get_figure_service(request: Request) -> FigureService:
    service: FigureService = request.app.state.figures
    return service


FigureServiceDep = Annotated[FigureService, Depends(get_figure_service)]


async def get_study_reader(request: Request) -> StudyReader:
    reader: StudyReader = request.app.state.reader
    return reader


StudyReaderDep = Annotated[StudyReader, Depends(get_study_reader)]


@routes.get("/position", **read_route_options(Position))
async def position(request: Request, study: StudyIdPath, reader: StudyReaderDep) -> Position:
    """Returns the position of the study, and when the last applied fact was recorded."""
    current = await reader.current_position(study, request.state.caller.subject)
    return Position(position=current.position, epoch=current.epoch, recorded_at=current.recorded_at)


@routes.get("/figures", **read_route_options(FigureNames), summary="List of figures")
async def names(request: Request, study: StudyIdPath, reader: StudyReaderDep) -> dict[str, Any]:
    """Lists the figures, and the parameters that can divide each of them."""
    await reader.current_position(study, request.state.caller.subject)
    rows = [
        {"name": name, "title": kind.renderer.TITLE, "by": list(kind.stratifications)} for name, kind in FIGURES.items()
    ]
    return {"rows": rows, "parameters": list(FigureParameters.model_fields)}


@routes.get(
    "/figures/{name}.{kind}",
    tags=["reading"],
    responses={
        200: {
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
    name_parts = [name, *(f"{key}-{value}" for key, value in active_parameters(answer).items()), f"cut-{answer['cut']}"]
    headers = content_disposition([answer["study_id"], *name_parts], answer["position"], kind)
    if kind == "json":
        return JSONResponse(answer, headers=headers)
    return Response(_render_as(kind, name, answer), media_type=MEDIA_TYPES[kind], headers=headers)


def note_figure(request: Request, answer: Mapping[str, Any]) -> None:
    """Note for the log of reads how many rows of single participants a figure shows."""
    name = answer["figure"]
    if participant_rows := FIGURES[name].participant_rows:
        site = answer["parameters"].get("site")
        note_rows(request, answer["study_id"], name, len(answer[participant_rows]), site=site)
    else:
        note_no_rows(request)


def require_unsuppressed(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer, if it has all its counts: pictures and tables are made of whole figures."""
    if "withheld_below" in answer:
        raise Forbidden(
            "Readers do not see small counts, so they get no table and no picture. The .json has the other counts."
        )
    return answer


def _render_as(file_format: str, name: str, answer: dict[str, Any]) -> str:
    renderer = FIGURES[name].renderer
    require_unsuppressed(answer)
    return to_csv(*renderer.table(answer)) if file_format == "csv" else str(renderer.draw(answer))
