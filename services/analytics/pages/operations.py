"""The page of whoever looks after a study's data: how far the projection is, and what it waits for."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.analytics.operations import note_operations, operations
from services.analytics.pages.answering import in_words, pages
from services.analytics.pages.heads import head
from shared.inbox.lag import lags, silence, standstill
from shared.web.reads import logs_reads
from shared.web.routes import StudyOf
from shared.web.same_origin import PageRoute

routes = APIRouter(include_in_schema=False, route_class=PageRoute)


@routes.get("/analytics/studies/{study_id}/operations")
@logs_reads
async def page(request: Request, study: StudyOf) -> Response:
    return await in_words(request, _page(request, study))


async def _page(request: Request, study: str) -> str:
    await request.app.state.admit(request)
    told = await operations(request.app, study, request.state.caller.subject)
    note_operations(request, told)
    recorded_at = told.recorded_at.isoformat() if told.recorded_at else ""
    pool = request.app.state.pool
    silent = silence(await lags(pool), await standstill(pool))
    return pages.operations(await head(request, study, "operations", told.position, recorded_at), told, silent)
