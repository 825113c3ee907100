"""Pages of enrollment that find a participant: the list with the site's own numbers, and the search by a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from shared.contracts.enrollment import ParticipantScreened
from shared.contracts.event import Event, stated_facts
from shared.eventstore.append_builder import text_opener
from shared.eventstore.store import StreamHead
from shared.eventstore.stream_cache import latest_content_sources
from shared.kernel.errors import NotFound
from shared.kernel.ids import normalize_participant_id
from shared.kernel.patterns import NEXT_SENTENCE, explain_pattern
from shared.kernel.presentation import code_in_words
from shared.kernel.record import current_record
from shared.postgres.tenancy import Tenant
from shared.security.grants import Rights, readable_tenants
from shared.ui.forms import addresses
from shared.ui.forms.entries import parse_form
from shared.ui.forms.pages import crumbs
from shared.ui.forms.requests import create_form_router, form_token, keep_form_token, require_form_token
from shared.ui.forms.routes import Forms
from shared.ui.navigation import Link
from shared.ui.pages import Pages, html_response
from shared.web.container import get_container
from shared.web.fact_recording import StudyIdPath
from shared.web.read_access import load_caller_rights, load_visible_stream
from shared.web.read_logging import logs_reads, note_rows
from shared.web.reference_search import find_by_reference
from shared.web.service import get_service

SERVICE = "enrollment"
PAGE_ROWS = 50
_CURSOR = explain_pattern("^[0-9A-Z-]{0,11}$", NEXT_SENTENCE)
_NOT_FOUND = "There is no such participant, or you may not see the participant. Look for typing errors."


@dataclass(frozen=True, slots=True)
class OwnParticipant:
    """One row: the number, the site, the status, and the site's own number if the caller may read it."""

    participant_id: str
    site_id: str
    status: str
    local_reference: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantsView:
    """The list of participants, and the form that finds one."""

    study_id: str
    crumbs: Sequence[Link]
    rows: Sequence[OwnParticipant] = ()
    next_url: str = ""
    new_url: str = ""
    token: str = ""
    answers: Mapping[str, str]
    error: str = ""


def participant_page_routes(forms: Forms) -> APIRouter:
    """Returns the routes of both pages."""
    routes = create_form_router(SERVICE)
    pages = Pages(SERVICE, Path(__file__).with_name("templates"))

    @routes.get("/{study_id}/participants")
    @logs_reads
    async def own_participants(
        request: Request, study: StudyIdPath, after: Annotated[str, Query(pattern=_CURSOR)] = ""
    ) -> Response:
        await get_container(request).authenticate(request)
        return await _list_page(request, pages, study, after)

    @routes.get("/{study_id}/participants/find")
    @logs_reads
    async def find_page(request: Request, study: StudyIdPath) -> Response:
        await get_container(request).authenticate(request)
        return await _list_page(request, pages, study, "")

    @routes.post("/{study_id}/participants/find")
    @logs_reads
    async def find_participant(request: Request, study: StudyIdPath) -> Response:
        form = parse_form(await request.body())
        require_form_token(request, form.csrf)
        await get_container(request).authenticate(request)
        answers = {name: value.strip() for name, value in form.pairs}
        if number := await _find(request, study, answers):
            return RedirectResponse(addresses.participant_base(SERVICE, study, number), 303)
        return await _list_page(request, pages, study, "", answers=answers, error=_NOT_FOUND)

    return routes


async def _find(request: Request, study: str, answers: Mapping[str, str]) -> str:
    """Returns the number of the participant; an empty text if there is none that the caller may see."""
    if reference := answers.get("local_reference"):
        rows = await find_by_reference(request, study, reference)
        note_rows(request, study, "search", len(rows))
        return rows[0][0] if len(rows) == 1 else ""
    try:
        number = normalize_participant_id(answers.get("number", ""))
    except ValueError:
        return ""
    return number if await _is_visible(request, study, number) else ""


async def _is_visible(request: Request, study: str, participant_id: str) -> bool:
    """Returns whether there is a participant of this number whom the caller may see."""
    try:
        await load_visible_stream(request, study, participant_id)
    except NotFound:
        return False
    return True


async def _list_page(
    request: Request, pages: Pages, study: str, after: str, *, answers: Mapping[str, str] | None = None, error: str = ""
) -> Response:
    rights, _ = await load_caller_rights(request, study)
    heads = await _load_heads(request, study, readable_tenants(rights), after)
    rows = [await _own_participant(request, study, rights, number, head) for number, head in heads[:PAGE_ROWS]]
    note_rows(request, study, "participants", len(rows))
    list_url = addresses.participants_url(study)
    may_screen = bool(rights.sites_with_role(ParticipantScreened.stated_by_roles))
    token = form_token(request)
    view = ParticipantsView(
        study_id=study,
        crumbs=crumbs(SERVICE, study, rights),
        rows=rows,
        next_url=f"{list_url}?after={rows[-1].participant_id}" if len(heads) > PAGE_ROWS else "",
        new_url=addresses.new_participant_url(study) if may_screen else "",
        token=token,
        answers=answers or {},
        error=error,
    )
    html = pages.render("own_participants.html", view=view, member=request.state.caller.subject)
    response = html_response(html, 422 if error else 200)
    response.headers["Cache-Control"] = "no-store, no-transform"  # the site's numbers are not compressed
    keep_form_token(request, response, token)
    return response


async def _load_heads(request: Request, study: str, tenants: Sequence[str], after: str) -> list[tuple[str, StreamHead]]:
    heads: list[tuple[str, StreamHead]] = []
    async with get_service(request).store.snapshot([Tenant(study, tenant) for tenant in tenants]) as snapshot:
        async for _, unit in snapshot:
            heads += await unit.list_streams(site=None, status=None, search_key=None, after=after, limit=PAGE_ROWS + 1)
    return sorted(heads, key=lambda row: row[0])[: PAGE_ROWS + 1]


async def _own_participant(
    request: Request, study: str, rights: Rights, number: str, head: StreamHead
) -> OwnParticipant:
    site = head.site_id or ""
    reference = await _local_reference(request, study, site, number) if rights.is_site_staff(site) else ""
    status = code_in_words(str(head.summary.get("status", "")))
    return OwnParticipant(number, site, status, reference, addresses.participant_base(SERVICE, study, number))


async def _local_reference(request: Request, study: str, site: str, number: str) -> str:
    """Returns the site's own number of a participant as the site stated it last; an empty text if it stated none."""
    async with get_service(request).store.unit(Tenant(study, site)) as unit:
        events = (await unit.load_stream(number)).events
        key = await unit.data_key(number)
    source = _screening_source(events)
    if source is None or source[0].site_id != site:
        return ""
    return text_opener(get_service(request).vault, key)(source[0]).get(f"{source[1]}/local_reference", "")


def _screening_source(events: Sequence[Event]) -> tuple[Event, str] | None:
    screenings = current_record(stated_facts(events)).stated_of(ParticipantScreened)
    return latest_content_sources(events)[str(screenings[0].event_id)] if screenings else None
