"""The anchor of a participant's visits, from plain dates.

The anchor is the day from which the visits of a participant are counted: the last fraction of a course.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from shared.protocol.protocol import FollowUpPlan


@dataclass(frozen=True, slots=True)
class CourseDates:
    """A course that has started. `ended_on` is the day of its last fraction; None while it continues."""

    course_id: str
    is_index: bool
    ended_on: date | None


@dataclass(frozen=True, slots=True)
class Anchor:
    """The course that visits are counted from, and the day of its last fraction."""

    course_id: str
    day: date


def find_anchor(plan: FollowUpPlan, courses: Sequence[CourseDates], course_id: str | None = None) -> Anchor | None:
    """Returns the anchor of a visit: the end of the index course, or of `course_id` where each course has a schedule.

    Returns None before that course has ended, and for a participant without either course.
    """
    own = [course for course in courses if plan.anchor_policy == "per_course" and course.course_id == course_id]
    index = [course for course in courses if course.is_index]
    course = next(iter([*own, *index]), None)
    return Anchor(course.course_id, course.ended_on) if course and course.ended_on else None
