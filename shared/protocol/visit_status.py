"""The state of a planned visit on a day: the one truth table, which the SQL function `visit_state` repeats. Pure.

A contract test compares both over generated visits. docs/architecture/analytics/schedule.md has the table.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Literal, NamedTuple, get_args

from shared.protocol.schedule import Visit

VisitState = Literal["planned", "due", "overdue", "missed", "done", "done_late", "not_applicable"]
EndReason = Literal["died", "withdrew", "lost", "site_closed", "study_ended"]
StateReason = EndReason | Literal["declared_missed"]
END_REASONS: tuple[EndReason, ...] = get_args(EndReason)
"""The reasons in the order in which one of two ends on the same day is named."""


class FollowUpEnd(NamedTuple):
    """A day on which follow-up ends, and why."""

    day: date
    reason: EndReason


class Absence(NamedTuple):
    """A loss to follow-up. `resumed_on`: the day on which follow-up resumed; None while it has not."""

    lost_on: date
    resumed_on: date | None

    def covers(self, day: date) -> bool:
        """Returns whether the participant was lost on the day and found again after it."""
        return self.resumed_on is not None and self.lost_on <= day < self.resumed_on


@dataclass(frozen=True, slots=True)
class FollowUpEnds:
    """The end and the interruptions of a participant's follow-up.

    `ended`: the earliest of death, withdrawal and a loss that was not resumed. `closing`: the earlier closing of the
    current site and of the study, which may be stated for a day to come.
    """

    ended: FollowUpEnd | None = None
    closing: FollowUpEnd | None = None
    absences: tuple[Absence, ...] = ()

    def end_by(self, today: date) -> FollowUpEnd | None:
        """Returns the end of follow-up as it stands on a day; None while follow-up continues.

        A closing counts from its day on.
        """
        closing = self.closing if self.closing and self.closing.day <= today else None
        return earliest_end(end for end in (self.ended, closing) if end)


class VisitStatus(NamedTuple):
    """The state of a visit. `reason`: why the visit is not applicable, or missed before its slot has ended."""

    state: VisitState
    reason: StateReason | None = None


def earliest_end(ends: Iterable[FollowUpEnd]) -> FollowUpEnd | None:
    """Returns the earliest of several ends, of one day the first in the order of `END_REASONS`; None without any."""
    return min(ends, key=lambda end: (end.day, END_REASONS.index(end.reason)), default=None)


def standing_loss(absences: Iterable[Absence]) -> FollowUpEnd | None:
    """Returns the earliest loss to follow-up that was not resumed; None if there is none."""
    return earliest_end(FollowUpEnd(absence.lost_on, "lost") for absence in absences if absence.resumed_on is None)


def visit_status(
    visit: Visit, *, contact_on: date | None, is_declared_missed: bool, ends: FollowUpEnds, today: date
) -> VisitStatus:
    """Returns the state of a visit on a day at the participant's site: the first row of the table that holds.

    `contact_on`: the earliest contact in the visit's slot; None without one.
    """
    end = ends.end_by(today)
    if contact_on is not None:
        return VisitStatus("done" if contact_on <= visit.closes else "done_late")
    if end and end.day <= visit.closes:
        return VisitStatus("not_applicable", end.reason)
    if any(absence.covers(visit.closes) for absence in ends.absences):
        return VisitStatus("missed", "lost")
    if end:
        return VisitStatus("missed")
    if is_declared_missed:
        return VisitStatus("missed", "declared_missed")
    return VisitStatus(state_by_day(visit, today))


def state_by_day(visit: Visit, today: date) -> VisitState:
    """Returns the state of a visit without a contact while follow-up continues."""
    if today < visit.opens:
        return "planned"
    if today <= visit.closes:
        return "due"
    return "overdue" if today <= visit.slot_ends else "missed"
