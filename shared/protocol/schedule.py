"""Planned visits of a follow-up plan from an anchor: the one definition of target day, window and slot.

Target days are counted from the anchor, never from the previous visit: adding months repeatedly shifts the day.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta

from shared.protocol.protocol import FollowUpPlan


@dataclass(frozen=True, slots=True)
class Visit:
    """A planned visit. Its window is `opens` to `closes`, its slot `opens` to `slot_ends`; all ends are inclusive."""

    number: int
    opens: date
    target: date
    closes: date
    slot_ends: date


def add_months(day: date, months: int) -> date:
    """Returns the same day of a later month, or the last day of that month if it is shorter."""
    years, month = divmod(day.month - 1 + months, 12)
    year, month = day.year + years, month + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))


def planned_visits(plan: FollowUpPlan, anchor: date) -> tuple[Visit, ...]:
    """Returns every visit of the plan.

    Slots follow each other without gaps. The last one ends on the day before a further visit would open.
    """
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
