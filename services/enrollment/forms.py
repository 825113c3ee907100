"""Forms that only enrollment has: those of a new participant and of a new study."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.enrollment.opening import OPENING_IS_GRANTED, NewStudy, opening_facts
from shared.contracts.enrollment import ParticipantScreened
from shared.contracts.study import StudyOpened
from shared.kernel.errors import Forbidden
from shared.kernel.record import Record
from shared.postgres.tenancy import EVERY_SITE
from shared.ui.forms.entries import Entries, PostedForm
from shared.ui.forms.fields import fact_fields
from shared.ui.forms.offers import FormContext
from shared.ui.forms.requests import create_form_router, fills_from_query
from shared.ui.forms.routes import Forms, LoadTarget
from shared.ui.forms.targets import (
    FormTarget,
    fact_form,
    require_role_in_study,
    study_context,
    with_typed_day,
)
from shared.web.fact_recording import StudyIdPath
from shared.web.read_access import load_caller_rights
from shared.web.read_logging import logs_reads
from shared.web.service import get_service

SERVICE = "enrollment"


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
        return await forms.answer(request, _new_participant_loader(request, study))

    return routes


def _new_participant_loader(request: Request, study: str) -> LoadTarget:
    async def load(form: PostedForm) -> FormTarget:
        rights, state = await load_caller_rights(request, study)
        sites = require_role_in_study(rights, ParticipantScreened)
        context = study_context(request, study, state.record, sites)
        own_site = next(iter(sites)) if len(sites) == 1 and EVERY_SITE not in sites else ""
        return FormTarget(
            service=SERVICE,
            study_id=study,
            stream_id=None,
            form=fact_form(ParticipantScreened),
            json_path=f"/{SERVICE}/v1/studies/{study}/participants",
            context=with_typed_day(context, ParticipantScreened, form.entries),
            fixed={"site_id": own_site} if own_site else {},
        )

    return load


def new_study_form_routes(forms: Forms) -> APIRouter:
    """Returns the form that opens a study."""
    routes = create_form_router(SERVICE)

    @routes.get("/new")
    @fills_from_query(lambda _: fact_fields(NewStudy))
    async def new_study_form(request: Request) -> Response:
        return await forms.show(request, _new_study_loader(request))

    @routes.post("/new")
    async def open_study_by_form(request: Request) -> Response:
        return await forms.answer(request, _new_study_loader(request))

    return routes


def _new_study_loader(request: Request) -> LoadTarget:
    async def load(form: PostedForm) -> FormTarget:
        settings, member = get_service(request).settings, request.state.caller.subject
        typed = form.entries.children.get("study_id", Entries()).values
        study_id = typed[-1].strip() if typed else ""
        is_allowed = settings.may_open_study(member, study_id) if study_id else settings.may_open_any_study(member)
        if not is_allowed:
            raise Forbidden(OPENING_IS_GRANTED)
        return FormTarget(
            service=SERVICE,
            study_id=study_id,
            stream_id=study_id,
            form=fact_form(StudyOpened, NewStudy),
            json_path=f"/{SERVICE}/v1/studies",
            context=FormContext(study=Record(), today=get_service(request).clock.today(study_id)),
            facts_of=lambda study: opening_facts(study, member),
            opens_study=True,
        )

    return load
