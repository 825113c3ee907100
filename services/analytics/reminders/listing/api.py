"""The log of reminders over HTTP: as JSON in pages, and as a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from services.analytics.reminders.listing.answers import ReminderListAnswer
from services.analytics.reminders.listing.service import (
    PAGE_SIZE,
    ReminderKey,
    ReminderListService,
    ReminderPage,
    ReminderRequest,
)
from services.analytics.reminders.log import ReminderState
from shared.kernel.errors import parameter_error
from shared.kernel.ids import ParticipantId, SiteId
from shared.kernel.patterns import NEXT_SENTENCE
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
    f"The log has more than {MAX_TABLE_ENTRIES:,} rows. Ask for one site, one participant or one state, or read the "
    "pages of the JSON answer."
)
CSV = "text/csv; charset=utf-8"
routes = create_router("/analytics/v1/studies/{study_id}")


def _require_key(value: str) -> str:
    try:
        return str(ReminderKey.parse(value)) if value else ""
    except ValueError:
        raise ValueError(NEXT_SENTENCE) from None


class ReminderParameters(BaseModel):
    """The filters of the log. Unknown parameters are refused."""

    model_config = ConfigDict(extra="forbid")

    site: Annotated[SiteId | None, Field(description="only participants of this site")] = None
    participant: Annotated[ParticipantId | None, Field(description="only this participant")] = None
    state: Annotated[list[ReminderState], Field(description="only reminders in these states")] = []

    def to_request(self) -> ReminderRequest:
        return ReminderRequest(site=self.site, participant=self.participant, states=self.state)


class ReminderPageParameters(ReminderParameters):
    after: Annotated[
        str, AfterValidator(_require_key), Field(max_length=64, description="`next` of the page before")
    ] = ""
    limit: Annotated[int, Field(ge=1, le=1000)] = PAGE_SIZE

    @property
    def key(self) -> ReminderKey | None:
        return ReminderKey.parse(self.after) if self.after else None


@dataclass(frozen=True, kw_only=True)
class ReminderResources(Resources):
    """The resources of the log of reminders."""

    reminders: ReminderListService


@routes.get("/reminders.json", **read_route_options(ReminderListAnswer), summary="Reminders", name="reminders")
@logs_reads
async def reminders(
    request: Request, study: StudyIdPath, parameters: Annotated[ReminderPageParameters, Query()]
) -> JSONResponse:
    """Lists what was planned, sent and suppressed, and to whom it was sent; after it what comes next of each visit."""
    page = await read_reminders(request, study, parameters, parameters.key, parameters.limit)
    return JSONResponse(ReminderListAnswer.from_page(page).model_dump(mode="json"))


@routes.get(
    "/reminders.csv",
    tags=["reading"],
    summary="Reminders as a table",
    name="reminders_table",
    responses={
        200: {"content": {"text/csv": {}}, "description": "The table", "headers": dict(CONTENT_HEADERS)},
        304: NOT_MODIFIED,
        **refusal_responses({}),
    },
    response_class=Response,
)
@logs_reads
async def reminders_table(
    request: Request, study: StudyIdPath, parameters: Annotated[ReminderParameters, Query()]
) -> Response:
    """Returns the whole log as a table, with a row for each digest."""
    page = await read_reminders(request, study, parameters, None, MAX_TABLE_ENTRIES)
    if page.next:
        raise parameter_error("site", TABLE_TOO_LONG)
    filters = [part for part in (parameters.site, parameters.participant, *parameters.state) if part]
    headers = content_disposition([study, "reminders", *filters], page.current.position, "csv")
    return Response(to_csv(*ReminderListAnswer.from_page(page).table()), media_type=CSV, headers=headers)


async def read_reminders(
    request: Request, study: str, parameters: ReminderParameters, after: ReminderKey | None, limit: int
) -> ReminderPage:
    """Returns a page, and notes its rows for the log of reads."""
    service = get_container(request).get_resources(ReminderResources).reminders
    page = await service.list_page(study, request.state.caller.subject, parameters.to_request(), after, limit)
    note_rows(request, study, "reminders", len(page.rows), site=parameters.site, participant=parameters.participant)
    return page
