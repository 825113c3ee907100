"""Overlaps of visit windows within a follow-up plan, and where an amendment takes over from another plan. Pure.

A protocol whose windows overlap is refused when it is stated, and never when it is read: what is stored stays readable.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

from shared.protocol.protocol import SHORTEST_GAP_DAYS, FollowUpPlan, VisitWindow
from shared.protocol.schedule import PlanPeriod

_LONGEST_MONTH = 31


def windows_overlap(plan: FollowUpPlan) -> bool:
    """Returns whether the windows of two visits of the plan can overlap, for any anchor.

    The last window must end before a further visit would open. With the policy `latest`, the next visit is counted from
    the end of a later course, which may be the day on which a visit opens: then the next window opens sooner after it.
    """
    return any(_overlap(plan, window, following) for window, following in pairwise([*plan.windows, plan.windows[-1]]))


def windows_overlap_at_change(earlier: PlanPeriod, later: PlanPeriod) -> bool:
    """Returns whether the window of a visit by the earlier plan can overlap that of the next visit by the later one.

    Another plan may be in force between them, if no interval between two targets is longer than it.
    """
    if later.first_day - earlier.last_day > timedelta(days=_LONGEST_MONTH * later.plan.every_months):
        return False
    return any(
        _overlap(later.plan, window, following)
        for window, following in zip(earlier.plan.windows, later.plan.windows[1:], strict=False)
    )


def _overlap(plan: FollowUpPlan, window: VisitWindow, following: VisitWindow) -> bool:
    """Returns whether the window of a visit and that of the next one can overlap, for the intervals of the plan."""
    gap = SHORTEST_GAP_DAYS[plan.every_months - 1]
    days_from_target = gap - window.before if plan.anchor_policy == "latest" else gap
    return window.after + following.before >= days_from_target
