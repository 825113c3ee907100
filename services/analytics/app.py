"""The analytics service: figures and pages over what the projection keeps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI

from services.analytics import api, api_participants, api_queries, operations
from services.analytics.asking import Figures
from services.analytics.listening import listen
from services.analytics.pages import operations as operations_page
from services.analytics.pages import participants
from services.analytics.pages import queries as queries_page
from services.analytics.pages import routes as pages
from services.analytics.pages.answering import answer_browsers_in_words
from services.analytics.pages.live import Live
from services.analytics.participants import Participants
from services.analytics.questions import Queries
from shared.security.tenancy import open_pool, refuse_unsafe_role
from shared.settings import Settings
from shared.terminology.ctcae import Names
from shared.web.app import create_service_app
from shared.web.exports import read_log_routes
from shared.web.service import admission, verifier


@asynccontextmanager
async def _start(app: FastAPI, settings: Settings) -> AsyncIterator[None]:
    clock = settings.study_clock()
    async with (
        await open_pool(settings.database("analytics", "app"), largest=settings.pool_size) as application,
        await open_pool(settings.database("analytics", "system"), largest=settings.pool_size) as system,
    ):
        await refuse_unsafe_role(application)
        state = app.state
        state.pool, state.system, state.figures = application, system, Figures(application, system, clock)
        state.studies = state.figures.studies
        state.queries = Queries(state.figures, Names())
        state.participants = Participants(application, system, state.figures, state.queries, Names())
        state.verifier = verifier(settings, clock)
        state.admit = admission(state.verifier, cookie=pages.COOKIE)
        listening = asyncio.create_task(listen(settings.database("analytics", "system"), state.figures, state.live))
        try:
            yield
        finally:
            state.live.close()
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


def create_app(settings: Settings) -> FastAPI:
    reading = [
        api.routes, api_participants.routes, api_queries.routes, operations.routes, read_log_routes("analytics"),
    ]  # fmt: skip
    shown = [pages.routes, participants.routes, queries_page.routes, operations_page.routes]
    start = partial(_start, settings=settings)
    app = create_service_app("analytics", "Quartal analytics", start, [*reading, *shown], settings)
    app.state.measures.append(operations.measured)
    answer_browsers_in_words(app)
    app.state.live, app.state.links, app.state.notes = Live(), {}, {}
    app.streams = (app.state.live,)  # type: ignore[attr-defined] # for `shared.web.server`
    app.state.plain_http = settings.plain_http
    return app
