"""The enrollment service: studies, participants, and their treatment."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi.responses import Response
from pydantic import Discriminator, Tag

from services.enrollment import gate, stream_policy
from services.enrollment.forms import new_participant_form_routes, new_study_form_routes
from services.enrollment.opening import OPENING_IS_GRANTED, NewStudy, opening_facts
from services.enrollment.participant_pages import participant_page_routes
from services.enrollment.rules import follow_up_plan, participant, reminder_plan, study, treatment
from services.enrollment.sign_in.routes import provider_routes
from services.enrollment.sign_in.sign_in import SignIn
from shared.contracts.catalogue import PARTICIPANT, STUDY
from shared.contracts.enrollment import ParticipantScreened
from shared.contracts.problem_types import declared_problem_types
from shared.contracts.study import StudyOpened
from shared.kernel.errors import Forbidden
from shared.settings import Settings
from shared.ui.forms.app import create_form_app
from shared.ui.forms.routes import Forms
from shared.ui.pages import Pages
from shared.ui.sign_in import token_sign_in_routes
from shared.web.entitlement import require_entitlement, require_roles
from shared.web.export_log_routes import export_routes, read_log_routes
from shared.web.fact_recording import DryRun, FactHeaders, StudyIdPath, record_facts, rejection_at
from shared.web.fact_routes import (
    FACT_ROUTE_OPTIONS,
    REGISTRATION_ROUTE_OPTIONS,
    batch_form,
    batch_models,
    create_router,
    fact_routes,
    facts_with_pointers,
)
from shared.web.read_routes import read_routes
from shared.web.reference_search import search_routes
from shared.web.service import get_service, service_resources
from shared.web.traffic import Traffic

STUDIES = "/enrollment/v1/studies"
PROBLEM_TYPES = declared_problem_types(study, follow_up_plan, reminder_plan, participant, treatment, gate)
"""The problem types of this service's rules and gates."""
routes = create_router(STUDIES)
NewParticipantList: Any
NewParticipantBatch: Any
NewParticipantList, NewParticipantBatch = batch_models(PARTICIPANT, "NewParticipant")


def _body_form(body: object) -> str:
    is_screening = isinstance(body, ParticipantScreened) or (isinstance(body, dict) and "facts" not in body)
    return "screened" if is_screening else batch_form(body)


NewParticipant = Annotated[
    Annotated[ParticipantScreened, Tag("screened")]
    | Annotated[NewParticipantBatch, Tag("object")]
    | Annotated[NewParticipantList, Tag("list")],
    Discriminator(_body_form),
]


async def require_study_opener(request: Request) -> None:
    if not get_service(request).settings.may_open_any_study(request.state.caller.subject):
        raise Forbidden(OPENING_IS_GRANTED)


@routes.post("", **FACT_ROUTE_OPTIONS)
@require_entitlement(require_study_opener)
async def open_study(request: Request, headers: FactHeaders, body: NewStudy, dry_run: DryRun = False) -> Response:
    """Opens a study. The caller becomes its administrator."""
    caller = request.state.caller.subject
    if not get_service(request).settings.may_open_study(caller, body.study_id):
        raise Forbidden(OPENING_IS_GRANTED)
    return await record_facts(
        request,
        headers,
        study=body.study_id,
        stream=body.study_id,
        facts=[("", fact) for fact in opening_facts(body, caller)],
        dry_run=dry_run,
        opens_study=True,
    )


@routes.post("/{study_id}/participants", **REGISTRATION_ROUTE_OPTIONS)
@require_roles(ParticipantScreened.stated_by_roles)
async def new_participant(
    request: Request, headers: FactHeaders, study_id: StudyIdPath, body: NewParticipant, dry_run: DryRun = False
) -> Response:
    """Registers a participant by `participant.screened`, alone or with further facts. The answer has the new number."""
    if isinstance(body, ParticipantScreened):
        return await record_facts(request, headers, study=study_id, stream=None, facts=[("", body)], dry_run=dry_run)
    facts = facts_with_pointers(body)
    pointer, first = facts[0]
    if not isinstance(first, ParticipantScreened):
        raise rejection_at(
            participant.NOT_SCREENED.code,
            "The first fact of a new participant must be participant.screened. Put it first.",
            _type_pointer(pointer),
        )
    return await record_facts(request, headers, study=study_id, stream=None, facts=facts, dry_run=dry_run)


def _type_pointer(pointer: str) -> str:
    """Returns the pointer of the type beside the data at the pointer."""
    return pointer.removesuffix("/data") + "/type"


def create_app(settings: Settings, *, traffic: Traffic | None = None) -> FastAPI:
    resources = service_resources("enrollment", settings, stream_policy.stream_policies, owns_participants=True)
    study_path, participant_path = f"{STUDIES}/{{study_id}}", f"{STUDIES}/{{study_id}}/participants/{{participant_id}}"
    fact_routers = [
        routes,
        fact_routes(STUDY, study_path, excluded=StudyOpened),
        fact_routes(PARTICIPANT, participant_path),
    ]
    log_routers = [export_routes("enrollment"), read_log_routes("enrollment")]
    read_routers = [read_routes("enrollment", owns_participants=True), search_routes("enrollment"), *log_routers]
    session_routes = (
        provider_routes(SignIn.create(settings)) if settings.oidc_issuer else token_sign_in_routes(Pages("enrollment"))
    )
    forms = Forms("enrollment")
    routers = [
        *fact_routers,
        *read_routers,
        session_routes,
        new_participant_form_routes(forms),
        new_study_form_routes(forms),
        participant_page_routes(forms),
    ]
    return create_form_app(
        "enrollment",
        resources,
        routers,
        settings,
        forms=forms,
        streams=[STUDY, PARTICIPANT],
        excluded=StudyOpened,
        traffic=traffic,
    )
