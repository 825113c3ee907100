"""The age of a service's relay for monitoring: how long what was recorded may have waited to be published on Kafka."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from shared.outbox.maintenance import load_relay_age
from shared.web.container import Resources, get_container
from shared.web.route_classes import StrictRoute

BEHIND_SECONDS = 60.0
"""Seconds after which a relay that has not published everything is taken for stopped. An idle one notes every 4 s."""


def relay_health_routes(name: str) -> APIRouter:
    """Returns the route `/NAME/health/relay` of a service that records facts."""
    routes = APIRouter(include_in_schema=False, route_class=StrictRoute)

    @routes.get(f"/{name}/health/relay")
    async def relay_health(request: Request) -> JSONResponse:
        """Returns 200 with the age in seconds, or 503 if the relay is behind or never published everything."""
        seconds = await load_relay_age(get_container(request).get_resources(Resources).pool)
        if seconds is None:
            return JSONResponse({"status": "never"}, status_code=503)
        answer = {"status": "behind" if seconds > BEHIND_SECONDS else "ready", "seconds": round(seconds, 1)}
        return JSONResponse(answer, status_code=503 if seconds > BEHIND_SECONDS else 200)

    return routes
