"""The worklist as an iCalendar file: a copy to import once, unlike the calendar feed that follows the record."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query, Request, Response
from pydantic import Field

from services.analytics.reminders.calendar import (
    MAX_EVENTS,
    CalendarVisit,
    compose_calendar,
    describe_events,
    revise_events,
)
from services.analytics.schedule.api import WorklistParameters, read_worklist
from services.analytics.schedule.service import WorklistPage, WorklistRow
from shared.kernel.errors import parameter_error
from shared.offload import offload
from shared.protocol.schedule import INDEX_SCHEDULE
from shared.web.fact_recording import StudyIdPath
from shared.web.fact_routes import create_router, refusal_responses
from shared.web.file_names import content_disposition
from shared.web.read_logging import logs_reads
from shared.web.response_models import CONTENT_HEADERS, NOT_MODIFIED

ICALENDAR = "text/calendar; charset=utf-8"
MAX_VISITS = MAX_EVENTS // 2
"""Visits of a file. A longer list is refused, since a calendar does not show that it is incomplete."""
TOO_MANY_VISITS = (
    f"The list has more than {MAX_VISITS:,} rows, which is too long for a calendar. Ask for one site or for fewer "
    "states."
)
_ENTRIES_READ = 10 * MAX_VISITS
"""Entries read at most: participants without visits are in the list too, and not in the calendar."""
_DESCRIPTION = "Visits of the worklist as of {}. This copy does not follow what is recorded later."
routes = create_router("/analytics/v1/studies/{study_id}")


class WorklistCalendarParameters(WorklistParameters):
    windows: Annotated[Literal["on", "off"], Field(description="`off` leaves out the events of windows")] = "on"


@routes.get(
    "/worklist.ics",
    tags=["reading"],
    summary="Worklist as a calendar",
    name="worklist_calendar",
    responses={
        200: {"content": {"text/calendar": {}}, "description": "The calendar", "headers": dict(CONTENT_HEADERS)},
        304: NOT_MODIFIED,
        **refusal_responses({}),
    },
    response_class=Response,
)
@logs_reads
async def worklist_calendar(
    request: Request, study: StudyIdPath, parameters: Annotated[WorklistCalendarParameters, Query()]
) -> Response:
    """Returns the visits of the list as iCalendar events: the target day and the window of each."""
    page = await read_worklist(request, study, parameters, None, _ENTRIES_READ)
    if page.next or len(page.rows) > MAX_VISITS:
        raise parameter_error("site", TOO_MANY_VISITS)
    content = await offload(
        request.state.caller.subject,
        lambda: _compose_file(study, page, with_windows=parameters.windows == "on"),
        item_count=len(page.rows),
    )
    filters = [part for part in (parameters.site, parameters.participant, *parameters.state) if part]
    headers = content_disposition([study, "worklist", *filters, page.on.isoformat()], page.current.position, "ics")
    return Response(content, media_type=ICALENDAR, headers=headers)


def _compose_file(study: str, page: WorklistPage, *, with_windows: bool) -> bytes:
    """Returns the file. Its events have the time of the last fact, so that the same list has the same bytes."""
    contents = [
        content
        for row in page.rows
        for content in describe_events(study, _to_calendar_visit(row))
        if with_windows or content.part == "target"
    ]
    recorded_at = page.current.recorded_at
    events, _ = revise_events({}, contents, recorded_at) if recorded_at else ([], [])
    return compose_calendar(study, _DESCRIPTION.format(page.on), events)


def _to_calendar_visit(row: WorklistRow) -> CalendarVisit:
    visit = row.visit
    return CalendarVisit(
        site_id=visit.site_id,
        participant_id=visit.participant_id,
        schedule=row.course_id or INDEX_SCHEDULE,
        number=visit.number,
        opens=visit.opens,
        target=visit.target,
        closes=visit.closes,
    )
