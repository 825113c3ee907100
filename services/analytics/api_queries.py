"""Reading queries: what is open, what is explained, a page at a time in a stable order."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Query, Request
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from services.analytics.queries import Listed
from services.analytics.queries.case import RULES
from services.analytics.questions import Queries, State, Wanted
from shared.kernel.ids import ParticipantId, SiteId
from shared.kernel.patterns import NEXT_SENTENCE, explain_pattern
from shared.web.answers import reads
from shared.web.reads import logs_reads, note_rows
from shared.web.routes import StudyOf, router

_NEXT = explain_pattern(r"^([0-9A-Z-]{1,11}\.[0-9a-f]{64})?$", NEXT_SENTENCE)
routes = router("/analytics/v1/studies/{study_id}")


def _rule(value: str | None) -> str | None:
    if value is not None and value not in RULES:
        raise ValueError("There is no rule of that name. `rule` of each query in this list gives its name.")
    return value


class Narrowed(BaseModel):
    """Which queries are listed."""

    model_config = ConfigDict(extra="forbid")

    site: Annotated[SiteId | None, Field(description="only participants who are followed at this site now")] = None
    participant: Annotated[ParticipantId | None, Field(description="only this participant")] = None
    rule: Annotated[
        str | None, AfterValidator(_rule), Field(max_length=64, description="only queries of this rule")
    ] = None
    state: Annotated[State, Field(description="open queries, explained queries, or all")] = "open"

    def wanted(self) -> Wanted:
        return Wanted(self.site, self.participant, self.rule, self.state)


class Paged(Narrowed):
    after: Annotated[str, Field(pattern=_NEXT, description="`next` of the page before")] = ""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class QueryShown(BaseModel):
    """A data query. `rule` is null for an explanation whose query no longer exists."""

    query_key: str
    rule: str | None
    participant_id: str
    site_id: str
    event_ids: list[UUID]
    text: str
    since: date
    explained_by: Annotated[
        list[UUID], Field(description="events that explain the query; absent while it is open")
    ] = []


class QueriesShown(BaseModel):
    """A page of data queries, sorted by participant and key. `next` is null on the last page."""

    rows: list[QueryShown]
    next: str | None
    position: int


async def queries(request: Request) -> Queries:
    held: Queries = request.app.state.queries
    return held


Asked = Annotated[Queries, Depends(queries)]


@routes.get("/queries.json", **reads(QueriesShown), summary="Data queries")
@logs_reads
async def listing(request: Request, study: StudyOf, paged: Annotated[Paged, Query()], asked: Asked) -> JSONResponse:
    """Lists the data queries of the study: facts that contradict each other, are incomplete, or are missing.

    A query closes by itself when the facts are corrected or completed. A `query.explained` with its key explains it."""
    frontier, seen = await asked.seen(study, request.state.caller.subject, paged.wanted())
    rest = [row for row in seen if _place(row) > paged.after]
    page = rest[: paged.limit]
    note_rows(request, study, "queries", len(page), site=paged.site, participant=paged.participant)
    following = _place(page[-1]) if len(rest) > len(page) else None
    return JSONResponse({"rows": [shown(row) for row in page], "next": following, "position": frontier.position})


def _place(row: Listed) -> str:
    return f"{row.participant_id}.{row.key}"


def shown(row: Listed) -> dict[str, Any]:
    query = row.query
    said = {
        "query_key": row.key,
        "rule": query.rule if query else None,
        "participant_id": row.participant_id,
        "site_id": row.site_id,
        "event_ids": [str(event) for event in query.event_ids] if query else [],
        "text": row.text,
        "since": row.since.isoformat(),
    }
    return {**said, "explained_by": [str(event) for event in row.explained_by]} if row.explained_by else said
