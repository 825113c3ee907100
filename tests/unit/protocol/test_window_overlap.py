"""Plans whose windows overlap: what fits is told from what does not to the day, for any anchor."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.protocol.anchors import CourseDates
from shared.protocol.protocol import SHORTEST_GAP_DAYS, FollowUpPlan
from shared.protocol.schedule import PlanPeriod, planned_visits, schedules
from shared.protocol.window_overlap import windows_overlap, windows_overlap_at_change

ANCHORS = st.dates(date(2000, 1, 1), date(2080, 1, 1))
WINDOWS = st.fixed_dictionaries({"before": st.integers(0, 90), "after": st.integers(0, 90)})


def plan(**members: Any) -> FollowUpPlan:
    return FollowUpPlan.model_validate(members)


def window(before: int, after: int) -> dict[str, int]:
    return {"before": before, "after": after}


def changed_on(day: date, first: FollowUpPlan, second: FollowUpPlan) -> tuple[PlanPeriod, PlanPeriod]:
    return PlanPeriod(first, last_day=day - timedelta(days=1)), PlanPeriod(second, day)


@pytest.mark.parametrize("days_around", [45, 60, 180])
def test_wide_windows_overlap(days_around: int) -> None:
    assert windows_overlap(plan(window_days=window(days_around, days_around)))
    assert not windows_overlap(plan(window_days=window(44, 44)))


@pytest.mark.parametrize("every_months", range(1, 12))
def test_widest_windows_that_fit_fill_the_shortest_gap_between_two_targets(every_months: int) -> None:
    gap = SHORTEST_GAP_DAYS[every_months - 1]
    members = {"every_months": every_months, "for_months": every_months}
    widest = plan(**members, window_days=window(min(180, gap - 1), max(0, gap - 181)))
    assert widest.windows[0].before + widest.windows[0].after == gap - 1
    assert not windows_overlap(widest)
    assert windows_overlap(plan(**members, window_days=window(min(180, gap), max(0, gap - 180))))


def test_windows_of_single_visits_are_compared_with_those_of_the_next() -> None:
    windows = [window(14, 14) for _ in range(8)]
    assert not windows_overlap(plan(window_days=[*windows[:6], window(14, 74), window(14, 14)]))
    assert windows_overlap(plan(window_days=[*windows[:6], window(14, 75), window(14, 14)]))
    assert windows_overlap(plan(window_days=[*windows[:7], window(14, 75)]))


def test_window_after_a_later_course_may_open_while_the_visit_before_it_is_open() -> None:
    assert not windows_overlap(plan(window_days=window(40, 40)))
    assert windows_overlap(plan(window_days=window(40, 40), anchor_policy="latest"))
    assert not windows_overlap(plan(window_days=window(29, 30), anchor_policy="latest"))
    assert windows_overlap(plan(window_days=window(30, 29), anchor_policy="latest"))


def test_windows_that_fit_alone_may_overlap_at_an_amendment() -> None:
    late, early = plan(window_days=window(0, 88)), plan(window_days=window(88, 0))
    day = date(2025, 5, 1)
    assert not windows_overlap(late)
    assert not windows_overlap(early)
    assert windows_overlap_at_change(*changed_on(day, late, early))
    assert not windows_overlap_at_change(*changed_on(day, early, late))
    assert not windows_overlap_at_change(*changed_on(day, late, plan(window_days=window(0, 14))))
    assert windows_overlap_at_change(*changed_on(day, late, plan(window_days=window(1, 14))))


def test_plan_in_force_for_a_short_time_does_not_keep_two_others_apart() -> None:
    late, early = plan(window_days=window(0, 60)), plan(window_days=window(60, 0))
    day = date(2025, 5, 1)
    assert windows_overlap_at_change(PlanPeriod(late, last_day=day), PlanPeriod(early, day + timedelta(days=93)))
    assert not windows_overlap_at_change(PlanPeriod(late, last_day=day), PlanPeriod(early, day + timedelta(days=94)))


@given(ANCHORS, WINDOWS, WINDOWS, ANCHORS)
def test_plans_that_fit_give_no_visits_that_overlap(
    anchor: date, first: dict[str, int], second: dict[str, int], effective_on: date
) -> None:
    plans = changed_on(effective_on, plan(window_days=first), plan(window_days=second))
    if any(windows_overlap(period.plan) for period in plans) or windows_overlap_at_change(*plans):
        return
    visits = planned_visits(plans, anchor)
    assert all(visit.closes <= visit.slot_ends for visit in visits)
    assert all(visit.closes < following.opens for visit, following in pairwise(visits))


@given(ANCHORS, WINDOWS, st.lists(st.integers(1, 700), max_size=3))
def test_plans_that_fit_give_no_visits_that_overlap_after_later_courses(
    anchor: date, windows: dict[str, int], delays: list[int]
) -> None:
    policy = plan(window_days=windows, anchor_policy="latest")
    if windows_overlap(policy):
        return
    ends = [anchor, *(anchor + timedelta(days=delay) for delay in delays)]
    courses = [CourseDates(f"C{number}", number == 0, end) for number, end in enumerate(ends)]
    for schedule in schedules((PlanPeriod(policy),), courses):
        assert all(visit.closes < following.opens for visit, following in pairwise(schedule.visits))
