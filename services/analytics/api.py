"""Reading the cohort: how far the projection is, figures as numbers, tables and pictures, and what has changed."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from starlette.types import Receive, Scope, Send

from services.analytics.answers import FigureNames, TimelineAnswer
from services.analytics.asking import FigureRequest, FigureService
from services.analytics.figures import active_parameters
from services.analytics.figures.registry import FIGURES
from services.analytics.pages.render import to_csv
from services.analytics.participants.service import ParticipantService
from services.analytics.timeline import swim_lane
from shared.kernel.errors import Forbidden, NotFound, RequestError
from shared.kernel.ids import SiteId
from shared.kernel.partial_date import Day
from shared.security.grants import rights_from_record
from shared.ui.live_updates import LiveUpdates
from shared.web.fact_recording import ParticipantIdPath, StudyIdPath
from shared.web.fact_routes import create_router, refusal_responses
from shared.web.read_logging import logs_reads, note_no_rows, note_rows
from shared.web.response_models import CONTENT_HEADERS, NOT_MODIFIED, read_route_options

routes = create_router("/analytics/v1/studies/{study_id}")
LIVE_LISTS = ("queries", "timeline", "participants")
"""What people watch besides figures."""
LIVE_PARTS = (*FIGURES, *LIVE_LISTS)
MAX_FILE_NAME_LENGTH = 200  # characters: file systems take 255 bytes, and some browsers add to a name that is taken
_UNSAFE_IN_FILE_NAME = re.compile(r"[^A-Za-z0-9_.-]")
_OFFSET_WITHOUT_PLUS = re.compile(r"^(.+[0-9]) ([0-9]{2}:[0-9]{2})$")
MEDIA_TYPES = {"json": "application/json", "csv": "text/csv; charset=utf-8", "svg": "image/svg+xml"}


def _require_rfc3339(value: object) -> object:
    """Only RFC 3339 text is a time: no bare numbers. A plus sign before the offset, which an address turns into a blank
    unless it is written %2B, is read as a plus sign: nothing else can have stood there."""
    if isinstance(value, datetime):
        return value
    text = value if isinstance(value, str) else ""
    if "T" not in text.upper():
        raise ValueError(
            "Give a time with its offset (RFC 3339), for example 2025-01-31T12:00:00Z; in an address write + as %2B."
        )
    return _OFFSET_WITHOUT_PLUS.sub(r"\1+\2", text)


def _to_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("Give a time in the years 1 to 9999, UTC.") from None


TimestampParameter = Annotated[AwareDatetime, BeforeValidator(_require_rfc3339), AfterValidator(_to_utc)]


class FigureParameters(BaseModel):
    """Parameters that filter, date or divide a figure. Unknown parameters are refused."""

    model_config = ConfigDict(extra="forbid")

    cut: Annotated[
        Day | None, Field(description="data cut-off: the last day that is counted; default: the study's today")
    ] = None
    at: Annotated[str | None, Field(max_length=80, description="the record at this position, or at `cut:<name>`")] = (
        None
    )
    as_of: Annotated[TimestampParameter | None, Field(description="the record as of this time (RFC 3339)")] = None
    site: Annotated[SiteId | None, Field(description="only participants enrolled at this site")] = None
    subset: Literal["all", "stereotactic"] = "all"
    by: Annotated[Literal["site", "sex", "subset"] | None, Field(description="divide the figure by this")] = None
    epoch: Annotated[
        str | None, Field(max_length=36, description="epoch of `at`; 410 if positions have been counted anew since")
    ] = None

    def to_request(self) -> FigureRequest:
        cut: date | None = self.cut
        return FigureRequest(cut, self.at, self.as_of, self.site, self.subset, self.by, self.epoch)


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


@routes.get("/position", **read_route_options(Position))
async def position(request: Request, study: StudyIdPath, service: FigureServiceDep) -> Position:
    """Returns the position of the study, and when the last applied fact was recorded."""
    current = await service.current_position(study, request.state.caller.subject)
    return Position(position=current.position, epoch=current.epoch, recorded_at=current.recorded_at)


@routes.get("/figures", **read_route_options(FigureNames), summary="List of figures")
async def names(request: Request, study: StudyIdPath, service: FigureServiceDep) -> dict[str, Any]:
    """Lists the figures, and the parameters that can divide each of them."""
    await service.current_position(study, request.state.caller.subject)
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
    headers = content_disposition(answer, name_parts, kind)
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


def content_disposition(answer: dict[str, Any], name_parts: Sequence[str], file_format: str) -> dict[str, str]:
    """As which file a browser keeps it: the name has the study and the position, so that it can be asked for again."""
    return {
        "Content-Disposition": (
            f'inline; filename="{file_name([answer["study_id"], *name_parts], answer["position"], file_format)}"'
        )
    }


def file_name(parts: Sequence[str], position: int, file_format: str) -> str:
    """A name in ASCII of at most LONGEST_NAME characters; what is too long ends in a digest that no other name has."""
    full_name, suffix = "_".join(parts), f"_position-{position}.{file_format}"
    name = _UNSAFE_IN_FILE_NAME.sub("-", full_name)
    if len(name + suffix) > MAX_FILE_NAME_LENGTH:
        digest = sha256(full_name.encode()).hexdigest()[:16]
        name = f"{name[: MAX_FILE_NAME_LENGTH - len(suffix) - len(digest) - 1]}-{digest}"
    return name + suffix


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


@routes.get(
    "/live",
    tags=["reading"],
    summary="Live updates",
    response_class=StreamingResponse,
    responses={
        200: {
            "content": {"text/event-stream": {}},
            "description": f"`event`: one of {', '.join(LIVE_PARTS)}; `data`: the position to read it at",
        },
        **refusal_responses({429: "Too many event streams of this caller", 503: "Too many event streams"}),
    },
)
async def live(request: Request, study: StudyIdPath, service: FigureServiceDep) -> StreamingResponse:
    """Sends server-sent events: the name of each figure or list that may have changed, with its new position."""
    generation = request.app.state.live.beginnings
    current = await service.current_position(study, request.state.caller.subject)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    frames = _stream_while_authorized(request, study, service, current.position, generation)
    return CountedStream(request, frames, media_type="text/event-stream", headers=headers)


class CountedStream(StreamingResponse):
    """An event stream that counts as one of its caller's for as long as it is open."""

    def __init__(self, request: Request, frames: AsyncIterator[bytes], **response_options: Any) -> None:
        super().__init__(frames, **response_options)
        self._traffic, self._caller = request.app.state.traffic, request.state.caller.subject

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._traffic.stream(self._caller):
            await super().__call__(scope, receive, send)


async def _stream_while_authorized(
    request: Request, study: str, service: FigureService, loaded_position: int, generation: int
) -> AsyncIterator[bytes]:
    """The stream ends when the caller's token or grants do: a page then asks again, and is told."""
    live_updates: LiveUpdates = request.app.state.live
    async for frame in live_updates.stream(study, dict.fromkeys(LIVE_PARTS, str(loaded_position)), generation):
        try:
            await request.app.state.admit(request)
        except RequestError:
            return
        study_state = await service.studies.current(study)
        if not rights_from_record(study_state.record, request.state.caller.subject).grants:
            return
        yield frame


def publish_change(live_updates: LiveUpdates, study: str, new_position: int) -> None:
    for name in LIVE_PARTS:
        live_updates.publish(f"{study}/{name}", str(new_position))


class AsOfParameters(BaseModel):
    """Parameters that select an earlier state of the record. Unknown parameters are refused."""

    model_config = ConfigDict(extra="forbid")

    at: Annotated[str | None, Field(max_length=80, description="the record at this position, or at `cut:<name>`")] = (
        None
    )
    as_of: Annotated[TimestampParameter | None, Field(description="the record as of this time (RFC 3339)")] = None
    epoch: Annotated[
        str | None, Field(max_length=36, description="epoch of `at`; 410 if positions have been counted anew since")
    ] = None

    def to_request(self) -> FigureRequest:
        return FigureRequest(at=self.at, as_of=self.as_of, epoch=self.epoch)


AsOfQuery = Annotated[AsOfParameters, Query()]


@routes.get(
    "/participants/{participant_id}/timeline.{kind}",
    tags=["reading"],
    responses={
        304: NOT_MODIFIED,
        200: {
            "model": TimelineAnswer,
            "content": {MEDIA_TYPES["svg"]: {}},
            "description": "The participant's timeline",
            "headers": dict(CONTENT_HEADERS),
        },
        **refusal_responses({410: "The position belongs to an earlier epoch"}),
    },
    response_class=Response,
)
@logs_reads
async def timeline(
    request: Request, study: StudyIdPath, participant_id: ParticipantIdPath, kind: str, as_of: AsOfQuery
) -> Response:
    """Returns every current fact of one participant in clinical order (.json), or as a picture (.svg)."""
    if kind not in ("json", "svg"):
        raise NotFound
    service: ParticipantService = request.app.state.participants
    answer = await service.timeline(study, participant_id, request.state.caller.subject, as_of.to_request())
    note_rows(request, study, "timeline", len(answer["entries"]), participant=participant_id)
    headers = content_disposition(answer, [answer["participant_id"], "timeline"], kind)
    if kind == "json":
        return JSONResponse(answer, headers=headers)
    return Response(swim_lane.draw(answer), media_type=MEDIA_TYPES["svg"], headers=headers)
