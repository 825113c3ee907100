"""The visits that follow from anchors and plans: the worked examples of the protocol, and what holds for all."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.protocol.anchors import CourseDates
from shared.protocol.protocol import SHORTEST_GAP_DAYS, FollowUpPlan
from shared.protocol.schedule import PlanPeriod, Schedule, Visit, add_months, planned_visits, schedules

ONE_DAY = timedelta(days=1)
anchors = st.dates(date(2000, 1, 1), date(2080, 1, 1))


def plan(**members: Any) -> FollowUpPlan:
    return FollowUpPlan.model_validate(members)


def window(days: int) -> dict[str, int]:
    """A window of as many days before and after the target."""
    return {"before": days, "after": days}


def unamended(**members: Any) -> tuple[PlanPeriod, ...]:
    return (PlanPeriod(plan(**members)),)


def amended(first: FollowUpPlan, effective_on: date, second: FollowUpPlan) -> tuple[PlanPeriod, ...]:
    return PlanPeriod(first, last_day=effective_on - ONE_DAY), PlanPeriod(second, effective_on)


def targets(visits: tuple[Visit, ...]) -> list[str]:
    return [visit.target.isoformat() for visit in visits]


def days(visit: Visit) -> list[str]:
    return [day.isoformat() for day in (visit.opens, visit.target, visit.closes, visit.slot_ends)]


def courses(index_end: date | None, *later_ends: date | None) -> list[CourseDates]:
    """The index course C1 and later courses C2, C3, … by the days of their last fractions."""
    later = [CourseDates(f"C{number}", False, day) for number, day in enumerate(later_ends, 2)]
    return [CourseDates("C1", True, index_end), *later]


@pytest.mark.parametrize(
    ("anchor", "expected"),
    [
        ("2024-11-30", "2025-02-28 2025-05-30 2025-08-30 2025-11-30 2026-02-28 2026-05-30 2026-08-30 2026-11-30"),
        ("2025-08-31", "2025-11-30 2026-02-28 2026-05-31 2026-08-31 2026-11-30 2027-02-28 2027-05-31 2027-08-31"),
    ],
)
def test_targets_are_counted_from_the_anchor_and_clamped_to_the_month(anchor: str, expected: str) -> None:
    assert targets(planned_visits(unamended(), date.fromisoformat(anchor))) == expected.split()


def test_target_on_february_29_is_clamped_in_other_years() -> None:
    visits = targets(planned_visits(unamended(), date(2023, 11, 30)))
    assert (visits[0], visits[4]) == ("2024-02-29", "2025-02-28")


def test_first_visit_after_a_mid_january_anchor() -> None:
    first, second = planned_visits(unamended(), date(2025, 1, 15))[:2]
    assert days(first) == ["2025-04-01", "2025-04-15", "2025-04-29", "2025-06-30"]
    assert second.opens == date(2025, 7, 1)


def test_corrected_anchor_moves_every_target() -> None:
    before, after = (planned_visits(unamended(), day)[0] for day in (date(2025, 1, 10), date(2025, 2, 10)))
    assert (before.opens, before.target) == (date(2025, 3, 27), date(2025, 4, 10))
    assert (after.opens, after.target) == (date(2025, 4, 26), date(2025, 5, 10))
    contact = date(2025, 4, 5)
    assert before.opens <= contact <= before.slot_ends
    assert contact < after.opens


def test_later_course_does_not_move_visits_by_the_policy_index() -> None:
    (schedule,) = schedules(unamended(), courses(date(2025, 1, 15), date(2025, 6, 20)))
    assert schedule == Schedule(
        "index", "C1", date(2025, 1, 15), date(2025, 1, 15), date.max, planned_visits(unamended(), date(2025, 1, 15))
    )


def test_later_course_moves_the_visits_that_had_not_opened_by_the_policy_latest() -> None:
    before, after = schedules(unamended(anchor_policy="latest"), courses(date(2025, 1, 15), date(2025, 6, 20)))
    assert (before.valid_from, before.valid_to) == (date(2025, 1, 15), date(2025, 6, 19))
    assert before.visits == planned_visits(unamended(), date(2025, 1, 15))
    assert (after.valid_from, after.valid_to) == (date(2025, 6, 20), date.max)
    assert (after.anchor, after.course_id, len(after.visits)) == (date(2025, 6, 20), "C2", 8)
    assert days(after.visits[0]) == ["2025-04-01", "2025-04-15", "2025-04-29", "2025-09-05"]
    assert targets(after.visits[1:]) == [add_months(date(2025, 6, 20), 3 * (k - 1)).isoformat() for k in range(2, 9)]


def test_courses_that_ended_by_the_end_of_the_index_course_move_no_visit() -> None:
    policy = unamended(anchor_policy="latest")
    alone = schedules(policy, courses(date(2025, 1, 15)))
    assert schedules(policy, courses(date(2025, 1, 15), date(2024, 12, 1), date(2025, 1, 15), None)) == alone


def test_every_course_that_ended_has_a_schedule_by_the_policy_per_course() -> None:
    policy = unamended(anchor_policy="per_course")
    first, second = schedules(policy, courses(date(2025, 1, 15), date(2025, 6, 20), None))
    assert (first.name, first.anchor, second.name, second.anchor) == (
        "C1",
        date(2025, 1, 15),
        "C2",
        date(2025, 6, 20),
    )
    assert second.visits == planned_visits(policy, date(2025, 6, 20))


@pytest.mark.parametrize("policy", ["index", "latest"])
def test_no_visit_is_planned_before_the_index_course_has_ended(policy: str) -> None:
    assert schedules(unamended(anchor_policy=policy), courses(None, date(2025, 6, 20))) == ()
    assert schedules(unamended(anchor_policy=policy), courses(None)[1:]) == ()


def test_narrower_windows_apply_to_visits_with_a_target_after_the_amendment() -> None:
    plans = amended(plan(), date(2025, 3, 1), plan(window_days=window(7)))
    first, second = planned_visits(plans, date(2024, 11, 30))[:2]
    assert days(first) == ["2025-02-14", "2025-02-28", "2025-03-14", "2025-05-22"]
    assert days(second)[::2] == ["2025-05-23", "2025-06-06"]


def test_longer_follow_up_plans_no_visit_with_a_target_before_the_amendment() -> None:
    plans = amended(plan(), date(2025, 3, 1), plan(for_months=60))
    visits = planned_visits(plans, date(2021, 1, 15))
    assert [visit.number for visit in visits] == [*range(1, 9), *range(17, 21)]
    assert (visits[8].opens, visits[-1].target) == (date(2025, 4, 1), date(2026, 1, 15))
    assert visits[7].slot_ends == date(2023, 3, 31)  # as if the schedule had continued by the plan of its target


def test_shorter_follow_up_leaves_visits_before_the_amendment_as_they_were() -> None:
    plans = amended(plan(), date(2025, 3, 1), plan(for_months=6))
    visits = planned_visits(plans, date(2024, 2, 1))
    assert [visit.number for visit in visits] == [1, 2, 3, 4]


@given(anchors, st.integers(1, 24), st.integers(1, 12))
def test_visit_slots_are_contiguous(anchor: date, every_months: int, visits: int) -> None:
    months = min(every_months * visits, 120 // every_months * every_months)
    plans = unamended(every_months=every_months, for_months=months, window_days=window(13))
    planned = planned_visits(plans, anchor)
    assert [visit.number for visit in planned] == list(range(1, len(planned) + 1))
    for visit, following in pairwise(planned):
        assert visit.opens <= visit.target <= visit.closes <= visit.slot_ends
        assert following.opens == visit.slot_ends + ONE_DAY
    assert planned[-1].closes <= planned[-1].slot_ends


@given(anchors, anchors, st.integers(1, 20), st.integers(1, 20))
def test_amendment_changes_no_visit_that_has_ended_by_its_day(
    anchor: date, effective_on: date, visits: int, amended_visits: int
) -> None:
    first, second = plan(for_months=3 * visits), plan(for_months=3 * amended_visits, window_days=window(7))
    before = planned_visits((PlanPeriod(first),), anchor)
    after = planned_visits(amended(first, effective_on, second), anchor)
    ended = [visit for visit in before if visit.slot_ends < effective_on - timedelta(days=14)]
    assert list(after[: len(ended)]) == ended
    assert all(visit.target >= effective_on for visit in after if visit not in before and visit.number > len(ended) + 1)
    for visit, following in pairwise(after):
        if following.number == visit.number + 1:
            assert following.opens == visit.slot_ends + ONE_DAY


@given(anchors, st.lists(st.integers(1, 700), max_size=3))
def test_one_schedule_is_valid_on_every_day_from_the_first_anchor(anchor: date, delays: list[int]) -> None:
    later_ends = [anchor + timedelta(days=delay) for delay in delays]
    versions = schedules(unamended(anchor_policy="latest"), courses(anchor, *later_ends))
    assert versions[0].valid_from == anchor
    assert versions[-1].valid_to == date.max
    for version, following in pairwise(versions):
        assert following.valid_from == version.valid_to + ONE_DAY
        opened = [visit.number for visit in version.visits if visit.opens <= following.valid_from]
        assert targets(following.visits)[: len(opened)] == targets(version.visits)[: len(opened)]
        assert [visit.number for visit in following.visits] == list(range(1, 9))


@given(anchors, st.integers(1, 24))
def test_no_two_targets_are_closer_than_the_shortest_gap(anchor: date, every_months: int) -> None:
    days_of_targets = [add_months(anchor, every_months * number) for number in range(1, 14)]
    gaps = [(later - earlier).days for earlier, later in pairwise(days_of_targets)]
    assert min(gaps) >= SHORTEST_GAP_DAYS[every_months - 1]


@given(anchors, st.integers(0, 44))
def test_the_widest_windows_admitted_never_overlap(anchor: date, days_around: int) -> None:
    for visit, following in pairwise(planned_visits(unamended(window_days=window(days_around)), anchor)):
        assert visit.closes < following.opens
