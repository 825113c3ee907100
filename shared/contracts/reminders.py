"""Reminders of visits, as analytics plans, sends and suppresses them. Nobody states them, and nothing corrects them."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import Field

from shared.contracts.streams import REMINDERS
from shared.contracts.toxicity import VisitNumber
from shared.kernel.fact import Fact
from shared.kernel.ids import Code, LocalId
from shared.kernel.partial_date import Day
from shared.protocol.reminder_steps import Audience, Reason, StepName


class ReminderEvent(Fact):
    """Base of the events: one reminder of one step of a visit."""

    reminder_id: Annotated[UUID, Field(examples=["5d1c2b7e-6a3f-5b0e-9f77-2c4a8d3e6f10"])]
    """The reminder: of one step of a visit, to one audience."""
    visit: Annotated[VisitNumber, Field(examples=[1])]
    """Number of the planned visit, from 1, as the protocol counts visits."""
    course_id: LocalId | None = None
    """Course of radiotherapy whose visits are meant, if the protocol follows each course."""
    step: StepName
    """Step at which the visit is reminded of."""
    audience: Audience
    """`site`: the site that follows the participant. `study`: those who coordinate the whole study."""
    target: Annotated[Day, Field(examples=["2025-04-15"])]
    """Target day of the visit."""
    day: Annotated[Day, Field(examples=["2025-04-01"])]
    """First day of the step."""


@REMINDERS.fact("reminder.planned", by="", heading="Reminder planned")
class ReminderPlanned(ReminderEvent):
    """The step has come, and its reminder is sent with the next digest."""


@REMINDERS.fact("reminder.sent", by="", heading="Reminder sent")
class ReminderSent(ReminderEvent):
    """A digest with the reminder was sent. Nothing is sent for this step again, unless the target moves by a week."""

    sent_on: Annotated[Day, Field(examples=["2025-04-01"])]
    """Day of the digest."""
    recipients: Annotated[int, Field(strict=True, ge=1)]
    """Number of members who have it in their digest of the day."""


@REMINDERS.fact("reminder.suppressed", by="", heading="Reminder suppressed")
class ReminderSuppressed(ReminderEvent):
    """The reminder is not sent while the reason holds."""

    reason: Reason
    """Reason why it is not sent."""


@REMINDERS.fact("reminder.failed", by="", heading="Reminder failed")
class ReminderFailed(ReminderEvent):
    """The digest with the reminder could be sent to nobody. It is tried again on the next working day."""

    code: Annotated[Code, Field(examples=["550"])]
    """`expired`, `no_recipient` when no member receives it any more, or the code of the server's refusal."""
