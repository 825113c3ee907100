"""The operations page of a study: the position of its projection, and the messages that it waits for."""

from __future__ import annotations

from pathlib import Path

from fastapi import Request
from fastapi.responses import Response

from services.analytics.operations.api import Operations, load_operations, note_operations
from services.analytics.snapshot.access import may_see_operations
from services.analytics.snapshot.api import StudyResources
from services.analytics.study_header import StudyPage, build_study_header
from shared.inbox.lag import SilentComponent, detect_silence, load_lags, load_stuck_counts
from shared.ui.html_errors import html_or_error
from shared.ui.navigation import StudyHeader
from shared.ui.pages import Pages, create_page_router
from shared.web.container import get_container
from shared.web.fact_recording import StudyIdPath
from shared.web.read_logging import logs_reads

PAGE = StudyPage(route="/analytics/studies/{study_id}/operations", nav_label="Operations", may_see=may_see_operations)
routes = create_page_router()
pages = Pages("analytics", Path(__file__).with_name("templates"))


@routes.get(PAGE.route)
@logs_reads
async def operations_page(request: Request, study: StudyIdPath) -> Response:
    return await html_or_error(request, pages, _render_operations(request, study))


async def _render_operations(request: Request, study: str) -> str:
    await get_container(request).authenticate(request)
    resources = get_container(request).get_resources(StudyResources)
    state = await load_operations(resources, study, request.state.caller.subject)
    note_operations(request, state)
    silence = detect_silence(await load_lags(resources.pool), await load_stuck_counts(resources.pool))
    header = await build_study_header(
        request,
        study,
        PAGE,
        heading="Operations",
        position=state.position,
        recorded_at=state.recorded_at,
        epoch=state.epoch,
    )
    return render_operations(header, state, silence)


def render_operations(study: StudyHeader, state: Operations, silence: SilentComponent | None) -> str:
    """Renders the page; `silence` names the component from which no measurement arrives."""
    return pages.render_study("operations.html", study, state=state, silence=silence)
