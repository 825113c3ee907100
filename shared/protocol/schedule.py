"""Planned visits of a participant from anchors and plans: the one definition of target day, window and slot.

A schedule is a run of visits that are counted from the ends of courses. Target days are counted from the anchor, never
from the previous visit: adding months repeatedly shifts the day. Each visit goes by the plan in force on its target
day, whatever day it is today, so an amendment changes no visit whose target lies before it. Pure.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property, lru_cache
from itertools import pairwise

from shared.protocol.anchors import CourseDates
from shared.protocol.protocol import FollowUpPlan, VisitWindow

INDEX_SCHEDULE = "index"
"""The name of the schedule that is counted from the index course. Other schedules have the id of their course."""
_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True)
class PlanPeriod:
    """A follow-up plan and the days on which it is in force, both inclusive."""

    plan: FollowUpPlan
    first_day: date = date.min
    last_day: date = date.max

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        """The hash, computed once: it is needed for every participant, and a plan has many members."""
        return hash((self.plan, self.first_day, self.last_day))


@dataclass(frozen=True, slots=True)
class Visit:
    """A planned visit. Its window is `opens` to `closes`, its slot `opens` to `slot_ends`; all ends are inclusive."""

    number: int
    opens: date
    target: date
    closes: date
    slot_ends: date


@dataclass(frozen=True, slots=True)
class Schedule:
    """The visits of a participant as they are counted on the days from `valid_from` to `valid_to`, both inclusive.

    `name`: `index`, or the id of the course in a study with a schedule per course. `anchor`: the day of the last
    fraction from which the visits that had not opened by then are counted. `course_id`: the course that it ended.
    """

    name: str
    course_id: str
    anchor: date
    valid_from: date
    valid_to: date
    visits: tuple[Visit, ...]


@dataclass(frozen=True, slots=True)
class _PlannedTarget:
    """A target day with the plan in force on it. `next_day`: one interval later, counted from the same anchor."""

    number: int
    day: date
    next_day: date
    plan: FollowUpPlan

    @property
    def window(self) -> VisitWindow:
        return _window(self.plan, self.number)

    @property
    def opens(self) -> date:
        return self.day - timedelta(days=self.window.before)

    @property
    def next_opens(self) -> date:
        """The day on which the next visit would open, if the schedule continued under the same plan."""
        return self.next_day - timedelta(days=_window(self.plan, self.number + 1).before)


def add_months(day: date, months: int) -> date:
    """Returns the same day of a later month, or the last day of that month if it is shorter."""
    years, month = divmod(day.month - 1 + months, 12)
    year, month = day.year + years, month + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))


def one_visit_before(plan: FollowUpPlan, day: date) -> date:
    """Returns the day that is one visit interval and its longest window before another.

    A participant who lives and is seen as planned has a proof of life since then.
    """
    return add_months(day, -plan.every_months) - timedelta(days=max(window.after for window in plan.windows))


@lru_cache(maxsize=4096)
def _visits_from(plans: tuple[PlanPeriod, ...], anchor: date) -> tuple[Visit, ...]:
    """Computes `planned_visits`. Many participants of a study share an anchor, and several rules ask for each."""
    return _visits(list(_targets(plans, anchor, 0)))


def planned_visits(plans: Sequence[PlanPeriod], anchor: date) -> tuple[Visit, ...]:
    """Returns every visit that is counted from the anchor alone, by number.

    The plan in force on its target day decides whether a visit exists, so numbers may be missing. Slots of
    an unbroken run of numbers follow each other without gaps. The last one ends on the day before a further visit would
    open.
    """
    return _visits_from(tuple(plans), anchor)


def schedules(plans: Sequence[PlanPeriod], courses: Sequence[CourseDates]) -> tuple[Schedule, ...]:
    """Returns the schedules of a participant by the anchor policy of the plans, which is that of the first.

    `index`: one schedule. `latest`: one for each day on which visits began to be counted from a later course; on any
    day one of them is valid. `per_course`: one for each course that has ended. Without an index course that has ended
    there is none but those of other courses in a study with a schedule per course.
    """
    index = next((course for course in courses if course.is_index), None)
    policy = plans[0].plan.anchor_policy
    if policy == "per_course":
        ended = [(course.course_id, course.ended_on) for course in courses if course.ended_on]
        return tuple(_from_anchor(plans, course_id, course_id, day) for course_id, day in ended)
    if index is None or index.ended_on is None:
        return ()
    if policy == "index":
        return (_from_anchor(plans, INDEX_SCHEDULE, index.course_id, index.ended_on),)
    later_anchors = {
        course.ended_on: course.course_id
        for course in sorted(courses, key=lambda course: course.course_id, reverse=True)
        if course.ended_on and course.ended_on > index.ended_on
    }
    return tuple(_versions(plans, [(index.ended_on, index.course_id), *sorted(later_anchors.items())]))


def _from_anchor(plans: Sequence[PlanPeriod], name: str, course_id: str, anchor: date) -> Schedule:
    return Schedule(name, course_id, anchor, anchor, date.max, planned_visits(plans, anchor))


def _versions(plans: Sequence[PlanPeriod], anchors: Sequence[tuple[date, str]]) -> Iterator[Schedule]:
    """Yields a schedule for each anchor, in their order; visits that had opened by its day keep their targets.

    `anchors`: the days of last fractions with their courses.
    """
    targets: list[_PlannedTarget] = []
    for (anchor, course_id), (next_anchor, _) in pairwise([*anchors, (date.max, "")]):
        unchanged = [target for target in targets if target.opens <= anchor]
        targets = [*unchanged, *_targets(plans, anchor, unchanged[-1].number if unchanged else 0)]
        last_day = next_anchor if next_anchor == date.max else next_anchor - _ONE_DAY
        yield Schedule(INDEX_SCHEDULE, course_id, anchor, anchor, last_day, _visits(targets))


def _targets(plans: Sequence[PlanPeriod], anchor: date, counted_from: int) -> Iterator[_PlannedTarget]:
    """Yields the targets of the visits after number `counted_from`, by number.

    The time between targets is that of the first plan: no amendment changes it, or numbers would change their meaning.
    """
    every_months = plans[0].plan.every_months
    most_visits = max(len(period.plan.windows) for period in plans)
    for number in range(counted_from + 1, most_visits + 1):
        day = add_months(anchor, every_months * (number - counted_from))
        plan = next(period.plan for period in plans if period.first_day <= day <= period.last_day)
        if number <= len(plan.windows):
            next_day = add_months(anchor, every_months * (number + 1 - counted_from))
            yield _PlannedTarget(number, day, next_day, plan)


def _visits(targets: Sequence[_PlannedTarget]) -> tuple[Visit, ...]:
    following: list[_PlannedTarget | None] = [*targets[1:], None]
    return tuple(
        Visit(
            number=target.number,
            opens=target.opens,
            target=target.day,
            closes=target.day + timedelta(days=target.window.after),
            slot_ends=_slot_limit(target, next_target) - _ONE_DAY,
        )
        for target, next_target in zip(targets, following, strict=True)
    )


def _slot_limit(target: _PlannedTarget, following: _PlannedTarget | None) -> date:
    """Returns the first day after the slot."""
    if following and following.number == target.number + 1:
        return following.opens
    return target.next_opens


def _window(plan: FollowUpPlan, number: int) -> VisitWindow:
    """Returns the window of a visit; that of the last visit for one beyond the plan."""
    return plan.windows[min(number, len(plan.windows)) - 1]
