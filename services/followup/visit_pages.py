"""A page that states one fact about several visits of a worklist: their reminders are put off or acknowledged."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from services.followup.visit_facts import (
    SERVICE,
    ChosenVisit,
    KeyEvents,
    Refusals,
    ReminderFact,
    VisitStatement,
    faults_at,
    find_recorded,
    find_refusals,
    is_same_page,
    record_each,
    with_changed_records,
)
from services.followup.visit_notices import links_since_opening, recorded_notice
from shared.contracts.follow_up import ReminderAcknowledged, ReminderSnoozed
from shared.eventstore.command import RecordFacts
from shared.kernel.errors import MalformedBody, NotFound, Unauthenticated, VersionMismatch, parameter_error
from shared.security.grants import Rights
from shared.ui.forms import addresses
from shared.ui.forms.answers import require_key, require_same_person
from shared.ui.forms.changed_record import RECORDED_MEANWHILE
from shared.ui.forms.entries import PostedForm, new_key, parse_form
from shared.ui.forms.fields import fact_fields
from shared.ui.forms.pages import NO_FAULT, ErrorLink, FormNotice, crumbs, render_signed_out
from shared.ui.forms.requests import FactTypePath, create_form_router, form_token, keep_form_token, require_form_token
from shared.ui.forms.routes import Forms, note_nothing
from shared.ui.forms.targets import POSSIBLE_DUPLICATE, ParticipantState, load_participant_state, require_role_in_study
from shared.ui.forms.used_key import IS_CORRECTION, IS_PARTIAL, IS_REPEAT
from shared.ui.navigation import Link
from shared.ui.pages import Pages, html_response
from shared.web.container import get_container
from shared.web.fact_recording import StudyIdPath
from shared.web.read_access import load_caller_rights
from shared.web.read_logging import logs_reads, note_rows

MAX_VISITS = 100
"""Visits of one page: as many as a page of the worklist has, and as an address may name."""
FACTS: Mapping[str, type[ReminderFact]] = {fact.type_name: fact for fact in (ReminderAcknowledged, ReminderSnoozed)}
"""The facts that may be stated about several visits at once, by their types."""
_EXPLANATIONS: Mapping[str, str] = {
    ReminderAcknowledged.type_name: "The site has read the reminders of these visits and arranges them. Reminders of "
    "the target day and repetitions are not sent; that a visit is overdue or missed still is.",
    ReminderSnoozed.type_name: "Reminders of these visits are put off.",
}
_NOTHING_CHOSEN = ErrorLink("No visit is chosen. Tick at least one.")
_NOTHING_RECORDED = "Nothing was recorded"
_OTHERS_RECORDED = "Not everything was recorded: only the visits that have no message here"
_FILLED_IN = frozenset({"listed", "version"})
"""Names of the values that the page fills in: the visits that it lists, and the versions of their records."""
_VERSION = re.compile(r"([0-9A-Z-]{11})\.([0-9]{1,9})")


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitChoice:
    """A visit on the page. `has_tick`: its box is ticked. `errors`: why nothing can be recorded about it."""

    visit: ChosenVisit
    has_tick: bool
    errors: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitsPage:
    """Everything that the page shows. `until` is None for a fact that the page asks for no day of.

    `versions`: those of the participants' records. `checked_digest`: that of the answers that the next click records
    although equal facts stand. `heading_of_errors` stands above the errors.
    """

    heading: str
    explanation: str
    crumbs: Sequence[Link]
    action: str
    token: str
    key: str
    member: str
    rows: Sequence[VisitChoice]
    versions: Mapping[str, int]
    until: str | None
    until_errors: Sequence[str] = ()
    errors: Sequence[ErrorLink] = ()
    heading_of_errors: str = _NOTHING_RECORDED
    notice: FormNotice | None = None
    checked_digest: str = ""


def visit_page_routes(forms: Forms) -> APIRouter:
    """Returns the routes of the page: one that shows it, and one that records."""
    routes = create_form_router(SERVICE)
    pages = Pages(SERVICE, Path(__file__).with_name("templates"))

    @routes.get("/{study_id}/visits/{type}")
    @logs_reads
    async def visits_page(
        request: Request,
        study: StudyIdPath,
        type_name: FactTypePath,
        visit: Annotated[tuple[str, ...], Query(max_length=MAX_VISITS)] = (),
    ) -> Response:
        await get_container(request).authenticate(request)
        fact, rights = await _require_fact(request, study, type_name)
        chosen = _parse_visits(visit)
        states = await _load_states(request, study, fact, chosen)
        rows = [VisitChoice(visit=visit, has_tick=True) for visit in chosen]
        versions = {participant_id: state.stream.head.version for participant_id, state in states.items()}
        return _render(request, pages, _page(request, study, rights, fact, rows, versions, new_key()))

    @routes.post("/{study_id}/visits/{type}")
    @logs_reads
    async def record_visits(request: Request, study: StudyIdPath, type_name: FactTypePath) -> Response:
        form = parse_form(await request.body())
        require_form_token(request, form.csrf)
        try:
            await get_container(request).authenticate(request)
        except Unauthenticated:
            note_nothing(request)
            fields = fact_fields(FACTS[type_name]) if type_name in FACTS else None
            return render_signed_out(forms.pages, request, form, fields, unlisted=_FILLED_IN)
        traffic, caller = get_container(request).traffic, request.state.caller.subject
        with traffic.request(caller):
            async with traffic.turn(caller):
                return await _answer(request, pages, study, type_name, form)

    return routes


async def _require_fact(request: Request, study: str, type_name: str) -> tuple[type[ReminderFact], Rights]:
    """Returns the fact of the page and the caller's rights. Raises NotFound; Forbidden without a role to state it."""
    rights, _ = await load_caller_rights(request, study)
    if type_name not in FACTS:
        raise NotFound
    require_role_in_study(rights, FACTS[type_name])
    return FACTS[type_name], rights


def _parse_visits(texts: Sequence[str]) -> list[ChosenVisit]:
    """Returns the visits in order, each once. Raises ParameterRejected."""
    if len(texts) > MAX_VISITS:
        raise parameter_error("visit", f"Choose at most {MAX_VISITS} visits at once.")
    return sorted({ChosenVisit.parse(text) for text in texts})


def _parse_versions(texts: Sequence[str]) -> dict[str, int]:
    """Returns the versions of the records by participant. Raises MalformedBody."""
    matches = [_VERSION.fullmatch(text) for text in texts]
    if not all(matches):
        raise MalformedBody("The form was changed on its way: no browser sends it so. Open it again.")
    return {match[1]: int(match[2]) for match in matches if match}


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
    """Checks the answers, and on the button `record` records the fact about each chosen visit."""
    fact, rights = await _require_fact(request, study, type_name)
    require_same_person(request, form)
    require_key(form)
    is_record = form.button[0] == "record"
    chosen, listed = _parse_visits(_texts(form, "visit")), _parse_visits(_texts(form, "listed"))
    every_visit = sorted({*chosen, *listed})
    statement = VisitStatement(
        study_id=study,
        fact=fact,
        chosen=chosen,
        until=next((text.strip() for text in _texts(form, "until")), ""),
        form=form,
        states=await _load_states(request, study, fact, every_visit),
        versions=_parse_versions(_texts(form, "version")),
    )
    rows = [VisitChoice(visit=visit, has_tick=visit in chosen) for visit in every_visit]
    page = _page(request, study, rights, fact, rows, statement.versions, form.key)
    page = replace(page, until=statement.until if fact is ReminderSnoozed else None)
    wrong = statement.wrong_answers()
    commands = [] if wrong else list(statement.commands(request.state.caller.subject))
    recorded = find_recorded(request, statement, every_visit)
    is_same = await is_same_page(request, recorded, commands)
    is_complete = len(recorded) == len(commands)
    if recorded and not (is_same and (is_record or not is_complete)):
        notice = recorded_notice(statement, recorded, IS_REPEAT if is_same else IS_CORRECTION)
        return _render(request, pages, replace(page, notice=notice), 409 if is_record else 200)
    if not chosen:
        return _render(request, pages, replace(page, errors=[_NOTHING_CHOSEN]), 422 if is_record else 200)
    refusals, were_others_recorded = (wrong, False) if wrong else await _decide(request, statement, commands, recorded)
    if refusals:
        heading = _OTHERS_RECORDED if were_others_recorded else _NOTHING_RECORDED
        statement = await with_changed_records(request, statement, refusals)
        page = replace(_with_refusals(page, statement, refusals), heading_of_errors=heading)
        status = max(refusal.status for reasons in refusals.values() for refusal in reasons)
        return _render(request, pages, page, status if is_record else 200)
    if not is_record:
        notice = recorded_notice(statement, recorded, IS_PARTIAL) if recorded else FormNotice(text=NO_FAULT)
        return _render(request, pages, replace(page, notice=notice))
    return RedirectResponse(f"{addresses.study_base(SERVICE, study)}/recorded", 303)


def _texts(form: PostedForm, name: str) -> list[str]:
    return [value for field_name, value in form.pairs if field_name == name]


async def _decide(
    request: Request, statement: VisitStatement, commands: Sequence[RecordFacts], recorded: KeyEvents
) -> tuple[Refusals, bool]:
    """Returns what stands against the answers, and whether the fact was recorded about other participants.

    Nothing is recorded about anybody while something stands against an answer, but for a refusal in between.
    """
    refusals = await find_refusals(request, statement, commands, recorded)
    if refusals or statement.form.button[0] != "record":
        return refusals, False
    refusals = await record_each(request, commands)
    return refusals, len(refusals) < len(commands)


def _with_refusals(page: VisitsPage, statement: VisitStatement, refusals: Refusals) -> VisitsPage:
    """Returns the page with each message at its visit or day, and with what was recorded meanwhile."""
    faults = {row.visit: list(faults_at(row.visit, refusals)) if row.has_tick else [] for row in page.rows}
    every_fault = [fault for visit_faults in faults.values() for fault in visit_faults]
    day_messages = [fault.message for fault in every_fault if fault.pointer == "until"]
    visit_messages = {
        visit: [fault.message for fault in visit_faults if fault.pointer != "until"]
        for visit, visit_faults in faults.items()
    }
    rows = [replace(row, errors=list(dict.fromkeys(visit_messages[row.visit]))) for row in page.rows]
    until_errors = list(dict.fromkeys(day_messages))
    errors = [ErrorLink(message, "f-until", "Day") for message in until_errors]
    for number, row in enumerate(rows, 1):
        errors += [ErrorLink(message, f"f-visit-{number}", row.visit.label) for message in row.errors]
    changed = [number for number, reasons in refusals.items() if any(isinstance(e, VersionMismatch) for e in reasons)]
    links = [link for participant_id in changed for link in links_since_opening(statement, participant_id)]
    present = {participant_id: statement.states[participant_id].stream.head.version for participant_id in changed}
    versions = {**page.versions, **present}
    is_question = any(fault.code == POSSIBLE_DUPLICATE.code for fault in every_fault)
    return replace(
        page,
        rows=rows,
        until_errors=until_errors,
        errors=errors,
        versions=versions,
        checked_digest=statement.digest(versions) if is_question else "",
        notice=FormNotice(text=RECORDED_MEANWHILE, links=links) if changed else None,
    )


def _page(
    request: Request,
    study: str,
    rights: Rights,
    fact: type[ReminderFact],
    rows: Sequence[VisitChoice],
    versions: Mapping[str, int],
    key: str,
) -> VisitsPage:
    return VisitsPage(
        heading=f"{fact.heading}: several visits",
        explanation=_EXPLANATIONS[fact.type_name],
        crumbs=crumbs(SERVICE, study, rights),
        action=request.url.path,
        token=form_token(request),
        key=key,
        member=request.state.caller.subject,
        rows=rows,
        versions=versions,
        until="" if fact is ReminderSnoozed else None,
    )


def _render(request: Request, pages: Pages, page: VisitsPage, status: int = 200) -> Response:
    response = html_response(pages.render("several_visits.html", page=page, member=page.member), status)
    keep_form_token(request, response, page.token)
    return response
