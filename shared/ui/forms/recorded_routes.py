"""The page of what a person recorded on a day in one service, with links that correct or void each fact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from fastapi import APIRouter, Request
from fastapi.responses import Response

from shared.contracts.event import Event
from shared.eventstore.study_cache import StudyState
from shared.gate.study_timeline import study_day
from shared.kernel.fact import Correction
from shared.kernel.partial_date import Day
from shared.postgres.tenancy import Tenant
from shared.security.grants import Rights, readable_tenants
from shared.ui.forms import addresses
from shared.ui.forms.hub_routes import SERVICE_LABELS
from shared.ui.forms.pages import crumbs
from shared.ui.forms.requests import create_form_router
from shared.ui.forms.routes import Forms
from shared.ui.forms.site_time import write_site_time
from shared.ui.forms.targets import fact_heading, zone_of_site
from shared.ui.navigation import Link, NavLink
from shared.ui.pages import MAX_TABLE_ROWS, html_response
from shared.web.container import get_container
from shared.web.fact_recording import StudyIdPath
from shared.web.read_access import load_caller_rights
from shared.web.read_logging import logs_reads, note_rows
from shared.web.service import get_service


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """One row: time of recording by the clock of the site, participant, fact, and the address of its correction."""

    event: Event
    heading: str
    url: str
    correct_url: str
    recorded_at: str

    @property
    def participant_id(self) -> str:
        return "" if self.event.is_study_event else self.event.stream_id


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedPage:
    """Everything that the page shows."""

    day: date
    rows: Sequence[RecordedEvent]
    crumbs: Sequence[Link]
    services: Sequence[NavLink]
    is_cut_off: bool


def recorded_routes(forms: Forms) -> APIRouter:
    """Returns the page of what the caller recorded."""
    routes = create_form_router(forms.service)

    @routes.get("/{study_id}/recorded")
    @logs_reads
    async def recorded(request: Request, study: StudyIdPath, on: Day | None = None) -> Response:
        await get_container(request).authenticate(request)
        rights, state = await load_caller_rights(request, study)
        clock = get_service(request).clock
        day = on or study_day(clock, study, state.record, None, clock.now())
        events = await _load_events(request, study, rights, day)
        note_rows(request, study, "recorded", len(events))
        page = _build_page(forms.service, study, rights, state, day, events)
        return html_response(forms.pages.render("recorded.html", page=page, member=request.state.caller.subject))

    return routes


async def _load_events(request: Request, study: str, rights: Rights, day: date) -> list[Event]:
    """Returns the member's events of participants that the member may see now, and of the study; the last one first."""
    store, member = get_service(request).store, request.state.caller.subject
    async with store.unit(Tenant(study)) as unit:
        events = await unit.list_member_events(member, day, of_study=True, limit=MAX_TABLE_ROWS + 1)
    sites = readable_tenants(rights) if rights.visible_sites else []
    async with store.snapshot([Tenant(study, site) for site in sites]) as snapshot:
        async for _, unit in snapshot:
            events += await unit.list_member_events(member, day, of_study=False, limit=MAX_TABLE_ROWS + 1)
    return sorted(events, key=lambda event: (event.recorded_at, event.version), reverse=True)


def _build_page(
    service: str, study: str, rights: Rights, state: StudyState, day: date, events: Sequence[Event]
) -> RecordedPage:
    rows = [_row(service, study, rights, state, event) for event in events[:MAX_TABLE_ROWS] if event.is_readable]
    return RecordedPage(
        day=day,
        rows=rows,
        crumbs=crumbs(service, study, rights),
        services=[
            NavLink(addresses.recorded_url(name, study, day.isoformat()), label, name == service)
            for name, label in SERVICE_LABELS.items()
        ],
        is_cut_off=len(events) > MAX_TABLE_ROWS,
    )


def _row(service: str, study: str, rights: Rights, state: StudyState, event: Event) -> RecordedEvent:
    participant = "" if event.is_study_event else event.stream_id
    is_correction = event.type == Correction.type_name
    may_correct = (
        bool(participant) and not is_correction and rights.has_role_at(event.site_id, Correction.stated_by_roles)
    )
    return RecordedEvent(
        event,
        fact_heading(event.stream.facts[event.type]),
        addresses.event_url(service, study, event.event_id, participant),
        addresses.correction_url(service, study, participant, event.event_id) if may_correct else "",
        write_site_time(event.recorded_at, zone_of_site(state.record, event.site_id)),
    )
