"""The list of participants as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from services.analytics.participants.answers import ParticipantList, ParticipantListRow
from services.analytics.participants.service import PAGE_SIZE, ParticipantService
from shared.kernel.patterns import NEXT_SENTENCE, explain_pattern
from shared.web.container import Resources, get_container
from shared.web.fact_recording import StudyIdPath
from shared.web.fact_routes import create_router
from shared.web.read_logging import logs_reads, note_rows
from shared.web.response_models import read_route_options

_NEXT_PATTERN = explain_pattern(r"^[0-9A-Z-]{0,11}$", NEXT_SENTENCE)
routes = create_router("/analytics/v1/studies/{study_id}")


@dataclass(frozen=True, kw_only=True)
class ParticipantResources(Resources):
    """The resources of the list of participants."""

    participants: ParticipantService


class ParticipantPageParameters(BaseModel):
    """The page of the list that is requested."""

    model_config = ConfigDict(extra="forbid")

    after: Annotated[str, Field(pattern=_NEXT_PATTERN, description="`next` of the page before")] = ""
    limit: Annotated[int, Field(ge=1, le=1000)] = PAGE_SIZE


@routes.get("/participants.json", **read_route_options(ParticipantList), summary="Participants")
@logs_reads
async def list_participants(
    request: Request, study: StudyIdPath, page: Annotated[ParticipantPageParameters, Query()]
) -> JSONResponse:
    """Lists the participants that the caller may see, with their site, status and number of open data queries."""
    service = get_container(request).get_resources(ParticipantResources).participants
    participant_page = await service.list_page(study, request.state.caller.subject, page.after, page.limit)
    note_rows(request, study, "participants", len(participant_page.rows))
    rows = [ParticipantListRow.model_validate(row) for row in participant_page.rows]
    answer = ParticipantList(
        rows=rows,
        next=participant_page.next,
        position=participant_page.current.position,
        recorded_at=participant_page.current.recorded_at,
    )
    return JSONResponse(answer.model_dump(mode="json"))
