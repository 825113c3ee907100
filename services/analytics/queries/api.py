"""The list of data queries as JSON, in pages and in a stable order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from services.analytics.queries.case import RULES
from services.analytics.queries.derive import QueryWithStatus
from services.analytics.queries.repository import QueryFilter, QueryState
from services.analytics.queries.service import QueryService
from shared.kernel.ids import ParticipantId, SiteId
from shared.kernel.patterns import NEXT_SENTENCE, explain_pattern
from shared.kernel.schema_name import NamedSchema
from shared.web.container import Resources, get_container
from shared.web.fact_recording import StudyIdPath
from shared.web.fact_routes import create_router
from shared.web.read_logging import logs_reads, note_rows
from shared.web.response_models import read_route_options

_NEXT_PATTERN = explain_pattern(r"^([0-9A-Z-]{1,11}\.[0-9a-f]{64})?$", NEXT_SENTENCE)
routes = create_router("/analytics/v1/studies/{study_id}")


def _require_rule(value: str | None) -> str | None:
    if value is not None and value not in RULES:
        raise ValueError("There is no rule of that name. `rule` of each query in this list gives its name.")
    return value


class QueryFilterParameters(BaseModel):
    """The filters of a list of data queries."""

    model_config = ConfigDict(extra="forbid")

    site: Annotated[SiteId | None, Field(description="only participants who are followed at this site now")] = None
    participant: Annotated[ParticipantId | None, Field(description="only this participant")] = None
    rule: Annotated[
        str | None, AfterValidator(_require_rule), Field(max_length=64, description="only queries of this rule")
    ] = None
    state: Annotated[QueryState, Field(description="open queries, explained queries, or all")] = "open"

    def to_filter(self) -> QueryFilter:
        return QueryFilter(self.site, self.participant, self.rule, self.state)


class QueryPageParameters(QueryFilterParameters):
    after: Annotated[str, Field(pattern=_NEXT_PATTERN, description="`next` of the page before")] = ""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class QueryListRow(NamedSchema, schema_name="QueryShown"):
    """A data query. `rule` is null for an explanation whose query no longer exists."""

    query_key: str
    rule: str | None
    participant_id: str
    site_id: str
    event_ids: list[UUID]
    text: str
    since: date
    explained_by: list[UUID] = Field(default=[], description="events that explain the query; absent while it is open")


class QueryListAnswer(NamedSchema, schema_name="QueriesShown"):
    """A page of data queries, sorted by participant and key. `next` is null on the last page."""

    rows: list[QueryListRow]
    next: str | None
    position: int


@dataclass(frozen=True, kw_only=True)
class QueryResources(Resources):
    """The resources of the data queries."""

    queries: QueryService


async def get_query_service(request: Request) -> QueryService:
    return get_container(request).get_resources(QueryResources).queries


QueryServiceDep = Annotated[QueryService, Depends(get_query_service)]


@routes.get("/queries.json", **read_route_options(QueryListAnswer), summary="Data queries", name="listing")
@logs_reads
async def list_queries(
    request: Request, study: StudyIdPath, parameters: Annotated[QueryPageParameters, Query()], service: QueryServiceDep
) -> JSONResponse:
    """Lists the data queries of the study: facts that contradict each other, are incomplete, or are missing.

    A query closes by itself when the facts are corrected or completed. A `query.explained` with its key explains it."""
    current, visible_queries = await service.visible_queries(
        study, request.state.caller.subject, parameters.to_filter()
    )
    remaining = [row for row in visible_queries if _cursor(row) > parameters.after]
    page = remaining[: parameters.limit]
    note_rows(request, study, "queries", len(page), site=parameters.site, participant=parameters.participant)
    next_cursor = _cursor(page[-1]) if len(remaining) > len(page) else None
    answer = QueryListAnswer(rows=[_to_row(row) for row in page], next=next_cursor, position=current.position)
    return JSONResponse(answer.model_dump(mode="json", exclude_unset=True))


def _cursor(entry: QueryWithStatus) -> str:
    return f"{entry.participant_id}.{entry.key}"


def _to_row(entry: QueryWithStatus) -> QueryListRow:
    query = entry.query
    row = QueryListRow(
        query_key=entry.key,
        rule=query.rule if query else None,
        participant_id=entry.participant_id,
        site_id=entry.site_id,
        event_ids=list(query.event_ids) if query else [],
        text=entry.text,
        since=entry.since,
    )
    return row.model_copy(update={"explained_by": list(entry.explained_by)}) if entry.explained_by else row
