"""The analytics service: figures and pages over what the projection keeps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from types import MappingProxyType

from fastapi import FastAPI

from services.analytics.figures import api as figures_api
from services.analytics.figures import page as figures_page
from services.analytics.figures.service import FigureService
from services.analytics.live import api as live_api
from services.analytics.live.change_listener import listen
from services.analytics.operations import api as operations_api
from services.analytics.operations import page as operations_page
from services.analytics.participants import api as participants_api
from services.analytics.participants import page as participants_page
from services.analytics.participants.service import ParticipantService
from services.analytics.queries import api as queries_api
from services.analytics.queries import page as queries_page
from services.analytics.queries.service import QueryService
from services.analytics.snapshot import api as snapshot_api
from services.analytics.snapshot.study_reader import StudyReader
from services.analytics.timeline import api as timeline_api
from services.analytics.timeline import page as timeline_page
from services.analytics.timeline.service import TimelineService
from shared.security.tenancy import open_pool, require_safe_role
from shared.settings import Settings
from shared.terminology.ctcae import TermNames
from shared.ui.home import home_routes
from shared.ui.html_errors import install_html_errors
from shared.ui.live_updates import LiveUpdates
from shared.ui.navigation import Link
from shared.ui.pages import Pages
from shared.ui.session import SESSION_COOKIE
from shared.ui.sign_in import sign_in_routes
from shared.ui.static_files import static_routes
from shared.web.app import create_service_app
from shared.web.export_log_routes import read_log_routes
from shared.web.service import authentication, create_verifier

_NO_LINKS: Mapping[str, Sequence[Link]] = MappingProxyType({})
_NO_NOTES: Mapping[str, Sequence[str]] = MappingProxyType({})


@asynccontextmanager
async def _lifespan(app: FastAPI, settings: Settings) -> AsyncIterator[None]:
    clock = settings.study_clock()
    async with (
        await open_pool(settings.database_url("analytics", "app"), max_size=settings.pool_size) as app_pool,
        await open_pool(settings.database_url("analytics", "system"), max_size=settings.pool_size) as system_pool,
    ):
        await require_safe_role(app_pool)
        state = app.state
        reader = StudyReader(app_pool, system_pool, clock)
        state.pool, state.system, state.figures = app_pool, system_pool, FigureService(reader)
        state.reader, state.studies = reader, reader.studies
        state.queries = QueryService(reader, TermNames())
        state.participants = ParticipantService(reader, state.queries)
        state.timelines = TimelineService(reader, TermNames())
        state.verifier = create_verifier(settings, clock)
        state.admit = authentication(state.verifier, cookie=SESSION_COOKIE)
        listener = asyncio.create_task(listen(settings.database_url("analytics", "system"), state.studies, state.live))
        try:
            yield
        finally:
            state.live.close()
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)


def create_app(
    settings: Settings,
    *,
    study_links: Mapping[str, Sequence[Link]] = _NO_LINKS,
    study_notes: Mapping[str, Sequence[str]] = _NO_NOTES,
) -> FastAPI:
    """Create the application. The start page shows `study_links` by their headings, and the pages of a study have the
    `study_notes` under its id."""
    pages = Pages("analytics")
    api_routers = [
        snapshot_api.routes,
        figures_api.routes,
        live_api.routes,
        timeline_api.routes,
        queries_api.routes,
        participants_api.routes,
        operations_api.routes,
        read_log_routes("analytics"),
    ]
    page_routers = [
        home_routes(pages, study_links),
        sign_in_routes(pages),
        static_routes("analytics"),
        figures_page.routes,
        participants_page.routes,
        timeline_page.routes,
        queries_page.routes,
        operations_page.routes,
    ]
    lifespan = partial(_lifespan, settings=settings)
    app = create_service_app("analytics", "Quartal analytics", lifespan, [*api_routers, *page_routers], settings)
    app.state.measures.append(operations_api.collect_metrics)
    install_html_errors(app, pages)
    app.state.live, app.state.notes = LiveUpdates(), study_notes
    app.streams = (app.state.live,)  # type: ignore[attr-defined] # for `shared.runtime.server`
    app.state.plain_http = settings.plain_http
    return app
