"""What may be stated of courses and lines: the part of a participant's rules that is about treatment."""

from __future__ import annotations

from collections.abc import Iterator

from shared.contracts.enrollment import LesionRegistered
from shared.contracts.treatment import (
    Delivered,
    PrescriptionChanged,
    RadiotherapyCompleted,
    RadiotherapyDiscontinued,
    RadiotherapyStarted,
    SystemicTherapyStarted,
    SystemicTherapyStopped,
    Target,
)
from shared.kernel.dates import PartialDate
from shared.kernel.fact import Fact, Stated
from shared.kernel.record import Objection, Record

CourseEnd = RadiotherapyCompleted | RadiotherapyDiscontinued


def started(record: Record, stated: Stated[Fact], course: RadiotherapyStarted) -> Iterator[Objection]:
    for other in record.all(RadiotherapyStarted, but=stated):
        if other.fact.course_id == course.course_id:
            message = "The participant has a course with this course_id already. Give another one."
            yield Objection("course-exists", message, other.event_id, "/course_id")
        if other.fact.index and course.index:
            message = "The participant has another index course. Only one course can have index true."
            yield Objection("second-index-course", message, other.event_id, "/index")
    yield from _unknown_lesions(record, course.targets)


def prescription_changed(record: Record, changed: PrescriptionChanged) -> Iterator[Objection]:
    yield from _not_started(record, changed.course_id, changed.on)
    for end in _ends(record, changed.course_id):
        if end.fact.ended_on.surely_before(changed.on):
            message = "The course ended before this day. Check both days."
            yield Objection("course-ended", message, end.event_id, "/on")
    yield from _unknown_lesions(record, changed.targets)


def ended(record: Record, stated: Stated[Fact], end: CourseEnd) -> Iterator[Objection]:
    yield from _not_started(record, end.course_id, end.ended_on)
    for other in _ends(record, end.course_id):
        if other is not stated:
            message = "The course has an end already. To change it, correct that fact."
            yield Objection("course-ended", message, other.event_id, "/course_id")
    prescribed = _prescribed(record, end.course_id)
    for place, delivered in enumerate(end.delivered):
        yield from _more_than_prescribed(prescribed, delivered, f"/delivered/{place}")


def line_started(record: Record, stated: Stated[Fact], line: SystemicTherapyStarted) -> Iterator[Objection]:
    for other in record.all(SystemicTherapyStarted, but=stated):
        if other.fact.line_id == line.line_id:
            message = "The participant has a line with this line_id already. Give another one."
            yield Objection("line-exists", message, other.event_id, "/line_id")


def line_stopped(record: Record, stated: Stated[Fact], stop: SystemicTherapyStopped) -> Iterator[Objection]:
    lines = [line for line in record.facts(SystemicTherapyStarted) if line.line_id == stop.line_id]
    if not any(not stop.on.surely_before(line.on) for line in lines):
        message = "No line with this line_id began on or before this day. Check the line_id and the day."
        yield Objection("line-not-started", message, member="/line_id")
    for other in record.all(SystemicTherapyStopped, but=stated):
        if other.fact.line_id == stop.line_id:
            message = "The line has an end already. To change it, correct that fact."
            yield Objection("line-stopped", message, other.event_id, "/line_id")


def _unknown_lesions(record: Record, targets: tuple[Target, ...]) -> Iterator[Objection]:
    known = {lesion.lesion_id for lesion in record.facts(LesionRegistered)}
    for place, target in enumerate(targets):
        if set(target.lesion_ids) - known:
            member = f"/targets/{place}/lesion_ids"
            message = "The target names a lesion that is not registered. State lesion.registered first."
            yield Objection("no-such-lesion", message, member=member)


def _not_started(record: Record, course_id: str, when: PartialDate) -> Iterator[Objection]:
    courses = [course for course in record.facts(RadiotherapyStarted) if course.course_id == course_id]
    if not any(not when.surely_before(course.started_on) for course in courses):
        message = "No course with this course_id began on or before this day. Check the course_id and the day."
        yield Objection("course-not-started", message, member="/course_id")


def _ends(record: Record, course_id: str) -> list[Stated[CourseEnd]]:
    ends: list[Stated[CourseEnd]] = [*record.all(RadiotherapyCompleted), *record.all(RadiotherapyDiscontinued)]
    return [end for end in ends if end.fact.course_id == course_id]


def _prescribed(record: Record, course_id: str) -> dict[str, tuple[int, int]]:
    """By target: the most fractions and the highest dose (cGy) that any prescription of the course gives."""
    most: dict[str, tuple[int, int]] = {}
    for prescription in (*record.facts(RadiotherapyStarted), *record.facts(PrescriptionChanged)):
        if prescription.course_id == course_id:
            for target in prescription.targets:
                fractions, dose = most.get(target.target_id, (0, 0))
                most[target.target_id] = max(fractions, target.fractions), max(dose, target.total_dose_cgy)
    return most


def _more_than_prescribed(
    prescribed: dict[str, tuple[int, int]], delivered: Delivered, member: str
) -> Iterator[Objection]:
    if not prescribed:  # then the course itself is not known, and that is said
        return
    if delivered.target_id not in prescribed:
        message = "The course has no target with this target_id. Give one of its targets."
        yield Objection("no-such-target", message, member=f"{member}/target_id")
        return
    fractions, dose = prescribed[delivered.target_id]
    if delivered.fractions > fractions:
        message = "More fractions were delivered than prescribed. Check both, or state the changed prescription first."
        yield Objection("more-than-prescribed", message, member=f"{member}/fractions")
    if delivered.dose_cgy > dose:
        message = "A higher dose was delivered than prescribed. Check both, or state the changed prescription first."
        yield Objection("more-than-prescribed", message, member=f"{member}/dose_cgy")
