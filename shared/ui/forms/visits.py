"""Visits that forms offer with their dates, as far as the facts that a service knows fix them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from shared.contracts.follow_up import FollowUpRecorded, VisitMissed
from shared.contracts.treatment import CourseEnd, RadiotherapyCompleted, RadiotherapyDiscontinued, RadiotherapyStarted
from shared.gate.study_timeline import follow_up_plans
from shared.kernel.partial_date import PartialDate
from shared.kernel.record import Record
from shared.protocol.anchors import CourseDates
from shared.protocol.schedule import INDEX_SCHEDULE, Visit, schedules


@dataclass(frozen=True, slots=True)
class ParticipantVisits:
    """The visits of one schedule of a participant, and which of them have a contact or were declared missed."""

    visits: Sequence[Visit]
    contacts: Sequence[PartialDate]
    declared: frozenset[int]

    def open_on(self, today: date) -> Iterator[Visit]:
        """Yields the visits that have opened, and have neither a contact nor a declaration."""
        return (visit for visit in self.visits if visit.opens <= today and not self._is_settled(visit))

    def coming_on(self, today: date) -> Iterator[Visit]:
        """Yields the visits that are not over on a day, and have neither a contact nor a declaration."""
        return (visit for visit in self.visits if visit.slot_ends >= today and not self._is_settled(visit))

    def _is_settled(self, visit: Visit) -> bool:
        return visit.number in self.declared or any(
            visit.opens <= contact.earliest and contact.latest <= visit.slot_ends for contact in self.contacts
        )


def find_visits(study: Record, enrollment: Record, own: Record, course_id: str, today: date) -> ParticipantVisits:
    """Returns the visits that are counted today, of the course in a study with a schedule per course.

    No visits while the day of a course's last fraction is not known exactly: only analytics imputes days.
    """
    plans, courses = follow_up_plans(study), course_dates(enrollment)
    if not plans or courses is None:
        return ParticipantVisits((), (), frozenset())
    names = {course_id} if plans[0].plan.anchor_policy == "per_course" else {INDEX_SCHEDULE}
    visits = [
        visit
        for schedule in schedules(plans, courses)
        if schedule.name in names and schedule.valid_from <= max(today, schedule.anchor) <= schedule.valid_to
        for visit in schedule.visits
    ]
    declared = {fact.visit for fact in own.facts_of(VisitMissed) if (fact.course_id or "") in ("", course_id)}
    contacts = [fact.seen_on for fact in own.facts_of(FollowUpRecorded) if fact.mode != "registry"]
    return ParticipantVisits(visits, contacts, frozenset(declared))


def list_stopped_visits(study: Record, enrollment: Record, day: date) -> Sequence[Visit]:
    """Returns the planned visits of a participant that a closure on a day stops, of all schedules.

    A visit whose window closed before that day stays expected, also while it may still be held.
    """
    courses = [course.course_id for course in enrollment.facts_of(RadiotherapyStarted)]
    plans = follow_up_plans(study)
    names = courses if plans and plans[0].plan.anchor_policy == "per_course" else [""]
    visits = [visit for name in names for visit in find_visits(study, enrollment, Record(), name, day).visits]
    return [visit for visit in visits if visit.closes >= day]


def course_dates(enrollment: Record) -> list[CourseDates] | None:
    """Returns the courses with the days of their last fractions; None if one of these is not known exactly."""
    kinds: tuple[type[CourseEnd], ...] = (RadiotherapyCompleted, RadiotherapyDiscontinued)
    ends = {end.course_id: end.ended_on for kind in kinds for end in enrollment.facts_of(kind)}
    if not all(end.is_exact for end in ends.values()):
        return None
    return [
        CourseDates(
            course.course_id,
            is_index=course.index,
            ended_on=ends[course.course_id].latest if course.course_id in ends else None,
        )
        for course in enrollment.facts_of(RadiotherapyStarted)
    ]


def describe_visit(visit: Visit) -> str:
    """Returns a visit in words, with its target and its window."""
    return f"Visit {visit.number}: {visit.target}, window {visit.opens} to {visit.closes}"
