"""The page of whoever looks after a study's data: how far the projection is, and what it waits for."""

from __future__ import annotations

from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from services.analytics.operations import operations
from services.analytics.pages.render import Problem
from services.analytics.pages.routes import pages, shown
from shared.kernel.refusal import Refusal, Unrecognised
from shared.web.body import BoundedRoute
from shared.web.routes import StudyOf

routes = APIRouter(include_in_schema=False, route_class=BoundedRoute)


@routes.get("/analytics/studies/{study_id}/operations")
async def page(request: Request, study: StudyOf) -> Response:
    try:
        await request.app.state.admit(request)
        told = await operations(request.app, study, request.state.caller.subject)
        return shown(pages.operations(told))
    except Unrecognised:
        return RedirectResponse(f"/session?{urlencode({'next': request.url.path})}", 303)
    except Refusal as refusal:
        return shown(pages.problem(Problem(refusal.status, refusal.title)), refusal.status)
