"""Reading the list of participants, as the page of the same name shows it."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from services.analytics.answers import ParticipantList, ParticipantRow
from services.analytics.participants import PAGE, Participants
from shared.kernel.patterns import NEXT_SENTENCE, explain_pattern
from shared.web.answers import reads
from shared.web.reads import logs_reads, note_rows
from shared.web.routes import StudyOf, router

_NEXT = explain_pattern(r"^[0-9A-Z-]{0,11}$", NEXT_SENTENCE)
routes = router("/analytics/v1/studies/{study_id}")


class ParticipantPageParameters(BaseModel):
    """Which page of the list."""

    model_config = ConfigDict(extra="forbid")

    after: Annotated[str, Field(pattern=_NEXT, description="`next` of the page before")] = ""
    limit: Annotated[int, Field(ge=1, le=1000)] = PAGE


@routes.get("/participants.json", **reads(ParticipantList), summary="Participants")
@logs_reads
async def list_participants(
    request: Request, study: StudyOf, page: Annotated[ParticipantPageParameters, Query()]
) -> JSONResponse:
    """Lists the participants that the caller may see, with their site, status and number of open data queries."""
    people: Participants = request.app.state.participants
    listed = await people.listed(study, request.state.caller.subject, page.after, page.limit)
    note_rows(request, study, "participants", len(listed.rows))
    rows = [ParticipantRow.model_validate(row) for row in listed.rows]
    answer = ParticipantList(
        rows=rows, next=listed.next, position=listed.at.position, recorded_at=listed.at.recorded_at
    )
    return JSONResponse(answer.model_dump(mode="json"))
