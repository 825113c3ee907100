"""The list of a study's participants."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import Response

from services.analytics import urls
from services.analytics.participants.api import ParticipantResources
from services.analytics.participants.service import ParticipantListPage
from services.analytics.snapshot.access import may_see_participants
from services.analytics.study_header import StudyPage, build_study_header
from services.analytics.wording.participation_status import describe_participation_status
from shared.ui.html_errors import html_or_error
from shared.ui.pages import Pages, create_page_router
from shared.web.container import get_container
from shared.web.fact_recording import StudyIdPath
from shared.web.read_logging import logs_reads, note_rows

PAGE = StudyPage(
    route=urls.participants_url("{study_id}"), nav_label="Participants", may_see=may_see_participants, is_live=True
)
routes = create_page_router()
pages = Pages(
    "analytics",
    Path(__file__).with_name("templates"),
    filters={"participation_status": describe_participation_status},
    functions={"participant_url": urls.participant_url},
)
AfterParameter = Annotated[str, Query(max_length=16)]


@dataclass(frozen=True, slots=True)
class ParticipantListView:
    """A page of the list, which begins after the participant `after`; `source` is its address."""

    page: ParticipantListPage
    after: str
    source: str


@routes.get(PAGE.route)
@logs_reads
async def participants_page(request: Request, study: StudyIdPath, after: AfterParameter = "") -> Response:
    return await html_or_error(request, pages, _render_participants(request, study, after))


async def _render_participants(request: Request, study: str, after: str) -> str:
    await get_container(request).authenticate(request)
    service = get_container(request).get_resources(ParticipantResources).participants
    page = await service.list_page(study, request.state.caller.subject, after)
    note_rows(request, study, "participants", len(page.rows))
    header = await build_study_header(
        request,
        study,
        PAGE,
        heading="Participants",
        position=page.current.position,
        recorded_at=page.current.recorded_at,
    )
    source = urls.participants_url(study, {"after": after} if after else {})
    return pages.render_study("participants.html", header, view=ParticipantListView(page, after, source))
