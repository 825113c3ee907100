"""The calendar feed over HTTP: the secret in its address is its only credential.

The address is in no log and in no metric: the server writes no log of accesses, and requests are counted by method.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request, Response

from services.analytics.reminders.calendar_feed.service import CalendarService
from shared.security.tokens import Caller
from shared.web.container import Resources, get_container
from shared.web.entity_tags import content_tag
from shared.web.read_logging import logs_reads, note_rows
from shared.web.route_classes import BoundedRoute

ICALENDAR = "text/calendar; charset=utf-8"
routes = APIRouter(route_class=BoundedRoute, include_in_schema=False)


@dataclass(frozen=True, kw_only=True)
class CalendarResources(Resources):
    """The resources of calendars."""

    calendars: CalendarService


@routes.get("/analytics/calendars/{secret}.ics")
@logs_reads
async def calendar_feed(
    request: Request,
    secret: Annotated[str, Path()],
    windows: Annotated[Literal["on", "off"], Query()] = "on",
) -> Response:
    """Returns the visits at the sites of the member to whom the address was given. `windows=off`: only target days."""
    service = get_container(request).get_resources(CalendarResources).calendars
    feed = await service.fetch(secret, with_windows=windows == "on")
    request.state.caller = Caller(feed.member)
    note_rows(request, feed.study_id, "calendar", feed.events)
    headers = {"ETag": content_tag(feed.content), "Cache-Control": "private, no-cache"}
    return Response(feed.content, media_type=ICALENDAR, headers=headers)
