"""The page of a participant in one service: the forms that the caller may use, and the facts that were recorded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import Response

from shared.contracts.participation import enrollment_status
from shared.kernel.fact import Stream
from shared.kernel.presentation import code_in_words
from shared.ui.forms import addresses
from shared.ui.forms.next_steps import RECORDING_SERVICES, next_links
from shared.ui.forms.pages import crumbs
from shared.ui.forms.requests import AfterParameter, create_form_router
from shared.ui.forms.routes import Forms
from shared.ui.forms.targets import ParticipantState, fact_heading, load_participant_state, participant_context
from shared.ui.navigation import Link, NavLink
from shared.ui.pages import html_response
from shared.web.container import get_container
from shared.web.fact_recording import ParticipantIdPath, StudyIdPath
from shared.web.read_logging import logs_reads, note_rows

SERVICE_LABELS = {"enrollment": "Enrollment and treatment", "toxicity": "Toxicity", "followup": "Follow-up"}
"""The subjects of the facts that each service records, in words."""


@dataclass(frozen=True, slots=True)
class RecordedRow:
    """One fact of the list: its day, what it is, and its page."""

    happened_on: str
    heading: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HubPage:
    """Everything that the page of a participant shows."""

    participant_id: str
    site_id: str
    status: str
    crumbs: Sequence[Link]
    services: Sequence[NavLink]
    next_links: Sequence[Link]
    form_links: Sequence[Link]
    rows: Sequence[RecordedRow]


def hub_routes(forms: Forms, stream: Stream) -> APIRouter:
    """Returns the page of a participant."""
    routes = create_form_router(forms.service)

    @routes.get("/{study_id}/participants/{participant_id}")
    @logs_reads
    async def participant_hub(
        request: Request, study: StudyIdPath, participant_id: ParticipantIdPath, after: AfterParameter = None
    ) -> Response:
        await get_container(request).authenticate(request)
        state = await load_participant_state(request, study, participant_id, after or "")
        page = build_hub(request, forms.service, stream, study, participant_id, state)
        note_rows(request, study, "participant", len(page.rows), participant=participant_id)
        return html_response(forms.pages.render("hub.html", page=page, member=request.state.caller.subject))

    return routes


def build_hub(
    request: Request, service: str, stream: Stream, study: str, participant_id: str, state: ParticipantState
) -> HubPage:
    last_type = state.own.stated_facts[-1].fact.type_name if state.own.stated_facts else ""
    after = f"?after=enrollment={state.stream.head.version}" if service == "enrollment" else ""
    return HubPage(
        participant_id=participant_id,
        site_id=state.site_id,
        status=code_in_words(enrollment_status(state.enrollment)),
        crumbs=crumbs(service, study, state.rights),
        services=[
            NavLink(
                addresses.participant_base(name, study, participant_id) + (after if name != service else ""),
                SERVICE_LABELS[name],
                name == service,
            )
            for name in RECORDING_SERVICES
        ],
        next_links=next_links(
            study, participant_id, state, participant_context(request, study, state), service, last_type
        ),
        form_links=list(_form_links(service, stream, study, participant_id, state)),
        rows=list(_rows(service, study, participant_id, state)),
    )


def _form_links(
    service: str, stream: Stream, study: str, participant_id: str, state: ParticipantState
) -> Iterator[Link]:
    for fact in stream.declared_facts.values():
        is_first_fact = service == "enrollment" and fact.type_name == "participant.screened"
        if not is_first_fact and state.rights.has_role_at(state.site_id, fact.stated_by_roles):
            yield Link(addresses.form_url(service, study, fact.type_name, participant_id), fact_heading(fact))


def _rows(service: str, study: str, participant_id: str, state: ParticipantState) -> Iterator[RecordedRow]:
    for stated in reversed(state.own.stated_facts):
        url = addresses.event_url(service, study, stated.event_id, participant_id)
        yield RecordedRow(str(stated.fact.happened_on or ""), fact_heading(type(stated.fact)), url)
