"""The state of a derived visit by the truth table, for tests that compare rows and SQL with it."""

from __future__ import annotations

from datetime import date

from services.analytics.derivation.follow_up_rows import VisitRow
from services.analytics.derivation.rows import NEVER
from shared.protocol.schedule import Visit
from shared.protocol.visit_status import END_REASONS, Absence, FollowUpEnd, FollowUpEnds, VisitStatus, visit_status


def status_by_row(row: VisitRow, today: date) -> VisitStatus:
    """Returns the state of the visit on a day, from the columns of its row alone."""
    absences = () if row.absent_until == NEVER else (Absence(row.closes, row.absent_until),)
    return visit_status(
        Visit(row.number, row.opens, row.target, row.closes, row.slot_ends),
        contact_on=row.contact_on if row.contact_on != NEVER else None,
        is_declared_missed=row.missed_on != NEVER,
        ends=FollowUpEnds(_end(row.ends_on, row.ends_as), _end(row.closing_on, row.closing_as), absences),
        today=today,
    )


def _end(day: date, reason: int) -> FollowUpEnd | None:
    return FollowUpEnd(day, END_REASONS[reason - 1]) if reason else None
