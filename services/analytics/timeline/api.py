"""The timeline of one participant, as JSON or as a picture."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from services.analytics.snapshot.as_of_parameters import AsOfQuery
from services.analytics.timeline import swim_lane
from services.analytics.timeline.answers import TimelineAnswer
from services.analytics.timeline.service import TimelineService
from shared.kernel.errors import NotFound
from shared.web.container import Resources, get_container
from shared.web.fact_recording import ParticipantIdPath, StudyIdPath
from shared.web.fact_routes import create_router, refusal_responses
from shared.web.file_names import content_disposition
from shared.web.read_logging import logs_reads, note_rows
from shared.web.response_models import CONTENT_HEADERS, NOT_MODIFIED

SVG = "image/svg+xml"
routes = create_router("/analytics/v1/studies/{study_id}")


@dataclass(frozen=True, kw_only=True)
class TimelineResources(Resources):
    """The resources of the timelines."""

    timelines: TimelineService


@routes.get(
    "/participants/{participant_id}/timeline.{kind}",
    tags=["reading"],
    responses={
        304: NOT_MODIFIED,
        200: {
            "model": TimelineAnswer,
            "content": {SVG: {}},
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
    service = get_container(request).get_resources(TimelineResources).timelines
    timeline = await service.timeline(study, participant_id, request.state.caller.subject, as_of.to_as_of())
    note_rows(request, study, "timeline", len(timeline.entries), participant=participant_id)
    headers = content_disposition([study, timeline.participant_id, "timeline"], timeline.position, kind)
    if kind == "json":
        return JSONResponse(timeline.to_json(), headers=headers)
    return Response(swim_lane.draw(timeline), media_type=SVG, headers=headers)
