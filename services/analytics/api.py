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
from services.analytics.asking import Asked, Figures
from services.analytics.figures import parameters
from services.analytics.figures import timeline as draw_timeline
from services.analytics.figures.catalogue import FIGURES
from services.analytics.pages.live import Live
from services.analytics.pages.render import csv_text
from services.analytics.participants import Participants
from shared.kernel.dates import Day
from shared.kernel.ids import SiteId
from shared.kernel.refusal import NotFound, NotYourRole, Refusal
from shared.security.grants import rights
from shared.web.answers import CONTENT_HEADERS, NOT_MODIFIED, reads
from shared.web.reads import logs_reads, note_no_rows, note_rows
from shared.web.routes import ParticipantOf, StudyOf, refusals, router

routes = router("/analytics/v1/studies/{study_id}")
LISTS = ("queries", "timeline", "participants")
"""What people watch besides figures."""
PARTS = (*FIGURES, *LISTS)
LONGEST_NAME = 200  # characters: file systems take 255 bytes, and some browsers add to a name that is taken
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.-]")
_LOST_PLUS = re.compile(r"^(.+[0-9]) ([0-9]{2}:[0-9]{2})$")
MEDIA = {"json": "application/json", "csv": "text/csv; charset=utf-8", "svg": "image/svg+xml"}


def _moment(value: object) -> object:
    """Only RFC 3339 text is a time: no bare numbers. A plus sign before the offset, which an address turns into a blank
    unless it is written %2B, is read as a plus sign: nothing else can have stood there."""
    if isinstance(value, datetime):
        return value
    text = value if isinstance(value, str) else ""
    if "T" not in text.upper():
        raise ValueError(
            "Give a time with its offset (RFC 3339), for example 2025-01-31T12:00:00Z; in an address write + as %2B."
        )
    return _LOST_PLUS.sub(r"\1+\2", text)


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("Give a time in the years 1 to 9999, UTC.") from None


Moment = Annotated[AwareDatetime, BeforeValidator(_moment), AfterValidator(_in_utc)]


class Parameters(BaseModel):
    """Parameters that filter, date or divide a figure. Unknown parameters are refused."""

    model_config = ConfigDict(extra="forbid")

    cut: Annotated[
        Day | None, Field(description="data cut-off: the last day that is counted; default: the study's today")
    ] = None
    at: Annotated[str | None, Field(max_length=80, description="the record at this position, or at `cut:<name>`")] = (
        None
    )
    as_of: Annotated[Moment | None, Field(description="the record as of this time (RFC 3339)")] = None
    site: Annotated[SiteId | None, Field(description="only participants enrolled at this site")] = None
    subset: Literal["all", "stereotactic"] = "all"
    by: Annotated[Literal["site", "sex", "subset"] | None, Field(description="divide the figure by this")] = None
    epoch: Annotated[
        str | None, Field(max_length=36, description="epoch of `at`; 410 if positions have been counted anew since")
    ] = None

    def asked(self) -> Asked:
        cut: date | None = self.cut
        return Asked(cut, self.at, self.as_of, self.site, self.subset, self.by, self.epoch)


Wanted = Annotated[Parameters, Query()]


class Position(BaseModel):
    """Number of facts of a study that analytics has applied. `epoch` changes when the count begins anew."""

    position: int
    epoch: str
    recorded_at: datetime | None


async def figures(request: Request) -> Figures:
    held: Figures = request.app.state.figures
    return held


Held = Annotated[Figures, Depends(figures)]


@routes.get("/position", **reads(Position))
async def position(request: Request, study: StudyOf, held: Held) -> Position:
    """Returns the position of the study, and when the last applied fact was recorded."""
    at = await held.frontier(study, request.state.caller.subject)
    return Position(position=at.position, epoch=at.epoch, recorded_at=at.recorded_at)


@routes.get("/figures", **reads(FigureNames), summary="List of figures")
async def names(request: Request, study: StudyOf, held: Held) -> dict[str, Any]:
    """Lists the figures, and the parameters that can divide each of them."""
    await held.frontier(study, request.state.caller.subject)
    rows = [{"name": name, "title": kind.drawn.TITLE, "by": list(kind.by)} for name, kind in FIGURES.items()]
    return {"rows": rows, "parameters": list(Parameters.model_fields)}


@routes.get(
    "/figures/{name}.{kind}",
    tags=["reading"],
    responses={
        200: {
            "content": {media: {} for media in MEDIA.values()},
            "description": "The figure",
            "headers": dict(CONTENT_HEADERS),
        },
        304: NOT_MODIFIED,
        **refusals({410: "The position belongs to an earlier epoch"}),
    },
    response_class=Response,
)
@logs_reads
async def figure(request: Request, study: StudyOf, name: str, kind: str, wanted: Wanted, held: Held) -> Response:
    """Returns a figure as numbers (.json), as a table (.csv) or as a picture (.svg)."""
    if kind not in MEDIA or name not in FIGURES:
        raise NotFound
    answer = await held.figure(name, study, request.state.caller.subject, wanted.asked())
    note_figure(request, answer)
    said = [name, *(f"{key}-{value}" for key, value in parameters(answer).items()), f"cut-{answer['cut']}"]
    headers = kept_as(answer, said, kind)
    if kind == "json":
        return JSONResponse(answer, headers=headers)
    return Response(_as(kind, name, answer), media_type=MEDIA[kind], headers=headers)


def note_figure(request: Request, answer: Mapping[str, Any]) -> None:
    """Note for the log of reads how many rows of single participants a figure shows."""
    name = answer["figure"]
    if of_participants := FIGURES[name].rows:
        site = answer["parameters"].get("site")
        note_rows(request, answer["study_id"], name, len(answer[of_participants]), site=site)
    else:
        note_no_rows(request)


def kept_as(answer: dict[str, Any], said: Sequence[str], kind: str) -> dict[str, str]:
    """As which file a browser keeps it: the name has the study and the position, so that it can be asked for again."""
    return {
        "Content-Disposition": f'inline; filename="{file_name([answer["study_id"], *said], answer["position"], kind)}"'
    }


def file_name(parts: Sequence[str], position: int, kind: str) -> str:
    """A name in ASCII of at most LONGEST_NAME characters; what is too long ends in a digest that no other name has."""
    whole, end = "_".join(parts), f"_position-{position}.{kind}"
    name = _NOT_IN_A_NAME.sub("-", whole)
    if len(name + end) > LONGEST_NAME:
        digest = sha256(whole.encode()).hexdigest()[:16]
        name = f"{name[: LONGEST_NAME - len(end) - len(digest) - 1]}-{digest}"
    return name + end


def drawable(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer, if it has all its counts: pictures and tables are made of whole figures."""
    if "withheld_below" in answer:
        raise NotYourRole(
            "Readers do not see small counts, so they get no table and no picture. The .json has the other counts."
        )
    return answer


def _as(kind: str, name: str, answer: dict[str, Any]) -> str:
    drawn = FIGURES[name].drawn
    drawable(answer)
    return csv_text(*drawn.table(answer)) if kind == "csv" else str(drawn.draw(answer))


@routes.get(
    "/live",
    tags=["reading"],
    summary="Live updates",
    response_class=StreamingResponse,
    responses={
        200: {
            "content": {"text/event-stream": {}},
            "description": f"`event`: one of {', '.join(PARTS)}; `data`: the position to read it at",
        },
        **refusals({429: "Too many event streams of this caller", 503: "Too many event streams"}),
    },
)
async def live(request: Request, study: StudyOf, held: Held) -> StreamingResponse:
    """Sends server-sent events: the name of each figure or list that may have changed, with its new position."""
    since = request.app.state.live.beginnings
    at = await held.frontier(study, request.state.caller.subject)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    frames = _while_admitted(request, study, held, at.position, since)
    return CountedStream(request, frames, media_type="text/event-stream", headers=headers)


class CountedStream(StreamingResponse):
    """An event stream that counts as one of its caller's for as long as it is open."""

    def __init__(self, request: Request, frames: AsyncIterator[bytes], **how: Any) -> None:
        super().__init__(frames, **how)
        self._traffic, self._caller = request.app.state.traffic, request.state.caller.subject

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._traffic.stream(self._caller):
            await super().__call__(scope, receive, send)


async def _while_admitted(request: Request, study: str, held: Figures, at: int, since: int) -> AsyncIterator[bytes]:
    """The stream ends when the caller's token or grants do: a page then asks again, and is told."""
    hub: Live = request.app.state.live
    async for frame in hub.stream(study, dict.fromkeys(PARTS, str(at)), since):
        try:
            await request.app.state.admit(request)
        except Refusal:
            return
        known = await held.studies.current(study)
        if not rights(known.record, request.state.caller.subject).grants:
            return
        yield frame


def changed(hub: Live, study: str, at: int) -> None:
    for name in PARTS:
        hub.publish(f"{study}/{name}", str(at))


class Past(BaseModel):
    """Parameters that select an earlier state of the record. Unknown parameters are refused."""

    model_config = ConfigDict(extra="forbid")

    at: Annotated[str | None, Field(max_length=80, description="the record at this position, or at `cut:<name>`")] = (
        None
    )
    as_of: Annotated[Moment | None, Field(description="the record as of this time (RFC 3339)")] = None
    epoch: Annotated[
        str | None, Field(max_length=36, description="epoch of `at`; 410 if positions have been counted anew since")
    ] = None

    def asked(self) -> Asked:
        return Asked(at=self.at, as_of=self.as_of, epoch=self.epoch)


WhenShown = Annotated[Past, Query()]


@routes.get(
    "/participants/{participant_id}/timeline.{kind}",
    tags=["reading"],
    responses={
        304: NOT_MODIFIED,
        200: {
            "model": TimelineAnswer,
            "content": {MEDIA["svg"]: {}},
            "description": "The participant's timeline",
            "headers": dict(CONTENT_HEADERS),
        },
        **refusals({410: "The position belongs to an earlier epoch"}),
    },
    response_class=Response,
)
@logs_reads
async def timeline(request: Request, study: StudyOf, number: ParticipantOf, kind: str, past: WhenShown) -> Response:
    """Returns every current fact of one participant in clinical order (.json), or as a picture (.svg)."""
    if kind not in ("json", "svg"):
        raise NotFound
    people: Participants = request.app.state.participants
    answer = await people.timeline(study, number, request.state.caller.subject, past.asked())
    note_rows(request, study, "timeline", len(answer["entries"]), participant=number)
    headers = kept_as(answer, [answer["participant_id"], "timeline"], kind)
    if kind == "json":
        return JSONResponse(answer, headers=headers)
    return Response(draw_timeline.draw(answer), media_type=MEDIA["svg"], headers=headers)
