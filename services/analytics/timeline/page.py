"""The page of one participant: open data queries, and the timeline from the first fact to the last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import Response
from pydantic import Field

from services.analytics import urls
from services.analytics.queries.api import QueryResources
from services.analytics.queries.derive import QueryWithStatus
from services.analytics.snapshot.as_of import LATEST
from services.analytics.snapshot.as_of_parameters import AsOfParameters, AsOfQuery
from services.analytics.study_header import StudyPage, build_study_header
from services.analytics.timeline import swim_lane
from services.analytics.timeline.answers import TimelineAnswer, TimelineEntry
from services.analytics.timeline.api import TimelineResources
from services.analytics.timeline.service import TimelineService
from services.analytics.wording.participation_status import describe_participation_status
from shared.kernel.patterns import explain_pattern
from shared.ui.html_errors import html_or_error
from shared.ui.navigation import Link
from shared.ui.pages import Pages, create_page_router, html_response
from shared.web.container import get_container
from shared.web.fact_recording import ParticipantIdPath, StudyIdPath
from shared.web.read_logging import logs_reads, note_rows

_AFTER = explain_pattern(
    "^(enrollment|toxicity|followup):[0-9]{1,9}$",
    "Give a service, a colon and the version of the participant there: enrollment:7, for example.",
)
FILE_KINDS = {".json": "Facts", ".svg": "Picture"}
PAGE = StudyPage(route=urls.participant_url("{study_id}", "{participant_id}"), is_live=True)
routes = create_page_router()
pages = Pages(
    "analytics",
    Path(__file__).with_name("templates"),
    filters={"participation_status": describe_participation_status},
)


class TimelinePageParameters(AsOfParameters):
    """Parameters of the page: the state of the record, and a fact recorded a moment ago that it should show."""

    after: Annotated[str | None, Field(pattern=_AFTER)] = None


PageQuery = Annotated[TimelinePageParameters, Query()]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelinePart:
    """The timeline on a page: `version` is the position it shows, `source` the address of this part alone."""

    participant_id: str
    site_id: str
    status: str
    entries: Sequence[TimelineEntry]
    version: int
    recorded_at: datetime | None
    source: str
    picture: str
    caption: str
    downloads: Sequence[Link]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenQueriesPart:
    """The open data queries on a page; `all_queries_url` leads to those that are closed as well."""

    rows: Sequence[QueryWithStatus]
    version: int
    recorded_at: datetime | None
    source: str
    all_queries_url: str


@routes.get(PAGE.route)
@logs_reads
async def participant_page(
    request: Request, study: StudyIdPath, participant_id: ParticipantIdPath, query: PageQuery
) -> Response:
    return await html_or_error(request, pages, _render_participant(request, study, participant_id, query))


async def _render_participant(request: Request, study: str, participant_id: str, query: TimelinePageParameters) -> str:
    """Renders the page. Open data queries are those of today, so an earlier state of the record shows none."""
    await get_container(request).authenticate(request)
    is_complete, as_of = True, query.to_as_of()
    if query.after:
        service, _, version = query.after.partition(":")
        member = request.state.caller.subject
        timelines = _timeline_service(request)
        is_complete = await timelines.wait_for(study, participant_id, member, service, int(version))
    timeline = await _timeline_service(request).timeline(study, participant_id, request.state.caller.subject, as_of)
    open_queries = await _open_queries_part(request, study, participant_id) if as_of == LATEST else None
    header = await build_study_header(
        request,
        study,
        PAGE,
        heading=f"Participant {participant_id}",
        position=timeline.position,
        recorded_at=timeline.recorded_at,
    )
    return pages.render_study(
        "participant.html",
        header,
        timeline=_timeline_part(request, timeline),
        open_queries=open_queries,
        is_complete=is_complete,
    )


@routes.get("/analytics/studies/{study_id}/participants/{participant_id}/queries")
@logs_reads
async def open_queries_fragment(request: Request, study: StudyIdPath, participant_id: ParticipantIdPath) -> Response:
    """Returns the open data queries as the participant's page shows them."""
    await get_container(request).authenticate(request)
    part = await _open_queries_part(request, study, participant_id)
    return html_response(pages.render("open_queries.html", open_queries=part))


async def _open_queries_part(request: Request, study: str, participant_id: str) -> OpenQueriesPart:
    service = get_container(request).get_resources(QueryResources).queries
    current, rows = await service.open_queries(study, participant_id, request.state.caller.subject)
    note_rows(request, study, "queries", len(rows), participant=participant_id)
    return OpenQueriesPart(
        rows=rows,
        version=current.position,
        recorded_at=current.recorded_at,
        source=urls.open_queries_url(study, participant_id),
        all_queries_url=urls.queries_url(study, {"participant": participant_id, "state": "all"}),
    )


@routes.get("/analytics/studies/{study_id}/participants/{participant_id}/timeline")
@logs_reads
async def timeline_fragment(
    request: Request, study: StudyIdPath, participant_id: ParticipantIdPath, as_of: AsOfQuery
) -> Response:
    """Returns the timeline as the participant's page shows it."""
    await get_container(request).authenticate(request)
    timeline = await _timeline_service(request).timeline(
        study, participant_id, request.state.caller.subject, as_of.to_as_of()
    )
    return html_response(pages.render("timeline.html", timeline=_timeline_part(request, timeline)))


def _timeline_part(request: Request, timeline: TimelineAnswer) -> TimelinePart:
    """Returns the part that shows a timeline. Its rows are noted for the read log."""
    study, participant_id = timeline.study_id, timeline.participant_id
    query = {name: value for name, value in request.query_params.items() if name != "after"}
    note_rows(request, study, "timeline", len(timeline.entries), participant=participant_id)
    return TimelinePart(
        participant_id=participant_id,
        site_id=timeline.site_id,
        status=timeline.status,
        entries=timeline.entries,
        version=timeline.position,
        recorded_at=timeline.recorded_at,
        source=urls.timeline_url(study, participant_id, query),
        picture=swim_lane.draw(timeline),
        caption=swim_lane.caption(timeline),
        downloads=[
            Link(urls.timeline_file_url(study, participant_id, extension, query), f"{label} ({extension})")
            for extension, label in FILE_KINDS.items()
        ],
    )


def _timeline_service(request: Request) -> TimelineService:
    return get_container(request).get_resources(TimelineResources).timelines
