"""The page of whoever looks after a study's data: how far the projection is, and what it waits for."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.analytics.operations import operations
from services.analytics.pages.routes import in_words, pages
from shared.web.body import BoundedRoute
from shared.web.routes import StudyOf

routes = APIRouter(include_in_schema=False, route_class=BoundedRoute)


@routes.get("/analytics/studies/{study_id}/operations")
async def page(request: Request, study: StudyOf) -> Response:
    return await in_words(request, _page(request, study))


async def _page(request: Request, study: str) -> str:
    await request.app.state.admit(request)
    return pages.operations(await operations(request.app, study, request.state.caller.subject))
