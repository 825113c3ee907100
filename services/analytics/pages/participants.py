"""Pages of single participants: who there is, and one of them from the first day to the last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from services.analytics.api import AsOfQuery
from services.analytics.asking import FigureRequest
from services.analytics.pages.html_errors import html_or_error, html_response, pages
from services.analytics.pages.render import Link
from services.analytics.pages.study_header import build_study_header
from services.analytics.participants.service import ParticipantService
from services.analytics.snapshot.repository import ProjectionPosition
from services.analytics.timeline import swim_lane
from shared.web.fact_recording import ParticipantIdPath, StudyIdPath
from shared.web.read_logging import logs_reads, note_rows
from shared.web.same_origin import PageRoute

routes = APIRouter(include_in_schema=False, route_class=PageRoute)
AfterParameter = Annotated[str, Query(max_length=16)]


@routes.get("/analytics/studies/{study_id}/participants")
@logs_reads
async def participants_page(request: Request, study: StudyIdPath, after: AfterParameter = "") -> Response:
    return await html_or_error(request, _render_participants(request, study, after))


async def _render_participants(request: Request, study: str, after: str) -> str:
    await request.app.state.admit(request)
    page = await _participant_service(request).list_page(study, request.state.caller.subject, after)
    note_rows(request, study, "participants", len(page.rows))
    query_string = f"?{urlencode({'after': after})}" if after else ""
    source = f"/analytics/studies/{study}/participants{query_string}"
    view = {"rows": page.rows, "next": page.next, "after": after, "source": source}
    return pages.participants(
        await build_study_header(request, study, "participants", *_position_stamp(page.current)), view
    )


@routes.get("/analytics/studies/{study_id}/participants/{participant_id}")
@logs_reads
async def participant_page(
    request: Request, study: StudyIdPath, participant_id: ParticipantIdPath, as_of: AsOfQuery
) -> Response:
    return await html_or_error(request, _render_participant(request, study, participant_id, as_of.to_request()))


async def _render_participant(request: Request, study: str, participant_id: str, figure_request: FigureRequest) -> str:
    await request.app.state.admit(request)
    answer = await _participant_service(request).timeline(
        study, participant_id, request.state.caller.subject, figure_request
    )
    position_stamp = answer["position"], answer["recorded_at"] or ""
    open_queries = (
        None if figure_request != FigureRequest() else await _open_queries_view(request, study, participant_id)
    )
    return pages.participant(
        await build_study_header(request, study, "participant", *position_stamp),
        _timeline_view(request, answer),
        open_queries,
    )


@routes.get("/analytics/studies/{study_id}/participants/{participant_id}/queries")
@logs_reads
async def open_queries_fragment(request: Request, study: StudyIdPath, participant_id: ParticipantIdPath) -> Response:
    """The open queries of the page, as the page has them."""
    await request.app.state.admit(request)
    return html_response(pages.open_queries(await _open_queries_view(request, study, participant_id)))


async def _open_queries_view(request: Request, study: str, participant_id: str) -> dict[str, Any]:
    current, rows = await _participant_service(request).open_queries(
        study, participant_id, request.state.caller.subject
    )
    note_rows(request, study, "queries", len(rows), participant=participant_id)
    position, recorded_at = _position_stamp(current)
    base = f"/analytics/studies/{study}"
    return {
        "rows": rows,
        "version": position,
        "recorded_at": recorded_at,
        "source": f"{base}/participants/{participant_id}/queries",
        "everything": f"{base}/queries?{urlencode({'participant': participant_id, 'state': 'all'})}",
    }


def _position_stamp(current: ProjectionPosition) -> tuple[int, str]:
    return current.position, current.recorded_at.isoformat() if current.recorded_at else ""


@routes.get("/analytics/studies/{study_id}/participants/{participant_id}/timeline")
@logs_reads
async def timeline_fragment(
    request: Request, study: StudyIdPath, participant_id: ParticipantIdPath, as_of: AsOfQuery
) -> Response:
    """The timeline of the page, as the page has it."""
    await request.app.state.admit(request)
    answer = await _participant_service(request).timeline(
        study, participant_id, request.state.caller.subject, as_of.to_request()
    )
    return html_response(pages.timeline_fragment(_timeline_view(request, answer)))


def _timeline_view(request: Request, answer: Mapping[str, Any]) -> dict[str, Any]:
    """What the template shows of a timeline's `.json` answer, which is noted for the log of reads."""
    participant_id = answer["participant_id"]
    note_rows(request, answer["study_id"], "timeline", len(answer["entries"]), participant=participant_id)
    path = f"studies/{answer['study_id']}/participants/{answer['participant_id']}/timeline"
    query_string = f"?{urlencode(dict(request.query_params))}" if request.query_params else ""
    kinds = {".json": "Facts", ".svg": "Picture"}
    return {
        **{name: answer[name] for name in ("participant_id", "site_id", "status", "entries")},
        "version": answer["position"],
        "recorded_at": answer["recorded_at"] or "",
        "source": f"/analytics/{path}{query_string}",
        "picture": swim_lane.draw(answer),
        "caption": swim_lane.caption(answer),
        "downloads": [
            Link(f"/analytics/v1/{path}{kind}{query_string}", f"{words} ({kind})") for kind, words in kinds.items()
        ],
    }


def _participant_service(request: Request) -> ParticipantService:
    service: ParticipantService = request.app.state.participants
    return service
