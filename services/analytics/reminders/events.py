"""The events of reminders, as they are published. Pure."""

from __future__ import annotations

from services.analytics.reminders.log import Reminder, ReminderState
from shared.contracts.reminders import ReminderFailed, ReminderPlanned, ReminderSent, ReminderSuppressed
from shared.kernel.fact import Fact
from shared.protocol.schedule import INDEX_SCHEDULE

_EVENTS: dict[ReminderState, type[Fact]] = {
    "planned": ReminderPlanned,
    "sent": ReminderSent,
    "suppressed": ReminderSuppressed,
    "failed": ReminderFailed,
}


def describe_change(reminder: Reminder, recipients: int = 0) -> Fact:
    """Returns the event that says the state of a reminder. `recipients`: of one that was sent."""
    own: dict[ReminderState, dict[str, object]] = {
        "planned": {},
        "sent": {"sent_on": reminder.changed_on, "recipients": recipients},
        "suppressed": {"reason": reminder.reason},
        "failed": {"code": reminder.reason},
    }
    return _EVENTS[reminder.state].model_validate(
        {
            "reminder_id": reminder.reminder_id,
            "visit": reminder.visit,
            "course_id": None if reminder.schedule == INDEX_SCHEDULE else reminder.schedule,
            "step": reminder.step,
            "audience": reminder.audience,
            "target": reminder.target,
            "day": reminder.day,
            **own[reminder.state],
        }
    )
