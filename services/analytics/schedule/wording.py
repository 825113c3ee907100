"""The words of the worklist: titles of its groups, reasons, and days from today."""

from __future__ import annotations

from collections.abc import Mapping

from shared.protocol.visit_status import StateReason, VisitState

GROUP_TITLES: Mapping[VisitState, str] = {
    "overdue": "Overdue",
    "due": "Due",
    "planned": "Planned",
    "missed": "Missed",
    "done_late": "Done late",
    "done": "Done",
    "not_applicable": "Not applicable",
}
GROUP_LEADS: Mapping[VisitState, str] = {
    "overdue": "The window has closed without a contact. A contact before the next window opens still counts.",
    "due": "The window is open, and no contact is recorded in it.",
    "planned": "The window has not opened yet.",
    "missed": "No contact was recorded before the next window opened, or the site declared the visit missed. A contact "
    "that is recorded later still counts on its own day.",
    "done_late": "The contact took place after the window had closed.",
    "done": "The contact took place in the window.",
    "not_applicable": "Follow-up ended before the window closed.",
}
_REASONS: Mapping[StateReason, str] = {
    "died": "died",
    "withdrew": "withdrew consent",
    "lost": "lost to follow-up",
    "site_closed": "site closed",
    "study_ended": "study ended",
    "declared_missed": "declared missed",
}
EMPTY_LISTS: Mapping[str, str] = {
    "default": "Nothing to do: no visit is overdue, due, or opens within 14 days.",
    "states": "There are no visits in this state.",
    "end": "There are no further entries.",
}


def describe_reason(reason: StateReason) -> str:
    return _REASONS[reason]
