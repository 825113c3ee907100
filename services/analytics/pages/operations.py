"""The page of whoever looks after a study's data: how far the projection is, and what it waits for."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.analytics.operations.api import load_operations, note_operations
from services.analytics.pages.html_errors import html_or_error, pages
from services.analytics.pages.study_header import build_study_header
from shared.inbox.lag import detect_silence, load_lags, load_stuck_counts
from shared.web.fact_recording import StudyIdPath
from shared.web.read_logging import logs_reads
from shared.web.same_origin import PageRoute

routes = APIRouter(include_in_schema=False, route_class=PageRoute)


@routes.get("/analytics/studies/{study_id}/operations")
@logs_reads
async def operations_page(request: Request, study: StudyIdPath) -> Response:
    return await html_or_error(request, _render_operations(request, study))


async def _render_operations(request: Request, study: str) -> str:
    await request.app.state.admit(request)
    state = await load_operations(request.app, study, request.state.caller.subject)
    note_operations(request, state)
    recorded_at = state.recorded_at.isoformat() if state.recorded_at else ""
    pool = request.app.state.pool
    silent = detect_silence(await load_lags(pool), await load_stuck_counts(pool))
    return pages.operations(
        await build_study_header(request, study, "operations", state.position, recorded_at), state, silent
    )
