"""The answer that lists reminders, as OpenAPI describes it, and its table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from services.analytics.reminders.listing.repository import Delivery, DeliveryState
from services.analytics.reminders.listing.service import ReminderEntry, ReminderPage
from services.analytics.reminders.log import ReminderState
from shared.protocol.reminder_steps import Audience, StepName
from shared.protocol.schedule import INDEX_SCHEDULE


class DeliveryAnswer(BaseModel):
    """The digest of a member with a reminder, not yet sent while `planned`."""

    member: str
    state: DeliveryState
    message_id: str
    at: datetime

    @classmethod
    def from_delivery(cls, delivery: Delivery) -> DeliveryAnswer:
        return cls(member=delivery.member, state=delivery.state, message_id=delivery.message_id, at=delivery.at)


class ReminderAnswer(BaseModel):
    """A reminder of one step of a visit, to one audience."""

    reminder_id: UUID
    participant_id: str
    site_id: str = Field(description="the site that followed the participant when the reminder last changed")
    visit: int = Field(description="number of the visit in its schedule")
    course_id: str | None = Field(description="course whose end the schedule is counted from; null: the index course")
    step: StepName
    target: date
    audience: Audience = Field(description="the participant's site, or those who coordinate the whole study")
    state: ReminderState = Field(description="`planned`: it is sent with the next digest, or on a day to come")
    reason: str | None = Field(
        description="why it is suppressed; of a failed one `expired`, `no_recipient` or the mail server's code"
    )
    day: date = Field(description="first day of the step")
    deliveries: list[DeliveryAnswer]

    @classmethod
    def from_entry(cls, entry: ReminderEntry) -> ReminderAnswer:
        reminder = entry.reminder
        return cls(
            reminder_id=reminder.reminder_id,
            participant_id=reminder.participant_id,
            site_id=reminder.site_id,
            visit=reminder.visit,
            course_id=None if reminder.schedule == INDEX_SCHEDULE else reminder.schedule,
            step=reminder.step,
            target=reminder.target,
            audience=reminder.audience,
            state=reminder.state,
            reason=reminder.reason or None,
            day=reminder.day,
            deliveries=[DeliveryAnswer.from_delivery(delivery) for delivery in entry.deliveries],
        )


class ReminderListAnswer(BaseModel):
    """A page of the log of reminders, the latest day first, and after it the next reminder of each visit.

    `next` is the value of `after` for the next page; null on the last page.
    """

    rows: list[ReminderAnswer]
    next: str | None

    @classmethod
    def from_page(cls, page: ReminderPage) -> ReminderListAnswer:
        rows = [ReminderAnswer.from_entry(entry) for entry in page.rows]
        return cls(rows=rows, next=str(page.next) if page.next else None)

    def table(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """Returns the header and the rows of the table: a row for each digest with a reminder, or for one without."""
        rows = list[Sequence[str]]()
        for row in self.rows:
            values = row.model_dump(mode="json")
            deliveries: list[dict[str, Any]] = values.pop("deliveries") or [{}]
            rows += [
                [_cell(value) for value in (*values.values(), *map(delivery.get, _DELIVERY))] for delivery in deliveries
            ]
        return _COLUMNS, rows


_DELIVERY = tuple(DeliveryAnswer.model_fields)
_COLUMNS = (
    *(name for name in ReminderAnswer.model_fields if name != "deliveries"),
    *("delivery_state" if name == "state" else name for name in _DELIVERY),
)


def _cell(value: Any) -> str:
    return "" if value is None else str(value)
