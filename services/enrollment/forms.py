"""Forms that only enrollment has: those of a new participant and of a new study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from services.enrollment.opening import OPENING_IS_GRANTED, NewStudy, opening_facts
from shared.contracts.enrollment import ParticipantScreened
from shared.contracts.event import stated_facts
from shared.contracts.study import SiteActivated, StudyOpened
from shared.gate.study_timeline import find_site
from shared.kernel.errors import Fault, Forbidden, FormRejected
from shared.kernel.fact import Fact
from shared.kernel.record import Record, current_record
from shared.postgres.tenancy import EVERY_SITE, Tenant
from shared.security.grants import Rights
from shared.ui.forms.context import FormContext
from shared.ui.forms.entries import PostedForm
from shared.ui.forms.fields import fact_fields
from shared.ui.forms.requests import create_form_router, fills_from_query
from shared.ui.forms.routes import Forms, LoadTarget
from shared.ui.forms.targets import (
    FindDuplicates,
    FormTarget,
    fact_form,
    require_role_in_study,
    study_context,
    with_typed_day,
)
from shared.ui.forms.term_routes import TermWords, terms_response
from shared.ui.forms.used_key import load_key_events, load_opening_events
from shared.web.container import get_container
from shared.web.entitlement import STUDY_ID
from shared.web.fact_recording import StudyIdPath
from shared.web.read_access import load_caller_rights
from shared.web.read_logging import logs_reads
from shared.web.service import get_service

SERVICE = "enrollment"
MAX_PARTICIPANTS = 200
"""Participants of a site with the same day, sex and year of birth that are read."""
SCREENED_ALREADY = Fault(
    "recorded-already",
    "The site screened a person of the same sex and year of birth on the same day. Record again only if this is "
    "another person.",
)


def new_participant_form_routes(forms: Forms) -> APIRouter:
    """Returns the form that screens a new participant."""
    routes = create_form_router(SERVICE)

    @routes.get("/{study_id}/participants/new")
    @logs_reads
    @fills_from_query(lambda _: fact_fields(ParticipantScreened))
    async def new_participant_form(request: Request, study: StudyIdPath) -> Response:
        return await forms.show(request, _new_participant_loader(request, study))

    @routes.post("/{study_id}/participants/new")
    @logs_reads
    async def screen_new_participant(request: Request, study: StudyIdPath) -> Response:
        return await forms.answer(request, _new_participant_loader(request, study), fact_fields(ParticipantScreened))

    return routes


def _new_participant_loader(request: Request, study: str) -> LoadTarget:
    async def load(form: PostedForm) -> FormTarget:
        rights, state = await load_caller_rights(request, study)
        sites = require_role_in_study(rights, ParticipantScreened)
        context = study_context(request, study, state.record, sites)
        own_sites = _sites_by_name(state.record, sites)
        own_site = next(iter(sites)) if len(sites) == 1 and EVERY_SITE not in sites else ""
        site = own_site or form.entries.last_value("site_id")
        is_allowed = site in sites or (EVERY_SITE in sites and find_site(state.record, site) is not None)
        return FormTarget(
            service=SERVICE,
            study_id=study,
            stream_id=None,
            rights=rights,
            form=fact_form(ParticipantScreened),
            json_path=f"/{SERVICE}/v1/studies/{study}/participants",
            context=replace(with_typed_day(context, ParticipantScreened, form.entries), site_id=site or None),
            events=await load_key_events(request, study, "" if form.is_first else form.key, own_sites),
            duplicate_members=frozenset({"site_id", "screened_on", "sex", "birth_year"}),
            find_duplicates=_screenings_like_it(request, study, site) if is_allowed else None,
            possible_duplicate=SCREENED_ALREADY,
            constants={"site_id": own_site} if own_site else {},
        )

    return load


def _sites_by_name(study: Record, sites: frozenset[str]) -> Sequence[str]:
    """Returns the sites at which a member may screen, each by its name."""
    return sorted({fact.site_id for fact in study.facts_of(SiteActivated)} if EVERY_SITE in sites else sites)


def _screenings_like_it(request: Request, study_id: str, site: str) -> FindDuplicates:
    """Returns the search for screenings that stand at the site, whoever recorded them, and whenever."""

    async def find(content: Mapping[str, Any]) -> list[Fact]:
        type_name, facts = ParticipantScreened.type_name, list[Fact]()
        async with get_service(request).store.unit(Tenant(study_id, site)) as unit:
            for name in await unit.list_streams_stating(type_name, content, site=site, limit=MAX_PARTICIPANTS):
                events = (await unit.load_stream(name)).events
                facts += current_record(stated_facts(events)).facts_of(ParticipantScreened)
        return facts

    return find


def new_study_form_routes(forms: Forms) -> APIRouter:
    """Returns the form that opens a study, and the terms for its checklist."""
    routes = create_form_router(SERVICE)

    @routes.get("/new")
    @fills_from_query(lambda _: fact_fields(NewStudy))
    async def new_study_form(request: Request) -> Response:
        return await forms.show(request, _new_study_loader(request))

    @routes.get("/new/terms")
    async def terms(request: Request, words: Annotated[TermWords, Query()]) -> JSONResponse:
        await get_container(request).authenticate(request)
        return terms_response(words, Record())

    @routes.post("/new")
    async def open_study_by_form(request: Request) -> Response:
        return await forms.answer(request, _new_study_loader(request), fact_fields(NewStudy))

    return routes


def _new_study_loader(request: Request) -> LoadTarget:
    async def load(form: PostedForm) -> FormTarget:
        settings, member = get_service(request).settings, request.state.caller.subject
        study_id = form.entries.last_value("study_id")
        if not settings.may_open_any_study(member):
            raise Forbidden(OPENING_IS_GRANTED)
        is_allowed = settings.may_open_study(member, study_id)
        is_named = not form.is_first and is_allowed and STUDY_ID.fullmatch(study_id)

        def facts_of(study: NewStudy) -> Sequence[Fact]:
            if not is_allowed:  # at its field, so that nothing that was typed is lost
                raise FormRejected(faults=[Fault(Forbidden.code, OPENING_IS_GRANTED, "/study_id")])
            return opening_facts(study, member)

        context = FormContext(study=Record(), today=get_service(request).clock.today(study_id))
        return FormTarget(
            service=SERVICE,
            study_id=study_id,
            stream_id=study_id,
            rights=Rights(member, frozenset()),
            form=fact_form(StudyOpened, NewStudy),
            json_path=f"/{SERVICE}/v1/studies",
            context=with_typed_day(context, StudyOpened, form.entries),
            events=await load_opening_events(request, study_id, form.key) if is_named else (),
            facts_of=facts_of,
            opens_study=True,
        )

    return load
