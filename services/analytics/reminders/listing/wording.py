"""The words of reminders: their states and reasons."""

from __future__ import annotations

from collections.abc import Mapping

from services.analytics.reminders.log import ReminderState
from shared.protocol.reminder_steps import Reason

STATE_LABELS: Mapping[ReminderState, str] = {
    "planned": "Planned",
    "sent": "Sent",
    "suppressed": "Not sent",
    "failed": "Failed",
}
_REASONS: Mapping[Reason, str] = {
    "reported": "the visit is reported",
    "declared": "the site took an earlier contact for this visit",
    "declared_missed": "the site declared the visit missed",
    "died": "the participant died",
    "withdrew": "the participant withdrew consent",
    "lost": "the participant is lost to follow-up",
    "study_ended": "the study ended",
    "site_closed": "the site closed",
    "excluded": "the participant is in no analysis",
    "no_schedule": "no such visit or step is planned any more",
    "moved": "the visit or its step has another day, or the visit another site",
    "snoozed": "the site put the reminder off",
    "acknowledged": "the site acknowledged the reminder",
    "scheduled": "the visit has an appointment",
    "superseded": "a later step has come",
    "no_recipient": "nobody receives digests for it",
    "expired": "the time for sending it is over",
    "not_current": "some facts about the participant cannot be applied",
}


def describe_reason(reason: str) -> str:
    """Returns the reason in words; for a failed reminder the mail server's code."""
    return next((words for name, words in _REASONS.items() if name == reason), f"the mail server answered {reason}")
