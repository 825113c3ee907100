"""A page that states one fact about several visits of a worklist: their reminders are put off or acknowledged."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError

from shared.contracts.follow_up import ReminderAcknowledged, ReminderSnoozed
from shared.eventstore.command import RecordFacts
from shared.eventstore.role_check import retry_while_unknown
from shared.kernel.errors import CrossSiteRequest, KeyReused, NotFound, RequestError, Unauthenticated, parameter_error
from shared.kernel.ids import normalize_participant_id
from shared.ui.forms import addresses
from shared.ui.forms.entries import PostedForm, new_key, parse_form
from shared.ui.forms.pages import crumbs, render_signed_out
from shared.ui.forms.requests import create_form_router, form_token, keep_form_token, require_form_token
from shared.ui.forms.routes import Forms, note_nothing
from shared.ui.forms.targets import ParticipantState, load_participant_state, require_role_in_study
from shared.ui.navigation import Link
from shared.ui.pages import Pages, html_response
from shared.web.container import get_container
from shared.web.fact_recording import StudyIdPath, request_identity
from shared.web.read_access import load_caller_rights
from shared.web.read_logging import logs_reads, note_rows
from shared.web.service import get_service

SERVICE = "followup"
MAX_VISITS = 100
"""Visits of one page: as many as a page of the worklist has, and as an address may name."""
ReminderFact = ReminderAcknowledged | ReminderSnoozed
FACTS: Mapping[str, type[ReminderFact]] = {fact.type_name: fact for fact in (ReminderAcknowledged, ReminderSnoozed)}
"""The facts that may be stated about several visits at once, by their types."""
_EXPLANATIONS: Mapping[str, str] = {
    ReminderAcknowledged.type_name: "The site has read the reminders of these visits and arranges them. Reminders of "
    "the target day and repetitions are not sent; that a visit is overdue or missed still is.",
    ReminderSnoozed.type_name: "Reminders of these visits are put off.",
}
_NOTHING_CHOSEN = "No visit is chosen. Tick at least one."
_WRONG_VISIT = "Give a participant and the number of a visit, such as K7F2-9QXA-3.1; of a course K7F2-9QXA-3.1.RT2."
_WRONG_DAY = "Give a whole day as YYYY-MM-DD, or leave this empty."
_NOTHING_RECORDED = "Nothing was recorded"
_OTHERS_RECORDED = "Not everything was recorded: only the visits that have no message here"
_USED_ALREADY = "This page has recorded another answer about this participant. Open it again."
_VISIT = re.compile(r"([0-9A-Z-]{9,11})\.([1-9][0-9]{0,2})(?:\.([A-Za-z0-9][A-Za-z0-9_.-]{0,31}))?")


@dataclass(frozen=True, slots=True, order=True)
class ChosenVisit:
    """A visit by its participant, its number, and its course in a study that follows each course."""

    participant_id: str
    number: int
    course_id: str = ""

    @classmethod
    def parse(cls, text: str) -> ChosenVisit:
        """Reads a visit as `<participant>.<number>` or `<participant>.<number>.<course>`. Raises ParameterRejected."""
        match = _VISIT.fullmatch(text)
        try:
            if match is None:
                raise ValueError(_WRONG_VISIT)
            return cls(normalize_participant_id(match[1]), int(match[2]), match[3] or "")
        except ValueError:
            raise parameter_error("visit", _WRONG_VISIT) from None

    def __str__(self) -> str:
        return f"{self.participant_id}.{self.number}{f'.{self.course_id}' if self.course_id else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitChoice:
    """A visit on the page. `is_chosen`: its box is ticked. `error`: why nothing can be recorded about it."""

    visit: ChosenVisit
    is_chosen: bool
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitsPage:
    """Everything that the page shows. `until` is None for a fact that the page asks for no day of."""

    heading: str
    explanation: str
    crumbs: Sequence[Link]
    action: str
    token: str
    key: str
    member: str
    rows: Sequence[VisitChoice]
    until: str | None
    until_error: str = ""
    errors: Sequence[str] = ()
    notice: str = _NOTHING_RECORDED


def visit_page_routes(forms: Forms) -> APIRouter:
    """Returns the routes of the page: one that shows it, and one that records."""
    routes = create_form_router(SERVICE)
    pages = Pages(SERVICE, Path(__file__).with_name("templates"))

    @routes.get("/{study_id}/visits/{type}")
    @logs_reads
    async def visits_page(
        request: Request,
        study: StudyIdPath,
        type: str,  # noqa: A002 - the path's name
        visit: Annotated[list[str], Query(max_length=MAX_VISITS)] = [],  # noqa: B006 - never changed
    ) -> Response:
        await get_container(request).authenticate(request)
        fact = await _require_fact(request, study, type)
        chosen = _parse_visits(visit)
        await _load_states(request, study, fact, chosen)
        rows = [VisitChoice(visit=visit, is_chosen=True) for visit in chosen]
        return _render(request, pages, _page(request, study, fact, rows, new_key()))

    @routes.post("/{study_id}/visits/{type}")
    @logs_reads
    async def record_visits(request: Request, study: StudyIdPath, type: str) -> Response:  # noqa: A002 - the part of the address
        form = parse_form(await request.body())
        require_form_token(request, form.csrf)
        try:
            await get_container(request).authenticate(request)
        except Unauthenticated:
            note_nothing(request)
            return render_signed_out(forms.pages, request, form)
        traffic, caller = get_container(request).traffic, request.state.caller.subject
        with traffic.request(caller):
            async with traffic.turn(caller):
                return await _answer(request, pages, study, type, form)

    return routes


async def _require_fact(request: Request, study: str, type_name: str) -> type[ReminderFact]:
    """Returns the fact of the page. Raises NotFound; Forbidden for a member who may state it at no site."""
    rights, _ = await load_caller_rights(request, study)
    if type_name not in FACTS:
        raise NotFound
    require_role_in_study(rights, FACTS[type_name])
    return FACTS[type_name]


def _parse_visits(texts: Sequence[str]) -> list[ChosenVisit]:
    """Returns the visits in order, each once. Raises ParameterRejected."""
    if len(texts) > MAX_VISITS:
        raise parameter_error("visit", f"Choose at most {MAX_VISITS} visits at once.")
    return sorted({ChosenVisit.parse(text) for text in texts})


async def _load_states(
    request: Request, study: str, fact: type[ReminderFact], visits: Sequence[ChosenVisit]
) -> dict[str, ParticipantState]:
    """Returns the participants of the visits as the service knows them, and notes the read.

    Raises NotFound for one whom the caller may not see, Forbidden where the caller may not state the fact.
    """
    states = dict[str, ParticipantState]()
    for participant_id in sorted({visit.participant_id for visit in visits}):
        states[participant_id] = await load_participant_state(request, study, participant_id, "")
        states[participant_id].require_role_at_site(fact)
    note_rows(request, study, "form", len(states))
    return states


async def _answer(request: Request, pages: Pages, study: str, type_name: str, form: PostedForm) -> Response:
    """Records the fact about each chosen visit on the button `record`, and else shows the page again."""
    fact = await _require_fact(request, study, type_name)
    if form.member and form.member != request.state.caller.subject:
        raise CrossSiteRequest("Another person opened this form. Open it yourself.")
    chosen = _parse_visits([value for name, value in form.pairs if name == "visit"])
    offered = _parse_visits([value for name, value in form.pairs if name == "listed"])
    states = await _load_states(request, study, fact, sorted({*chosen, *offered}))
    until = next((value.strip() for name, value in form.pairs if name == "until"), "")
    rows = [VisitChoice(visit=visit, is_chosen=visit in chosen) for visit in sorted({*chosen, *offered})]
    page = replace(_page(request, study, fact, rows, form.key), until=until if fact is ReminderSnoozed else None)
    if form.button[0] != "record":
        return _render(request, pages, page)
    if not chosen:
        return _render(request, pages, replace(page, errors=[_NOTHING_CHOSEN]), 422)
    try:
        commands = list(_commands(request, study, fact, chosen, until, form.key, states))
    except ValidationError:
        return _render(request, pages, replace(page, until_error=_WRONG_DAY, errors=[_WRONG_DAY]), 422)
    for is_dry_run in (True, False):
        if refusals := await _record_all(request, commands, is_dry_run=is_dry_run):
            rows = [replace(row, error=refusals.get(row.visit.participant_id, "")) for row in rows]
            errors, notice = _summarize(refusals), _NOTHING_RECORDED if is_dry_run else _OTHERS_RECORDED
            return _render(request, pages, replace(page, rows=rows, errors=errors, notice=notice), 422)
    return RedirectResponse(f"{addresses.study_base(SERVICE, study)}/recorded", 303)


def _commands(
    request: Request,
    study: str,
    fact: type[ReminderFact],
    chosen: Sequence[ChosenVisit],
    until: str,
    key: str,
    states: Mapping[str, ParticipantState],
) -> Iterator[RecordFacts]:
    """Yields a command for each participant with the facts that are not recorded yet. Raises ValidationError."""
    bodies = defaultdict[str, list[dict[str, object]]](list)
    for visit in chosen:
        values = {"visit": visit.number, "course_id": visit.course_id, "until": until}
        bodies[visit.participant_id].append({name: value for name, value in values.items() if value})
    for participant_id, members in bodies.items():
        recorded = states[participant_id].own.facts_of(fact)
        facts = [fact.model_validate_json(json.dumps(body)) for body in members]
        if new_facts := tuple(stated for stated in facts if stated not in recorded):
            path = addresses.json_path(SERVICE, study, fact.type_name, participant_id)
            yield RecordFacts(
                study_id=study,
                stream_id=participant_id,
                facts=new_facts,
                pointers=("",) * len(new_facts),
                member=request.state.caller.subject,
                request=request_identity(path, "", "\n".join(new.model_dump_json() for new in new_facts).encode()),
                key=f"{key}.{participant_id}" if key else None,
            )


async def _record_all(request: Request, commands: Sequence[RecordFacts], *, is_dry_run: bool) -> dict[str, str]:
    """Records the facts of each participant, or only decides on them. Returns the refusals by participant."""
    refusals = dict[str, str]()
    for command in commands:
        try:
            await _record(request, replace(command, dry_run=is_dry_run))
        except KeyReused:
            refusals[command.stream_id or ""] = _USED_ALREADY
        except RequestError as refusal:
            messages = [fault.message for fault in refusal.faults] or [refusal.title]
            refusals[command.stream_id or ""] = " ".join(dict.fromkeys(messages))
    return refusals


async def _record(request: Request, command: RecordFacts) -> None:
    service = get_service(request)
    command = replace(command, key=None) if command.dry_run else command
    await retry_while_unknown(lambda: service.record(command), waits=not command.dry_run)


def _summarize(refusals: Mapping[str, str]) -> list[str]:
    return [f"{participant_id}: {message}" for participant_id, message in refusals.items()]


def _page(request: Request, study: str, fact: type[ReminderFact], rows: Sequence[VisitChoice], key: str) -> VisitsPage:
    return VisitsPage(
        heading=f"{fact.heading}: several visits",
        explanation=_EXPLANATIONS[fact.type_name],
        crumbs=crumbs(study),
        action=request.url.path,
        token=form_token(request),
        key=key,
        member=request.state.caller.subject,
        rows=rows,
        until="" if fact is ReminderSnoozed else None,
    )


def _render(request: Request, pages: Pages, page: VisitsPage, status: int = 200) -> Response:
    response = html_response(pages.render("several_visits.html", page=page, member=page.member), status)
    keep_form_token(request, response, page.token)
    return response
