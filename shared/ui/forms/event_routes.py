"""The page of every recorded fact: what it says, its correction, and the facts that are likely next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from shared.contracts.event import Event
from shared.kernel.errors import NotFound
from shared.kernel.fact import Correction
from shared.kernel.sealed_text import insert_texts
from shared.postgres.tenancy import Tenant
from shared.ui.forms import addresses
from shared.ui.forms.fields import fact_fields
from shared.ui.forms.next_steps import next_links
from shared.ui.forms.pages import EventPage, crumbs
from shared.ui.forms.routes import Forms, create_form_router
from shared.ui.forms.targets import ParticipantState, fact_heading, load_participant_state, study_title
from shared.ui.forms.words import describe_fact
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
        rights, state = await load_caller_rights(request, study)
        if not rights.has_role_at(None, frozenset({"administrator", "investigator"})):
            raise NotFound
        async with get_service(request).store.unit(Tenant(study)) as unit:
            events = (await unit.load_stream(study)).events
        event = find_event(events, event_id)
        note_no_rows(request)
        page = EventPage(
            heading=_heading(event),
            study_id=study,
            recorded_at=event.recorded_at,
            recorded_by=str(event.meta.get("recorded_by") or ""),
            lines=describe_fact(fact_fields(event.stream.facts[event.type]), event.content),
            crumbs=crumbs(study, study_title(state.record), ""),
        )
        return html_response(forms.pages.render("event.html", page=page, member=request.state.caller.subject))

    return routes


def find_event(events: Sequence[Event], event_id: UUID) -> Event:
    """Returns the event. Raises NotFound."""
    event = next((event for event in events if event.event_id == event_id), None)
    if event is None or not event.is_readable:
        raise NotFound
    return event


@dataclass(frozen=True, slots=True)
class CurrentContent:
    """The last content of a recorded fact, with the texts that the caller may read."""

    event: Event
    body: dict[str, Any]
    is_standing: bool
    corrections: Sequence[Event]


def current_content(state: ParticipantState, event: Event) -> CurrentContent:
    """Returns the last content of a fact. A void fact keeps the content that it had."""
    body = insert_texts(_content_today(event), state.texts.get(event.version, {}))
    corrections = [
        other
        for other in state.stream.events
        if other.type == Correction.type_name and other.content["event_id"] == str(event.event_id)
    ]
    for correction in corrections:
        texts = state.texts.get(correction.version, {})
        if replacement := insert_texts(_content_today(correction), texts)["replacement"]:
            body = replacement["data"]
    is_standing = any(stated.event_id == event.event_id for stated in state.own.stated_facts)
    return CurrentContent(event, body, is_standing, corrections)


def _content_today(event: Event) -> dict[str, Any]:
    """Returns the content in the present schema."""
    return event.stated_fact().fact.model_dump(mode="json")


def participant_event_page(
    request: Request, service: str, study: str, participant_id: str, state: ParticipantState, event_id: UUID
) -> EventPage:
    event = find_event(state.stream.events, event_id)
    content = current_content(state, event)
    return EventPage(
        heading=_heading(event),
        study_id=study,
        recorded_at=event.recorded_at,
        recorded_by=str(event.meta.get("recorded_by") or ""),
        lines=describe_fact(fact_fields(event.stream.facts[event.type]), content.body),
        state=" ".join(_state_sentences(content)),
        timeline_url=addresses.timeline_url(study, participant_id, event_id),
        crumbs=crumbs(study, study_title(state.study.record), participant_id),
        next_links=next_links(study, participant_id, state, service, event.type),
    )


def _heading(event: Event) -> str:
    return fact_heading(event.stream.facts[event.type])


def _state_sentences(content: CurrentContent) -> Iterator[str]:
    if not content.is_standing and content.event.type != Correction.type_name:
        yield "This fact is void."
    if content.corrections:
        last: datetime = content.corrections[-1].recorded_at
        yield f"Corrected {last.astimezone(UTC):%Y-%m-%d %H:%M} UTC; this is its content now."
