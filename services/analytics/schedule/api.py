"""The worklist over HTTP: as JSON in pages, and as a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from services.analytics.schedule.answers import WorklistAnswer
from services.analytics.schedule.service import PAGE_SIZE, WorklistPage, WorklistRequest, WorklistService
from services.analytics.schedule.worklist import WorklistKey
from shared.kernel.errors import parameter_error
from shared.kernel.ids import ParticipantId, SiteId
from shared.kernel.partial_date import Day
from shared.kernel.patterns import NEXT_SENTENCE
from shared.protocol.visit_status import VisitState
from shared.ui.csv import to_csv
from shared.web.container import Resources, get_container
from shared.web.fact_recording import StudyIdPath
from shared.web.fact_routes import create_router, refusal_responses
from shared.web.file_names import content_disposition
from shared.web.read_logging import logs_reads, note_rows
from shared.web.response_models import CONTENT_HEADERS, NOT_MODIFIED, read_route_options

MAX_TABLE_ENTRIES = 10_000
"""Entries of a table. A longer list is refused, since a table cannot say that it is incomplete."""
TABLE_TOO_LONG = (
    f"The list has more than {MAX_TABLE_ENTRIES:,} rows. Ask for one site or for fewer states, or read the pages of "
    "the JSON answer."
)
CSV = "text/csv; charset=utf-8"
routes = create_router("/analytics/v1/studies/{study_id}")


def _require_key(value: str) -> str:
    try:
        return str(WorklistKey.parse(value)) if value else ""
    except ValueError:
        raise ValueError(NEXT_SENTENCE) from None


class WorklistParameters(BaseModel):
    """The filters of a worklist. Unknown parameters are refused."""

    model_config = ConfigDict(extra="forbid")

    site: Annotated[SiteId | None, Field(description="only participants who are followed at this site now")] = None
    participant: Annotated[ParticipantId | None, Field(description="only this participant")] = None
    state: Annotated[
        list[VisitState],
        Field(
            description="only visits in these states, of any day; by default overdue, due, and planned visits that "
            "open within 14 days, and participants without visits yet"
        ),
    ] = []
    on: Annotated[
        Day | None, Field(description="another day than today, at every site; facts count whatever their date")
    ] = None

    def to_request(self) -> WorklistRequest:
        return WorklistRequest(site=self.site, participant=self.participant, states=self.state, on=self.on)


class WorklistPageParameters(WorklistParameters):
    after: Annotated[
        str, AfterValidator(_require_key), Field(max_length=64, description="`next` of the page before")
    ] = ""
    limit: Annotated[int, Field(ge=1, le=1000)] = PAGE_SIZE

    @property
    def key(self) -> WorklistKey | None:
        return WorklistKey.parse(self.after) if self.after else None


@dataclass(frozen=True, kw_only=True)
class WorklistResources(Resources):
    """The resources of the worklist."""

    worklist: WorklistService


@routes.get("/worklist.json", **read_route_options(WorklistAnswer), summary="Worklist", name="worklist")
@logs_reads
async def worklist(
    request: Request, study: StudyIdPath, parameters: Annotated[WorklistPageParameters, Query()]
) -> JSONResponse:
    """Lists the planned visits that await something, and enrolled participants without an end of radiotherapy."""
    answer = WorklistAnswer.from_page(await read_worklist(request, study, parameters, parameters.key, parameters.limit))
    return JSONResponse(answer.model_dump(mode="json"))


@routes.get(
    "/worklist.csv",
    tags=["reading"],
    summary="Worklist as a table",
    name="worklist_table",
    responses={
        200: {"content": {"text/csv": {}}, "description": "The table", "headers": dict(CONTENT_HEADERS)},
        304: NOT_MODIFIED,
        **refusal_responses({}),
    },
    response_class=Response,
)
@logs_reads
async def worklist_table(
    request: Request, study: StudyIdPath, parameters: Annotated[WorklistParameters, Query()]
) -> Response:
    """Returns the whole list as a table. Participants without visits have the state `no_schedule`."""
    answer = WorklistAnswer.from_page(await read_worklist(request, study, parameters, None, MAX_TABLE_ENTRIES))
    if answer.next:
        raise parameter_error("site", TABLE_TOO_LONG)
    filters = [part for part in (parameters.site, parameters.participant, *parameters.state) if part]
    headers = content_disposition([study, "worklist", *filters, answer.on.isoformat()], answer.position, "csv")
    return Response(to_csv(*answer.table()), media_type=CSV, headers=headers)


async def read_worklist(
    request: Request, study: str, parameters: WorklistParameters, after: WorklistKey | None, limit: int
) -> WorklistPage:
    """Returns a page, and notes its rows for the log of reads."""
    service = get_container(request).get_resources(WorklistResources).worklist
    page = await service.list_page(study, request.state.caller.subject, parameters.to_request(), after, limit)
    note_rows(
        request,
        study,
        "worklist",
        len(page.rows) + len(page.no_schedule),
        site=parameters.site,
        participant=parameters.participant,
    )
    return page
