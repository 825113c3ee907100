"""Anchors of visits by each policy."""

from __future__ import annotations

from datetime import date

import pytest

from shared.protocol.anchors import Anchor, CourseDates, find_anchor
from shared.protocol.protocol import FollowUpPlan

INDEX_END, SECOND_END = date(2024, 2, 29), date(2024, 9, 30)
COURSES = [CourseDates("C1", True, INDEX_END), CourseDates("C2", False, SECOND_END), CourseDates("C3", False, None)]
INDEX, LATEST, PER_COURSE = (
    FollowUpPlan.model_validate({"anchor_policy": policy}) for policy in ("index", "latest", "per_course")
)


@pytest.mark.parametrize("plan", [INDEX, LATEST, PER_COURSE], ids=lambda plan: plan.anchor_policy)
def test_visit_without_a_course_is_counted_from_the_end_of_the_index_course(plan: FollowUpPlan) -> None:
    assert find_anchor(plan, COURSES) == Anchor("C1", INDEX_END)


def test_named_course_anchors_visits_only_in_a_plan_with_a_schedule_per_course() -> None:
    assert find_anchor(PER_COURSE, COURSES, "C2") == Anchor("C2", SECOND_END)
    assert find_anchor(INDEX, COURSES, "C2") == Anchor("C1", INDEX_END)
    assert find_anchor(PER_COURSE, COURSES, "unknown") == Anchor("C1", INDEX_END)


def test_continuing_course_anchors_no_visit() -> None:
    assert find_anchor(PER_COURSE, COURSES, "C3") is None
    assert find_anchor(INDEX, [CourseDates("C1", True, None)]) is None
    assert find_anchor(INDEX, COURSES[1:]) is None
