"""Anchors of visits and the end of follow-up, from plain dates. Pure; the one definition of both.

The anchor is the day from which the visits of a participant are counted: the last fraction of a course.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from shared.protocol.protocol import FollowUpPlan


@dataclass(frozen=True, slots=True)
class CourseDates:
    """A course that has started, and the day of its last fraction; None while it goes on."""

    course_id: str
    is_index: bool
    ended_on: date | None


@dataclass(frozen=True, slots=True)
class Anchor:
    """The course whose visits are counted, and the day from which they are counted."""

    course_id: str
    day: date


def find_anchor(plan: FollowUpPlan, courses: Sequence[CourseDates], course_id: str | None = None) -> Anchor | None:
    """The anchor of a visit: the end of the index course, or of the named course in a plan with a schedule per course.

    None until that course has ended, and for a participant without an index course.
    """
    named = [course for course in courses if plan.anchor_policy == "per_course" and course.course_id == course_id]
    index = [course for course in courses if course.is_index]
    course = next(iter([*named, *index]), None)
    return Anchor(course.course_id, course.ended_on) if course and course.ended_on else None


def anchor_may_move(plan: FollowUpPlan, ended_courses: int) -> bool:
    """Does the plan move visits to the end of a later course, so that the index course alone does not fix them?"""
    return plan.anchor_policy == "latest" and ended_courses > 1


def end_of_follow_up(
    *,
    deaths: Iterable[date | None],
    withdrawals: Iterable[date],
    lost_on: date | None,
    study_closed_on: date | None,
) -> date:
    """The day on which no further visit is due: of death, withdrawal of consent, loss or the end of the study.

    The earliest of them; `date.min` for a death without a date, and `date.max` while follow-up goes on.
    """
    ends = [*(died_on or date.min for died_on in deaths), *withdrawals, lost_on or date.max]
    return min([*ends, study_closed_on or date.max])
