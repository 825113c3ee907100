"""The enrollment service: studies, participants, and their treatment."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Request
from pydantic import Discriminator, Tag

from services.enrollment import gate, judgement, participant, study, treatment
from shared.contracts.catalogue import PARTICIPANT, STUDY
from shared.contracts.enrollment import Screened
from shared.contracts.study import MemberGranted, Opened
from shared.gate import doors
from shared.gate import study as studies
from shared.kernel.fact import Fact
from shared.kernel.ids import StudyId
from shared.kernel.refusal import NotYourRole
from shared.settings import Settings
from shared.web.app import create_service_app
from shared.web.entitlement import entitled, stated_by
from shared.web.exports import export_routes
from shared.web.reading import reading_routes
from shared.web.routes import (
    RECORDS,
    DryRun,
    Said,
    StudyOf,
    batch_of,
    fact_routes,
    refuse_pointer,
    router,
    state,
    within,
)
from shared.web.service import service_start

STUDIES = "/enrollment/v1/studies"
RULES = (study, participant, treatment, gate, doors, studies)
"""Modules that object, of which the problem types are read off."""
routes = router(STUDIES)
Several = batch_of(PARTICIPANT, "NewParticipant")
NewParticipant = Annotated[
    Annotated[Screened, Tag("screened")] | Annotated[Several, Tag("several")],  # type: ignore[valid-type] # made at run time
    Discriminator(
        lambda body: (
            "several" if isinstance(body, Several) or (isinstance(body, dict) and "facts" in body) else "screened"
        )
    ),
]
OPENING_IS_GRANTED = "Opening studies is granted by whoever runs this installation."


class NewStudy(Opened):
    """A study is opened under an id of its own."""

    study_id: StudyId


async def may_open_some(request: Request) -> None:
    if not request.app.state.running.settings.may_open_some(request.state.caller.subject):
        raise NotYourRole(OPENING_IS_GRANTED)


@routes.post("", **RECORDS)
@entitled(may_open_some)
async def open_study(request: Request, said: Said, body: NewStudy, dry_run: DryRun = False) -> Any:
    """Open a study. Whoever opens it becomes its administrator."""
    caller = request.state.caller.subject
    if not request.app.state.running.settings.may_open(caller, body.study_id):
        raise NotYourRole(OPENING_IS_GRANTED)
    opened = Opened.model_validate(body.model_dump(exclude={"study_id"}))
    granted: Fact = MemberGranted(member=caller, role="administrator")
    return await state(
        request, said, body.study_id, body.study_id, [("", opened), ("", granted)], dry_run, opens_study=True
    )


@routes.post("/{study_id}/participants", **RECORDS)
@stated_by(Screened.by)
async def new_participant(
    request: Request, said: Said, study_id: StudyOf, body: NewParticipant, dry_run: DryRun = False
) -> Any:
    """Screen somebody: `participant.screened`, alone or with what follows. The answer has the participant's number."""
    if isinstance(body, Screened):
        return await state(request, said, study_id, None, [("", body)], dry_run)
    facts = within(body.facts, "/facts")
    if not isinstance(facts[0][1], Screened):
        raise refuse_pointer("not-screened", "The first fact is participant.screened.", "/facts/0/type")
    return await state(request, said, study_id, None, facts, dry_run)


def create_app(settings: Settings) -> FastAPI:
    start = service_start("enrollment", settings, judgement.judgements, registers=True)
    one_study, one_participant = f"{STUDIES}/{{study_id}}", f"{STUDIES}/{{study_id}}/participants/{{participant_id}}"
    stating = [routes, fact_routes(STUDY, one_study, but=Opened), fact_routes(PARTICIPANT, one_participant)]
    reading = [reading_routes("enrollment", registers=True), export_routes("enrollment")]
    return create_service_app("enrollment", "Quartal enrollment", start, [*stating, *reading], settings)
