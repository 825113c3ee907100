"""Planned visits, from a follow-up plan and an anchor. Pure; the one definition of target, window and slot.

Targets are always counted from the anchor, never from the visit before: chained months drift.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta

from shared.protocol.protocol import FollowUpPlan


@dataclass(frozen=True, slots=True)
class Visit:
    """Visit k: its window (`opens` to `closes`) and its slot (`opens` to `slot_ends`), all ends inclusive."""

    number: int
    opens: date
    target: date
    closes: date
    slot_ends: date


def add_months(day: date, months: int) -> date:
    """The same day of a later month; its last day where the month is shorter."""
    years, month = divmod(day.month - 1 + months, 12)
    year, month = day.year + years, month + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))


def planned_visits(plan: FollowUpPlan, anchor: date) -> tuple[Visit, ...]:
    """Every visit of the plan. Slots tile the calendar; the last ends where the next would open."""
    windows = (*plan.windows, plan.windows[-1])
    targets = [add_months(anchor, plan.every_months * number) for number in range(1, len(windows) + 1)]
    opens = [target - timedelta(days=window.before) for target, window in zip(targets, windows, strict=True)]
    return tuple(
        Visit(
            number + 1,
            opens[number],
            targets[number],
            targets[number] + timedelta(days=windows[number].after),
            opens[number + 1] - timedelta(days=1),
        )
        for number in range(len(windows) - 1)
    )
