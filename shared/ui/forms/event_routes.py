"""The page of every recorded fact: what it says, its correction, and the facts that are likely next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from shared.contracts.event import Event
from shared.kernel.errors import NotFound
from shared.kernel.fact import Correction
from shared.postgres.tenancy import Tenant
from shared.ui.forms import addresses
from shared.ui.forms.context import FormContext
from shared.ui.forms.current_content import CurrentContent, current_content, find_event
from shared.ui.forms.fields import correction_fields, fact_fields
from shared.ui.forms.next_steps import next_links, next_study_links
from shared.ui.forms.offers import worded_offers
from shared.ui.forms.pages import EventPage, crumbs
from shared.ui.forms.requests import create_form_router
from shared.ui.forms.routes import Forms
from shared.ui.forms.site_time import write_site_time
from shared.ui.forms.targets import (
    ParticipantState,
    fact_heading,
    load_participant_state,
    parse_typed_date,
    participant_context,
    study_context,
)
from shared.ui.forms.words import FactLine, describe_fact
from shared.ui.pages import html_response
from shared.web.container import get_container
from shared.web.fact_recording import ParticipantIdPath, StudyIdPath
from shared.web.read_access import load_caller_rights
from shared.web.read_logging import logs_reads, note_no_rows, note_rows
from shared.web.service import get_service


def participant_event_routes(forms: Forms) -> APIRouter:
    """Returns the page of a fact of a participant."""
    routes = create_form_router(forms.service)

    @routes.get("/{study_id}/participants/{participant_id}/events/{event_id}")
    @logs_reads
    async def participant_event(
        request: Request, study: StudyIdPath, participant_id: ParticipantIdPath, event_id: UUID
    ) -> Response:
        await get_container(request).authenticate(request)
        state = await load_participant_state(request, study, participant_id, "")
        page = participant_event_page(request, forms.service, study, participant_id, state, event_id)
        note_rows(request, study, "event", 1, participant=participant_id)
        return html_response(forms.pages.render("event.html", page=page, member=request.state.caller.subject))

    return routes


def study_event_routes(forms: Forms) -> APIRouter:
    """Returns the page of a fact of a study."""
    routes = create_form_router(forms.service)

    @routes.get("/{study_id}/events/{event_id}")
    @logs_reads
    async def study_event(request: Request, study: StudyIdPath, event_id: UUID) -> Response:
        await get_container(request).authenticate(request)
        rights, study_state = await load_caller_rights(request, study)
        if not rights.has_role_at(None, frozenset({"administrator", "investigator"})):
            raise NotFound
        async with get_service(request).store.unit(Tenant(study)) as unit:
            events = (await unit.load_stream(study)).events
        event = find_event(events, event_id)
        note_no_rows(request)
        context = study_context(request, study, study_state.record, frozenset())
        page = EventPage(
            heading=_heading(event),
            study_id=study,
            recorded_at=write_site_time(event.recorded_at, "UTC"),
            recorded_by=str(event.meta.get("recorded_by") or ""),
            lines=describe_fact(
                fact_fields(event.stream.facts[event.type]), event.content, context.zone, worded_offers(context)
            ),
            crumbs=crumbs(forms.service, study, rights),
            next_links=next_study_links(study, study_state.record, rights, event.type),
        )
        return html_response(forms.pages.render("event.html", page=page, member=request.state.caller.subject))

    return routes


def participant_event_page(
    request: Request, service: str, study: str, participant_id: str, state: ParticipantState, event_id: UUID
) -> EventPage:
    event = find_event(state.stream.events, event_id)
    content = current_content(state, event)
    context = participant_context(request, study, state)
    is_correctable = event.type != Correction.type_name and state.may_correct
    return EventPage(
        heading=_heading(event),
        study_id=study,
        recorded_at=write_site_time(event.recorded_at, context.zone),
        recorded_by=str(event.meta.get("recorded_by") or ""),
        lines=_lines_of(event, content.body, context),
        correct_url=addresses.correction_url(service, study, participant_id, event_id) if is_correctable else "",
        state=" ".join(_state_sentences(content, context.zone)),
        timeline_url=addresses.timeline_url(study, participant_id, event_id, f"{service}:{state.stream.head.version}"),
        crumbs=crumbs(service, study, state.rights, participant_id),
        next_links=next_links(study, participant_id, state, context, service, event.type),
    )


def _lines_of(event: Event, body: dict[str, Any], context: FormContext) -> list[FactLine]:
    """Returns a fact in words; of a correction, its reason."""
    fact = event.stream.facts[event.type]
    if event.type != Correction.type_name:
        dated = replace(context, stated_on=parse_typed_date(str(body.get(fact.date_field or ""))))
        return describe_fact(fact_fields(fact), body, context.zone, worded_offers(dated))
    reasons = {name: value for name, value in body.items() if name in ("reason_code", "reason")}
    return describe_fact(correction_fields(fact, fact), reasons, context.zone)


def _heading(event: Event) -> str:
    return fact_heading(event.stream.facts[event.type])


def _state_sentences(content: CurrentContent, zone: str) -> Iterator[str]:
    last = content.corrections[-1] if content.corrections else None
    time = write_site_time(last.recorded_at, zone) if last else ""
    if not content.is_standing and content.event.type != Correction.type_name:
        was_voided_alone = last is not None and last.content["replacement"] is None
        yield f"This fact is void.{f' Voided {time}; this was its content.' if was_voided_alone else ''}"
    elif last:
        yield f"Corrected {time}; this is its content now."
