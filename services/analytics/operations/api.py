"""State of the projection of a study: its position, parked streams, lag, and participants who need attention."""

from __future__ import annotations

from datetime import datetime

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field

from services.analytics.operations import repository
from services.analytics.reminders.health import ReminderStatus, load_statuses
from services.analytics.snapshot.access import may_see_operations
from services.analytics.snapshot.api import StudyResources
from services.analytics.snapshot.repository import projection_position
from shared.eventstore.study_cache import load_rights
from shared.inbox.lag import load_lags
from shared.kernel.schema_name import NamedSchema
from shared.web.container import get_container
from shared.web.fact_recording import StudyIdPath
from shared.web.fact_routes import create_router
from shared.web.read_logging import logs_reads, note_rows
from shared.web.response_models import read_route_options

MAX_ROWS = 500
routes = create_router("/analytics/v1/studies/{study_id}")


class _FromAttributes(NamedSchema):
    model_config = ConfigDict(from_attributes=True)


class ParkedStream(_FromAttributes):
    """A parked stream: applied up to `version`, with `waiting` messages behind an event that cannot be applied."""

    source: str
    subject: str
    version: int
    reason: str
    since: datetime
    waiting: int


class UnscreenedParticipant(_FromAttributes, schema_name="Unscreened"):
    """A participant with facts but no current screening, whom no figure counts."""

    participant_id: str
    services: list[str]
    facts: int
    since: datetime


class UnscreenedList(NamedSchema, schema_name="Missing"):
    """Participants without a screening: their number, and the first 500 of them."""

    count: int
    rows: list[UnscreenedParticipant]


class FailedDerivation(_FromAttributes):
    """A participant whose rows could not be derived at `position`. Figures and pages show the earlier rows."""

    participant_id: str
    reason: str = Field(description="type of the error")
    since: datetime
    position: int


class FailedDerivationList(NamedSchema, schema_name="FailedDerivations"):
    """Participants whose rows could not be derived: their number, and the first 500 of them."""

    count: int
    rows: list[FailedDerivation]


class TopicLag(BaseModel):
    """Messages of all studies that were not yet processed when the worker last measured, `looked_seconds` ago."""

    topic: str
    behind: int
    looked_seconds: float


class ReminderWait(NamedSchema):
    """A cause for which the digests of a study wait."""

    cause: str = Field(
        description="`kafka` has to answer, `facts` are to be applied, their `derivation` is to end, or a restored "
        "database awaits the `comparison` with what was published"
    )
    seconds: float = Field(description="for how long this cause has held digests up")


class ReminderOperations(NamedSchema):
    """State of the reminders of a study."""

    fault: str | None = Field(
        description="what keeps reminders from being sent: `stopped` without a sign of life of the worker, `mail` "
        "while the mail server takes none, or what the digests have waited for; the first of `faults`"
    )
    faults: list[str] = Field(description="everything that keeps reminders from being sent, the weightiest first")
    waits_for: str | None = Field(
        description="what the digests wait for: `kafka` to answer, `facts` to be applied, their `derivation`, or the "
        "`comparison` of a restored database with what was published; the cause of the first of `waits`"
    )
    waits: list[ReminderWait] = Field(description="everything that digests of some site wait for, the weightiest first")
    planned: int = Field(description="reminders that the next digests have")
    unreached: int = Field(description="reminders that no member receives")
    sent: int
    failed: int = Field(description="reminders that could be sent to nobody")
    undelivered: int = Field(description="mails that were tried more than once and are tried again")


class Operations(BaseModel):
    """State of the projection of a study, and what is missing. `lag` and `unreadable` are about all studies."""

    study_id: str
    position: int
    epoch: str
    recorded_at: datetime | None
    lag: list[TopicLag] = Field(description="empty until a worker has measured")
    unreadable: int = Field(description="messages whose stream cannot be read")
    parked: list[ParkedStream]
    without_screening: UnscreenedList
    behind: int = Field(description="facts applied after `position`, which figures and pages do not show yet")
    not_derived: FailedDerivationList
    reminders: ReminderOperations | None = Field(description="null until rows are derived")


async def load_operations(resources: StudyResources, study: str, member: str) -> Operations:
    """Returns the state of a study's projection.

    Raises NotFound for a member without a grant, Forbidden for one without a role that may see it.
    """
    rights, _ = await load_rights(resources.studies, study, member)
    if not may_see_operations(rights):
        raise rights.refuse_reading()
    current = await projection_position(resources.system_pool, study)
    unscreened = await repository.load_unscreened(resources.pool, study)
    parked_streams = await repository.load_parked_streams(resources.pool, resources.system_pool, study)
    failed = await repository.load_failed(resources.pool, study)
    topic_lags = await load_lags(resources.pool)
    reminders = [status for status in await load_statuses(resources.system_pool) if status.study_id == study]
    return Operations(
        study_id=study,
        position=current.position,
        epoch=current.epoch,
        recorded_at=current.recorded_at,
        lag=[TopicLag(topic=lag.topic, behind=lag.behind, looked_seconds=lag.age) for lag in topic_lags],
        unreadable=await repository.count_unreadable_messages(resources.system_pool),
        parked=[ParkedStream.model_validate(stream) for stream in parked_streams],
        without_screening=UnscreenedList(
            count=len(unscreened), rows=[UnscreenedParticipant.model_validate(row) for row in unscreened[:MAX_ROWS]]
        ),
        behind=await repository.count_facts_behind(resources.system_pool, study),
        not_derived=FailedDerivationList(
            count=len(failed), rows=[FailedDerivation.model_validate(row) for row in failed[:MAX_ROWS]]
        ),
        reminders=next((_reminder_operations(status) for status in reminders), None),
    )


def _reminder_operations(status: ReminderStatus) -> ReminderOperations:
    return ReminderOperations(
        fault=status.fault,
        faults=list(status.faults),
        waits_for=next(iter(status.waits), None),
        waits=[ReminderWait(cause=cause, seconds=seconds) for cause, seconds in status.waits.items()],
        planned=status.planned,
        unreached=status.unreached,
        sent=status.sent,
        failed=status.failed,
        undelivered=status.undelivered,
    )


def note_operations(request: Request, state: Operations) -> None:
    row_count = len(state.parked) + len(state.without_screening.rows) + len(state.not_derived.rows)
    note_rows(request, state.study_id, "operations", row_count)


@routes.get("/operations.json", **read_route_options(Operations), summary="Operations", name="as_numbers")
@logs_reads
async def get_operations(request: Request, study: StudyIdPath) -> Operations:
    """Returns how far analytics has processed a study, to its administrators, investigators, monitors and auditors."""
    state = await load_operations(
        get_container(request).get_resources(StudyResources), study, request.state.caller.subject
    )
    note_operations(request, state)
    return state
