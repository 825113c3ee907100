"""The application of a service whose facts have forms."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, FastAPI

from shared.kernel.fact import Fact, Stream
from shared.settings import Settings
from shared.ui.forms.correction_routes import correction_form_routes
from shared.ui.forms.event_routes import participant_event_routes, study_event_routes
from shared.ui.forms.fields import fact_fields, offers_within
from shared.ui.forms.hub_routes import hub_routes
from shared.ui.forms.recorded_routes import recorded_routes
from shared.ui.forms.routes import Forms, participant_form_routes, study_form_routes
from shared.ui.forms.study_hub_routes import study_hub_routes
from shared.ui.forms.term_routes import term_routes
from shared.ui.forms.terms import TERM_OFFERS
from shared.ui.html_errors import install_html_errors
from shared.ui.static_files import static_routes
from shared.web.app import create_service_app
from shared.web.container import OpenResources
from shared.web.relay_health import relay_health_routes
from shared.web.traffic import Traffic


def create_form_app(
    name: str,
    open_resources: OpenResources,
    routers: Sequence[APIRouter],
    settings: Settings,
    *,
    forms: Forms,
    streams: Sequence[Stream],
    excluded: type[Fact] | None = None,
    traffic: Traffic | None = None,
) -> FastAPI:
    """Creates the application of a service, with a form for every fact of its streams but the excluded one.

    The JSON routes and special forms are in `routers`. Refusals are pages for clients that accept HTML.
    """
    page_routers = [
        static_routes(name),
        relay_health_routes(name),
        recorded_routes(forms),
        *([term_routes(name)] if any(map(_has_terms, streams)) else []),
        *(router for stream in streams for router in _routers(forms, stream, excluded)),
    ]
    app = create_service_app(
        name,
        open_resources,
        [*routers, *page_routers],
        settings,
        traffic=traffic,
        takes_session=True,
        forms_only=True,
    )
    install_html_errors(app, forms.pages)
    return app


def _has_terms(stream: Stream) -> bool:
    return any(offers_within(fact_fields(fact)) & set(TERM_OFFERS) for fact in stream.declared_facts.values())


def _routers(forms: Forms, stream: Stream, excluded: type[Fact] | None) -> list[APIRouter]:
    if stream.subject == "study":
        return [
            study_form_routes(forms, stream, excluded=excluded),
            study_event_routes(forms),
            study_hub_routes(forms, stream, excluded=excluded),
        ]
    return [
        participant_form_routes(forms, stream),
        participant_event_routes(forms),
        correction_form_routes(forms, stream),
        hub_routes(forms, stream),
    ]
