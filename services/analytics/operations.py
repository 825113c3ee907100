"""How the projection of a study is doing: how far it is, what stands still, who is missing a screening."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field

from services.analytics.projection import operations as found
from services.analytics.projection import reading
from shared.eventstore.studies import rights_in
from shared.inbox.lag import lags
from shared.kernel.refusal import NotYourRole
from shared.security.grants import EVERY_SITE
from shared.web.answers import reads
from shared.web.metrics import Measured
from shared.web.reads import logs_reads, note_rows
from shared.web.routes import StudyOf, router

OPERATING = frozenset({"administrator", "investigator", "monitor", "auditor"})
"""Who sees it, with a grant for the whole study: which participants it concerns no single site can tell."""
MOST_ROWS = 500
routes = router("/analytics/v1/studies/{study_id}")


class _Row(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class ParkedStream(_Row):
    """A parked stream: applied up to `version`, with `waiting` messages behind an event that cannot be applied."""

    source: str
    subject: str
    version: int
    reason: str
    since: datetime
    waiting: int


class Unscreened(_Row):
    """A participant with facts but no current screening, whom no figure counts."""

    participant_id: str
    services: list[str]
    facts: int
    since: datetime


class Missing(BaseModel):
    """Participants without a screening: their number, and the first 500 of them."""

    count: int
    rows: list[Unscreened]


class TopicLag(BaseModel):
    """Messages of all studies that were not yet processed when the worker last measured, `looked_seconds` ago."""

    topic: str
    behind: int
    looked_seconds: float


class Operations(BaseModel):
    """How far analytics has processed a study, and what is missing. `lag` and `unreadable` are about all studies."""

    study_id: str
    position: int
    epoch: str
    recorded_at: datetime | None
    lag: list[TopicLag] = Field(description="empty until a worker has measured")
    unreadable: int = Field(description="messages whose stream cannot be read")
    parked: list[ParkedStream]
    without_screening: Missing


async def operations(app: FastAPI, study: str, member: str) -> Operations:
    """Raises NotFound for who has no grant, NotYourRole for who has another one."""
    held, _ = await rights_in(app.state.figures.studies, study, member)
    if EVERY_SITE not in held.sites(OPERATING):
        raise NotYourRole
    at = await reading.frontier(app.state.system, study)
    missing = await found.unscreened(app.state.pool, study)
    still = await found.parked(app.state.pool, app.state.system, study)
    behind = await lags(app.state.pool)
    return Operations(
        study_id=study,
        position=at.position,
        epoch=at.epoch,
        recorded_at=at.recorded_at,
        lag=[TopicLag(topic=each.topic, behind=each.behind, looked_seconds=each.age) for each in behind],
        unreadable=await found.unreadable(app.state.system),
        parked=[ParkedStream.model_validate(each) for each in still],
        without_screening=Missing(
            count=len(missing), rows=[Unscreened.model_validate(each) for each in missing[:MOST_ROWS]]
        ),
    )


def note_operations(request: Request, told: Operations) -> None:
    note_rows(request, told.study_id, "operations", len(told.parked) + len(told.without_screening.rows))


@routes.get("/operations.json", **reads(Operations), summary="Operations")
@logs_reads
async def as_numbers(request: Request, study: StudyOf) -> Any:
    """Returns how far analytics has processed a study, to its administrators, investigators, monitors and auditors."""
    told = await operations(request.app, study, request.state.caller.subject)
    note_operations(request, told)
    return told


async def measured(app: FastAPI) -> list[Measured]:
    means = "Participants with facts but no current screening"
    counts = await found.unscreened_by_study(app.state.system)
    return [Measured("quartal_participants_without_screening", means, n, {"study": name}) for name, n in counts.items()]
