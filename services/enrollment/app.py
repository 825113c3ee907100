"""The enrollment service: studies, participants, and their treatment."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Request
from pydantic import Discriminator, Tag

from services.enrollment import gate, judgement, participant, study, treatment
from shared.contracts.catalogue import PARTICIPANT, STUDY
from shared.contracts.enrollment import Screened
from shared.contracts.study import MemberGranted, Opened
from shared.gate import doors, lists, texts
from shared.gate import study as studies
from shared.kernel.fact import Fact
from shared.kernel.ids import StudyId
from shared.kernel.refusal import NotYourRole
from shared.settings import Settings
from shared.web.app import create_service_app
from shared.web.entitlement import entitled, stated_by
from shared.web.exports import export_routes, read_log_routes
from shared.web.reading import reading_routes
from shared.web.routes import (
    RECORDS,
    REGISTERS,
    DryRun,
    Said,
    StudyOf,
    batch_of,
    fact_routes,
    facts_of,
    form_of_batch,
    refuse_pointer,
    router,
    state,
)
from shared.web.search import search_routes
from shared.web.service import service_start

STUDIES = "/enrollment/v1/studies"
RULES = (study, participant, treatment, gate, doors, studies, texts, lists)
"""Modules that object, of which the problem types are read off."""
routes = router(STUDIES)
Listed, Several = batch_of(PARTICIPANT, "NewParticipant")


def _form(body: object) -> str:
    is_screening = isinstance(body, Screened) or (isinstance(body, dict) and "facts" not in body)
    return "screened" if is_screening else form_of_batch(body)


NewParticipant = Annotated[
    Annotated[Screened, Tag("screened")] | Annotated[Several, Tag("object")] | Annotated[Listed, Tag("list")],  # type: ignore[valid-type] # made at run time
    Discriminator(_form),
]
OPENING_IS_GRANTED = (
    "You may not open this study. The operators of this installation grant that (QUARTAL_ADMINISTRATORS)."
)


class NewStudy(Opened):
    """A new study: its first fact, and the id that it gets."""

    study_id: StudyId


async def may_open_some(request: Request) -> None:
    if not request.app.state.running.settings.may_open_some(request.state.caller.subject):
        raise NotYourRole(OPENING_IS_GRANTED)


@routes.post("", **RECORDS)
@entitled(may_open_some)
async def open_study(request: Request, said: Said, body: NewStudy, dry_run: DryRun = False) -> Any:
    """Opens a study. The caller becomes its administrator."""
    caller = request.state.caller.subject
    if not request.app.state.running.settings.may_open(caller, body.study_id):
        raise NotYourRole(OPENING_IS_GRANTED)
    opened = Opened.model_validate(body.model_dump(exclude={"study_id"}))
    granted: Fact = MemberGranted(member=caller, role="administrator")
    return await state(
        request, said, body.study_id, body.study_id, [("", opened), ("", granted)], dry_run, opens_study=True
    )


@routes.post("/{study_id}/participants", **REGISTERS)
@stated_by(Screened.by)
async def new_participant(
    request: Request, said: Said, study_id: StudyOf, body: NewParticipant, dry_run: DryRun = False
) -> Any:
    """Registers a participant by `participant.screened`, alone or with further facts. The answer has the new number."""
    if isinstance(body, Screened):
        return await state(request, said, study_id, None, [("", body)], dry_run)
    facts = facts_of(body)
    pointer, first = facts[0]
    if not isinstance(first, Screened):
        raise refuse_pointer(
            "not-screened",
            "The first fact of a new participant must be participant.screened. Put it first.",
            _beside(pointer),
        )
    return await state(request, said, study_id, None, facts, dry_run)


def _beside(pointer: str) -> str:
    """The type that stands beside the data at the pointer."""
    return pointer.removesuffix("/data") + "/type"


def create_app(settings: Settings) -> FastAPI:
    start = service_start("enrollment", settings, judgement.judgements, registers=True)
    one_study, one_participant = f"{STUDIES}/{{study_id}}", f"{STUDIES}/{{study_id}}/participants/{{participant_id}}"
    stating = [routes, fact_routes(STUDY, one_study, but=Opened), fact_routes(PARTICIPANT, one_participant)]
    logs = [export_routes("enrollment"), read_log_routes("enrollment")]
    reading = [reading_routes("enrollment", registers=True), search_routes("enrollment"), *logs]
    return create_service_app("enrollment", "Quartal enrollment", start, [*stating, *reading], settings)
