"""The routes of forms: every fact of a stream has one, and every recorded fact has a page and a correction."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from shared.contracts.event import Event
from shared.contracts.study import MemberGranted, MemberRevoked, SiteClosed
from shared.kernel.errors import NotFound, Unauthenticated, VersionMismatch
from shared.kernel.fact import Fact, Stream
from shared.kernel.record import Record
from shared.postgres.tenancy import Tenant
from shared.security.grants import Grant, rights_from_record
from shared.ui.forms import addresses
from shared.ui.forms.answers import FormAnswers, in_turn, require_same_person
from shared.ui.forms.closing_effects import closing_effects
from shared.ui.forms.entries import PostedForm, new_key, parse_form
from shared.ui.forms.fields import Group, fact_fields
from shared.ui.forms.pages import FormReply, create_form_pages, render_form, render_not_here, render_signed_out
from shared.ui.forms.prefills import first_content, fixed_content, link_values
from shared.ui.forms.presets import standing_grants, with_preset
from shared.ui.forms.requests import (
    AfterParameter,
    FactTypePath,
    create_form_router,
    fills_from_query,
    require_form_token,
)
from shared.ui.forms.site_counts import participants_by_site
from shared.ui.forms.targets import (
    FindDuplicates,
    FormTarget,
    fact_form,
    load_participant_state,
    participant_context,
    require_role_in_study,
    study_context,
    with_typed_day,
)
from shared.ui.forms.writing import write_fields
from shared.ui.pages import Pages
from shared.web.container import get_container
from shared.web.entitlement import AFTER_PATTERN
from shared.web.fact_recording import ParticipantIdPath, StudyIdPath
from shared.web.read_access import load_caller_rights
from shared.web.read_logging import logs_reads, note_rows
from shared.web.service import get_service

LoadTarget = Callable[[PostedForm], Awaitable[FormTarget]]
"""Loads what a form is about. Raises NotFound, Forbidden."""
_AFTER = re.compile(AFTER_PATTERN)


class Forms:
    """Shows and answers the forms of one service."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.pages: Pages = create_form_pages(service)
        self.answers = FormAnswers(self.pages)

    async def show(self, request: Request, load: LoadTarget, after: str = "") -> Response:
        """Returns the form, filled from the query."""
        await get_container(request).authenticate(request)
        pairs = tuple(pair for pair in request.query_params.multi_items() if pair[0] != "after")
        form = PostedForm(pairs=pairs, key=new_key(), after=after, is_first=True)
        target = await load(form)
        version = "" if target.version is None else str(target.version)
        form = replace(form, pairs=(*target.prefilled, *pairs), version=version)
        note_form(request, target)
        form = with_preset(form, target.presets)
        reply = FormReply(form=form)
        return await in_turn(request, form, lambda: render_form(self.pages, request, target, reply))

    async def answer(self, request: Request, load: LoadTarget, fields: Group | None = None) -> Response:
        """Returns the answer to a form that was sent. `fields`: those of the form's class, if they are known."""
        form = parse_form(await request.body())
        require_form_token(request, form.csrf)
        form = replace(form, after=form.after if _AFTER.fullmatch(form.after) else "")
        try:
            await get_container(request).authenticate(request)
        except Unauthenticated:
            note_nothing(request)
            return render_signed_out(self.pages, request, form, fields)
        traffic, caller = get_container(request).traffic, request.state.caller.subject
        with traffic.request(caller):
            async with traffic.turn(caller):
                try:
                    target = await load(form)
                except NotFound as refusal:
                    await _require_own_form(request, form)
                    note_nothing(request)
                    return render_not_here(self.pages, request, form, refusal.title, fields)
                note_form(request, target)
                try:
                    return await self.answers.answer(request, target, with_preset(form, target.presets))
                except VersionMismatch:  # another tab was faster between the loading and the recording
                    target = await load(form)
                    return await self.answers.answer(request, target, with_preset(form, target.presets))


async def _require_own_form(request: Request, form: PostedForm) -> None:
    """Raises CrossSiteRequest if another person opened the form, NotFound if the caller has no part in the study."""
    require_same_person(request, form)
    await load_caller_rights(request, request.path_params.get("study_id", ""))


def note_form(request: Request, target: FormTarget) -> None:
    rows = 1 if target.participant_id else 0
    note_rows(request, target.study_id, "form", rows, participant=target.participant_id or None)


def note_nothing(request: Request) -> None:
    request.state.read = None


def _fields_of(stream: Stream) -> Callable[[Mapping[str, Any]], Group | None]:
    def fields_of(path: Mapping[str, Any]) -> Group | None:
        fact = stream.declared_facts.get(path["type"])
        return fact_fields(fact) if fact else None

    return fields_of


async def _study_events(request: Request, study: str) -> Sequence[Event]:
    """Returns the events of the study itself, among which is what a form that is sent again has recorded."""
    async with get_service(request).store.unit(Tenant(study)) as unit:
        return (await unit.load_stream(study)).events


def _find_grants_that_hold(study: Record, fact: type[Fact]) -> FindDuplicates | None:
    """Returns the search for the facts that one about a member may repeat; None for facts that are not about members.

    A grant repeats one that holds, and not one that was revoked. A revocation ends a grant that holds: it repeats none.
    """
    if fact not in (MemberGranted, MemberRevoked):
        return None

    async def find(content: Mapping[str, Any]) -> Sequence[Fact]:
        grant = Grant(content["role"], content["site_id"])
        holds = fact is MemberGranted and grant in rights_from_record(study, content["member"]).grants
        return [fact.model_validate(content)] if holds else []

    return find


def study_form_routes(forms: Forms, stream: Stream, *, excluded: type[Fact] | None) -> APIRouter:
    """Returns the forms of a study's own facts."""
    routes = create_form_router(forms.service)
    fields_of = _fields_of(stream)

    def loader(request: Request, study: str, type_name: str) -> LoadTarget:
        async def load(form: PostedForm) -> FormTarget:
            fact = stream.declared_facts.get(type_name)
            rights, state = await load_caller_rights(request, study)
            if fact is None or fact is excluded:
                raise NotFound
            sites = require_role_in_study(rights, fact)
            context = with_typed_day(study_context(request, study, state.record, sites), fact, form.entries)
            content = first_content(context, type_name)
            if fact is SiteClosed:
                context = replace(context, site_notes=await participants_by_site(request, study, state.record))
            return FormTarget(
                service=forms.service,
                study_id=study,
                stream_id=study,
                rights=rights,
                form=fact_form(fact),
                json_path=addresses.json_path(forms.service, study, type_name),
                context=context,
                version=state.version,
                events=() if form.is_first else await _study_events(request, study),
                presets=standing_grants(state.record, fact),
                find_duplicates=_find_grants_that_hold(state.record, fact),
                find_effects=closing_effects(request, study, state.record, fact),
                constants=fixed_content(context, fact),
                content_before=content,
                prefilled=tuple(write_fields(fact_fields(fact), content)),
            )

        return load

    @routes.get("/{study_id}/facts/{type}")
    @logs_reads
    @fills_from_query(fields_of)
    async def study_form(request: Request, study: StudyIdPath, type_name: FactTypePath) -> Response:
        return await forms.show(request, loader(request, study, type_name))

    @routes.post("/{study_id}/facts/{type}")
    @logs_reads
    async def record_study_form(request: Request, study: StudyIdPath, type_name: FactTypePath) -> Response:
        return await forms.answer(request, loader(request, study, type_name), fields_of(request.path_params))

    return routes


def participant_form_routes(forms: Forms, stream: Stream) -> APIRouter:
    """Returns the forms of a participant's facts."""
    routes = create_form_router(forms.service)
    fields_of = _fields_of(stream)

    def loader(request: Request, study: str, participant_id: str, type_name: str) -> LoadTarget:
        async def load(form: PostedForm) -> FormTarget:
            return await load_fact_target(request, forms.service, stream, study, participant_id, type_name, form)

        return load

    path = "/{study_id}/participants/{participant_id}/facts/{type}"

    @routes.get(path)
    @logs_reads
    @fills_from_query(fields_of)
    async def participant_form(
        request: Request,
        study: StudyIdPath,
        participant_id: ParticipantIdPath,
        type_name: FactTypePath,
        after: AfterParameter = None,
    ) -> Response:
        return await forms.show(request, loader(request, study, participant_id, type_name), after or "")

    @routes.post(path)
    @logs_reads
    async def record_participant_form(
        request: Request,
        study: StudyIdPath,
        participant_id: ParticipantIdPath,
        type_name: FactTypePath,
    ) -> Response:
        return await forms.answer(
            request, loader(request, study, participant_id, type_name), fields_of(request.path_params)
        )

    return routes


async def load_fact_target(
    request: Request, service: str, stream: Stream, study: str, participant_id: str, type_name: str, form: PostedForm
) -> FormTarget:
    """Loads what the form of a participant's fact is about. Raises NotFound, Forbidden."""
    fact = stream.declared_facts.get(type_name)
    if fact is None:
        await load_caller_rights(request, study)
        raise NotFound
    # a form that was filled in is shown again, with what the service knows, if it still waits for what came before
    state = await load_participant_state(request, study, participant_id, form.after if form.is_first else "")
    require_role_in_study(state.rights, fact)
    state.require_role_at_site(fact)
    context = with_typed_day(participant_context(request, study, state), fact, form.entries)
    return FormTarget(
        service=service,
        study_id=study,
        stream_id=participant_id,
        rights=state.rights,
        form=fact_form(fact),
        json_path=addresses.json_path(service, study, type_name, participant_id),
        context=context,
        version=state.stream.head.version,
        events=state.stream.events,
        constants=link_values(form, fact),
        prefilled=tuple(write_fields(fact_fields(fact), first_content(context, type_name))),
    )
