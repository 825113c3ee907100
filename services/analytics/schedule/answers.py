"""The answer that lists the worklist, as OpenAPI describes it, and its table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from pydantic import BaseModel, Field

from services.analytics.schedule.service import WorklistPage, WorklistRow
from services.analytics.schedule.worklist import UnscheduledParticipant
from shared.protocol.visit_status import StateReason, VisitState


class NextStep(BaseModel):
    """The next reminder of a visit: its step, and the day on which it is due."""

    step: str
    day: date


class WorklistVisitAnswer(BaseModel):
    """A planned visit. Its window is `opens` to `closes`, its slot `opens` to `slot_ends`; all ends are inclusive."""

    participant_id: str
    site_id: str = Field(description="the site that follows the participant now")
    visit: int = Field(description="number of the visit in its schedule")
    course_id: str | None = Field(description="course whose end the schedule is counted from; null: the index course")
    target: date
    opens: date
    closes: date
    slot_ends: date
    state: VisitState
    reason: StateReason | None = Field(
        description="why the visit is not applicable, or was missed before its slot ended"
    )
    days: int = Field(
        description="days from today at the site, or from `on`, to the target; negative once it has passed"
    )
    scheduled_on: date | None = Field(description="day of the appointment")
    declared: date | None = Field(description="day of a contact outside the slot that the site takes for this visit")
    last_contact: date | None = Field(description="day of the participant's last contact")
    next_step: NextStep | None
    open_queries: int = Field(description="number of open data queries about the participant")

    @classmethod
    def from_row(cls, row: WorklistRow) -> WorklistVisitAnswer:
        visit = row.visit
        return cls(
            participant_id=visit.participant_id,
            site_id=visit.site_id,
            visit=visit.number,
            course_id=row.course_id,
            target=visit.target,
            opens=visit.opens,
            closes=visit.closes,
            slot_ends=visit.slot_ends,
            state=visit.state,
            reason=visit.reason,
            days=visit.days,
            scheduled_on=visit.scheduled_on,
            declared=visit.declared_on,
            last_contact=row.last_contact,
            next_step=NextStep(step=row.next_reminder.step, day=row.next_reminder.day) if row.next_reminder else None,
            open_queries=row.open_queries,
        )


class UnscheduledAnswer(BaseModel):
    """An enrolled participant without visits: no end of radiotherapy is recorded. `days`: those since enrollment."""

    participant_id: str
    site_id: str
    enrolled_on: date
    days: int

    @classmethod
    def from_participant(cls, participant: UnscheduledParticipant) -> UnscheduledAnswer:
        return cls(
            participant_id=participant.participant_id,
            site_id=participant.site_id,
            enrolled_on=participant.enrolled_on,
            days=participant.days,
        )


class WorklistAnswer(BaseModel):
    """A page of the worklist as of the day `on`, by default the latest today of the sites that the caller sees.

    Overdue visits come first, then those that are due, then those that open; of these the earliest windows first. Past
    visits follow, the latest windows first, and last the enrolled participants without visits, the earliest enrollment
    first. `next` is the value of `after` for the next page; null on the last page.
    """

    position: int
    on: date
    next: str | None
    rows: list[WorklistVisitAnswer]
    no_schedule: list[UnscheduledAnswer]

    @classmethod
    def from_page(cls, page: WorklistPage) -> WorklistAnswer:
        return cls(
            position=page.current.position,
            on=page.on,
            next=str(page.next) if page.next else None,
            rows=[WorklistVisitAnswer.from_row(row) for row in page.rows],
            no_schedule=[UnscheduledAnswer.from_participant(participant) for participant in page.no_schedule],
        )

    def table(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """Returns the header and the rows of the table; participants without visits have the state `no_schedule`."""
        visits = [
            {**row.model_dump(mode="json", exclude={"next_step"}), **_step_columns(row.next_step)} for row in self.rows
        ]
        unscheduled = [
            {**row.model_dump(mode="json", exclude={"days"}), "state": "no_schedule"} for row in self.no_schedule
        ]
        return _COLUMNS, [[_cell(row.get(name)) for name in _COLUMNS] for row in [*visits, *unscheduled]]


_VISIT_COLUMNS = [name for name in WorklistVisitAnswer.model_fields if name != "next_step"]
_COLUMNS = (*_VISIT_COLUMNS, "next_step", "next_step_on", "enrolled_on")


def _step_columns(step: NextStep | None) -> dict[str, str]:
    return {"next_step": step.step, "next_step_on": step.day.isoformat()} if step else {}


def _cell(value: Any) -> str:
    return "" if value is None else str(value)
