"""The analytics service: figures, data queries, timelines and pages, from the facts that the projector has applied."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from types import MappingProxyType

from fastapi import FastAPI

from services.analytics.container import Analytics
from services.analytics.cuts import api as cuts_api
from services.analytics.cuts.service import ChangeService
from services.analytics.documents import api as documents_api
from services.analytics.documents.service import DocumentService
from services.analytics.figures import api as figures_api
from services.analytics.figures.registry import FIGURE_TABLES
from services.analytics.figures.service import FigureService
from services.analytics.literature import api as literature_api
from services.analytics.literature.comparison import ComparisonTable
from services.analytics.literature.service import LiteratureService
from services.analytics.live import api as live_api
from services.analytics.live.change_listener import listen
from services.analytics.live.parts import LIVE_PARTS, SEALING_PARTS
from services.analytics.operations import api as operations_api
from services.analytics.operations.metrics import collect_metrics
from services.analytics.own_studies import list_own_studies
from services.analytics.page_registry import PAGE_MODULES, STUDY_FORMS
from services.analytics.participants import api as participants_api
from services.analytics.participants.service import ParticipantService
from services.analytics.queries import api as queries_api
from services.analytics.queries.service import QueryService
from services.analytics.reminders import health as reminders_health
from services.analytics.reminders import worklist_calendar
from services.analytics.reminders.calendar_feed import api as calendar_feed_api
from services.analytics.reminders.calendar_feed.service import CalendarService
from services.analytics.reminders.digest import MailSettings
from services.analytics.reminders.links import LinksKey
from services.analytics.reminders.listing import api as reminders_api
from services.analytics.reminders.listing.service import ReminderListService
from services.analytics.reminders.next_reminders import load_next_reminders
from services.analytics.reminders.requested_digests import RequestedDigests
from services.analytics.reminders.subscriptions import api as subscriptions_api
from services.analytics.reminders.subscriptions.calendar_addresses import CalendarAddresses
from services.analytics.reminders.subscriptions.service import Mailing, SubscriptionService
from services.analytics.schedule import api as schedule_api
from services.analytics.schedule.service import WorklistService
from services.analytics.snapshot import api as snapshot_api
from services.analytics.snapshot.study_reader import StudyReader
from services.analytics.timeline import api as timeline_api
from services.analytics.timeline.service import TimelineService
from shared.postgres.tenancy import open_pool, require_safe_role
from shared.settings import Settings
from shared.terminology.ctcae import TermNames
from shared.ui.home import home_routes
from shared.ui.html_errors import install_html_errors
from shared.ui.live_updates import LiveUpdates
from shared.ui.navigation import Link
from shared.ui.pages import Pages
from shared.ui.static_files import static_routes
from shared.web.app import create_service_app
from shared.web.authentication import create_verifier
from shared.web.export_log_routes import read_log_routes
from shared.web.metrics import collect_inbox_metrics, collect_relay_metrics
from shared.web.traffic import Traffic

_NO_LINKS: Mapping[str, Sequence[Link]] = MappingProxyType({})
_NO_NOTES: Mapping[str, Sequence[str]] = MappingProxyType({})
_NO_TABLES: Mapping[str, ComparisonTable] = MappingProxyType({})


@asynccontextmanager
async def _open_resources(
    settings: Settings,
    live_updates: LiveUpdates,
    study_notes: Mapping[str, Sequence[str]],
    comparison_tables: Mapping[str, ComparisonTable],
) -> AsyncIterator[Analytics]:
    clock, system_url = settings.study_clock(), settings.database_url("analytics", "system")
    mailing = _mailing(settings)
    async with (
        await open_pool(settings.database_url("analytics", "app"), max_size=settings.pool_size) as pool,
        await open_pool(system_url, max_size=settings.pool_size) as system_pool,
    ):
        await require_safe_role(pool)
        reader = StudyReader(pool, system_pool, clock, FIGURE_TABLES)
        queries, figures, documents = QueryService(reader), FigureService(reader), DocumentService(reader)
        listener = asyncio.create_task(listen(system_url, reader, live_updates))
        try:
            yield Analytics(
                pool=pool,
                system_pool=system_pool,
                studies=reader.studies,
                verifier=create_verifier(settings, clock),
                metrics_collectors=[
                    partial(collect_relay_metrics, "analytics", pool),
                    partial(collect_inbox_metrics, "analytics", pool),
                    partial(collect_metrics, system_pool),
                    partial(reminders_health.collect_reminder_metrics, system_pool),
                ],
                reader=reader,
                figures=figures,
                changes=ChangeService(reader, figures),
                literature=LiteratureService(reader, figures, comparison_tables),
                documents=documents,
                document_links=documents.list_links,
                queries=queries,
                participants=ParticipantService(reader, queries),
                worklist=WorklistService(reader, load_next_reminders),
                reminders=ReminderListService(reader),
                timelines=TimelineService(reader, TermNames()),
                subscriptions=SubscriptionService(pool, system_pool, reader.studies, mailing, clock.now),
                requested_digests=RequestedDigests(
                    system_pool, reader.studies, clock, mailing.settings if mailing else None
                ),
                calendar_addresses=CalendarAddresses(
                    pool, reader.studies, _links(settings), settings.public_url, clock.now
                ),
                calendars=CalendarService(system_pool, reader, _links(settings), clock.now),
                live_updates=live_updates,
                pages=[*(module.PAGE for module in PAGE_MODULES), STUDY_FORMS],
                live_parts=(*LIVE_PARTS, *SEALING_PARTS),
                study_notes=study_notes,
            )
        finally:
            live_updates.close()
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)


def _links(settings: Settings) -> LinksKey | None:
    return LinksKey.load(settings.links_key) if settings.links_key else None


def _mailing(settings: Settings) -> Mailing | None:
    """Returns the means to send mail; None where no mail server is set."""
    links = _links(settings)
    if links is None or settings.mail_server is None:
        return None
    return Mailing(
        settings=MailSettings(mail_from=settings.mail_from, url=settings.public_url, detail=settings.mail_detail),
        links=links,
        domains=settings.mail_domains,
    )


def create_app(
    settings: Settings,
    *,
    traffic: Traffic | None = None,
    study_links: Mapping[str, Sequence[Link]] = _NO_LINKS,
    study_notes: Mapping[str, Sequence[str]] = _NO_NOTES,
    comparison_tables: Mapping[str, ComparisonTable] = _NO_TABLES,
) -> FastAPI:
    """Creates the application.

    `study_links` are the links of the start page by their headings. `study_notes` are notes by study id, which every
    page of the study shows. `comparison_tables` are published tables by the id of the study that is compared with them.
    """
    pages = Pages("analytics")
    api_routers = [
        snapshot_api.routes,
        figures_api.routes,
        cuts_api.routes,
        literature_api.routes,
        documents_api.routes,
        live_api.routes,
        timeline_api.routes,
        queries_api.routes,
        participants_api.routes,
        schedule_api.routes,
        reminders_api.routes,
        reminders_health.routes,
        subscriptions_api.routes,
        calendar_feed_api.routes,
        worklist_calendar.routes,
        operations_api.routes,
        read_log_routes("analytics"),
    ]
    page_routers = [
        home_routes(pages, study_links, list_own_studies, settings.may_open_any_study),
        static_routes("analytics"),
        *(module.routes for module in PAGE_MODULES),
    ]
    live_updates = LiveUpdates()
    app = create_service_app(
        "analytics",
        partial(_open_resources, settings, live_updates, study_notes, comparison_tables),
        [*api_routers, *page_routers],
        settings,
        traffic=traffic,
        streams=[live_updates],
        takes_session=True,
    )
    install_html_errors(app, pages)
    return app
