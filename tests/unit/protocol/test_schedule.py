"""The visits that follow from an anchor: the worked examples of the protocol, and what holds for every anchor."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.protocol.protocol import FollowUpPlan
from shared.protocol.schedule import planned_visits

PLAN = FollowUpPlan()
anchors = st.dates(date(2000, 1, 1), date(2080, 1, 1))


def targets(anchor: str) -> list[str]:
    return [visit.target.isoformat() for visit in planned_visits(PLAN, date.fromisoformat(anchor))]


@pytest.mark.parametrize(
    ("anchor", "expected"),
    [
        ("2024-11-30", "2025-02-28 2025-05-30 2025-08-30 2025-11-30 2026-02-28 2026-05-30 2026-08-30 2026-11-30"),
        ("2025-08-31", "2025-11-30 2026-02-28 2026-05-31 2026-08-31 2026-11-30 2027-02-28 2027-05-31 2027-08-31"),
    ],
)
def test_targets_are_counted_from_the_anchor_and_clamped_to_the_month(anchor: str, expected: str) -> None:
    assert targets(anchor) == expected.split()


def test_target_on_february_29_is_clamped_in_other_years() -> None:
    assert (targets("2023-11-30")[0], targets("2023-11-30")[4]) == ("2024-02-29", "2025-02-28")


def test_first_visit_after_a_mid_january_anchor() -> None:
    first, second = planned_visits(PLAN, date(2025, 1, 15))[:2]
    window = [first.opens, first.target, first.closes, first.slot_ends]
    assert [day.isoformat() for day in window] == ["2025-04-01", "2025-04-15", "2025-04-29", "2025-06-30"]
    assert second.opens == date(2025, 7, 1)


@given(anchors)
def test_visit_slots_are_contiguous(anchor: date) -> None:
    plan = planned_visits(PLAN, anchor)
    assert [visit.number for visit in plan] == list(range(1, 9))
    for visit, following in pairwise(plan):
        assert visit.opens <= visit.target <= visit.closes <= visit.slot_ends
        assert following.opens == visit.slot_ends + timedelta(days=1)
    assert plan[-1].closes <= plan[-1].slot_ends


@pytest.mark.parametrize("days", [45, 60, 180])
def test_windows_that_overlap_are_refused(days: int) -> None:
    with pytest.raises(ValidationError, match="overlap"):
        FollowUpPlan.model_validate({"window_days": {"before": days, "after": days}})


@given(anchors, st.integers(0, 44))
def test_the_widest_windows_admitted_never_overlap(anchor: date, days: int) -> None:
    plan = FollowUpPlan.model_validate({"window_days": {"before": days, "after": days}})
    for visit, following in pairwise(planned_visits(plan, anchor)):
        assert visit.closes < following.opens
