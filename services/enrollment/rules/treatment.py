"""The rules of courses and lines: the part of a participant's rules that is about treatment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from shared.contracts.enrollment import LesionRegistered, ProcedurePerformed
from shared.contracts.treatment import (
    CourseEnd,
    DeliveredDose,
    PrescriptionChanged,
    RadiotherapyCompleted,
    RadiotherapyDiscontinued,
    RadiotherapyStarted,
    SystemicTherapyStarted,
    SystemicTherapyStopped,
    Target,
)
from shared.kernel.fact import Fact, StatedFact
from shared.kernel.objection import Objection, ProblemType
from shared.kernel.partial_date import PartialDate
from shared.kernel.record import Record

COURSE_EXISTS = ProblemType(
    "course-exists",
    "The participant has a course with this course_id already. Give another one.",
)
SECOND_INDEX_COURSE = ProblemType(
    "second-index-course",
    "The participant has another index course. Only one course can have index true.",
)
COURSE_ENDED = ProblemType("course-ended", "The course ended before this day. Check both days.")
COURSE_END_ALREADY_STATED = ProblemType(
    "course-ended",
    "The course has an end already. To change it, correct that fact.",
)
LINE_EXISTS = ProblemType("line-exists", "The participant has a line with this line_id already. Give another one.")
LINE_NOT_STARTED = ProblemType(
    "line-not-started",
    "No line with this line_id began on or before this day. Check the line_id and the day.",
)
LINE_STOPPED = ProblemType("line-stopped", "The line has an end already. To change it, correct that fact.")
NO_SUCH_LESION = ProblemType(
    "no-such-lesion",
    "The treatment names a lesion that is not registered. State lesion.registered first.",
)
COURSE_NOT_STARTED = ProblemType(
    "course-not-started",
    "No course with this course_id began on or before this day. Check the course_id and the day.",
)
NO_SUCH_TARGET = ProblemType(
    "no-such-target",
    "The course has no target with this target_id. Give one of its targets.",
)
MORE_FRACTIONS_THAN_PRESCRIBED = ProblemType(
    "more-than-prescribed",
    "More fractions were delivered than prescribed. Check both, or state the changed prescription first.",
)
HIGHER_DOSE_THAN_PRESCRIBED = ProblemType(
    "more-than-prescribed",
    "A higher dose was delivered than prescribed. Check both, or state the changed prescription first.",
)


def check_course_start(record: Record, stated: StatedFact[Fact], course: RadiotherapyStarted) -> Iterator[Objection]:
    for other in record.stated_of(RadiotherapyStarted, except_for=stated):
        if other.fact.course_id == course.course_id:
            yield COURSE_EXISTS.objection(other.event_id, "/course_id")
        if other.fact.index and course.index:
            yield SECOND_INDEX_COURSE.objection(other.event_id, "/index")
    yield from _check_lesions(record, course.targets)


def check_prescription_change(record: Record, changed: PrescriptionChanged) -> Iterator[Objection]:
    yield from _check_started(record, changed.course_id, changed.on)
    for end in _course_ends(record, changed.course_id):
        if end.fact.ended_on.definitely_before(changed.on):
            yield COURSE_ENDED.objection(end.event_id, "/on")
    yield from _check_lesions(record, changed.targets)


def check_course_end(record: Record, stated: StatedFact[Fact], end: CourseEnd) -> Iterator[Objection]:
    yield from _check_started(record, end.course_id, end.ended_on)
    for other in _course_ends(record, end.course_id):
        if other is not stated:
            yield COURSE_END_ALREADY_STATED.objection(other.event_id, "/course_id")
    prescribed_doses = _prescribed_doses(record, end.course_id)
    for index, delivered in enumerate(end.delivered):
        yield from _check_delivered_dose(prescribed_doses, delivered, f"/delivered/{index}")


def check_procedure(record: Record, procedure: ProcedurePerformed) -> Iterator[Objection]:
    if not _all_registered(record, procedure.lesion_ids):
        yield NO_SUCH_LESION.objection(pointer="/lesion_ids")


def check_line_start(record: Record, stated: StatedFact[Fact], line: SystemicTherapyStarted) -> Iterator[Objection]:
    for other in record.stated_of(SystemicTherapyStarted, except_for=stated):
        if other.fact.line_id == line.line_id:
            yield LINE_EXISTS.objection(other.event_id, "/line_id")


def check_line_stop(record: Record, stated: StatedFact[Fact], stop: SystemicTherapyStopped) -> Iterator[Objection]:
    lines = [line for line in record.facts_of(SystemicTherapyStarted) if line.line_id == stop.line_id]
    if not any(not stop.on.definitely_before(line.on) for line in lines):
        yield LINE_NOT_STARTED.objection(pointer="/line_id")
    for other in record.stated_of(SystemicTherapyStopped, except_for=stated):
        if other.fact.line_id == stop.line_id:
            yield LINE_STOPPED.objection(other.event_id, "/line_id")


def _check_lesions(record: Record, targets: tuple[Target, ...]) -> Iterator[Objection]:
    for index, target in enumerate(targets):
        if not _all_registered(record, target.lesion_ids):
            pointer = f"/targets/{index}/lesion_ids"
            yield NO_SUCH_LESION.objection(pointer=pointer)


def _all_registered(record: Record, lesion_ids: Iterable[str]) -> bool:
    return {lesion.lesion_id for lesion in record.facts_of(LesionRegistered)}.issuperset(lesion_ids)


def _check_started(record: Record, course_id: str, day: PartialDate) -> Iterator[Objection]:
    courses = [course for course in record.facts_of(RadiotherapyStarted) if course.course_id == course_id]
    if not any(not day.definitely_before(course.started_on) for course in courses):
        yield COURSE_NOT_STARTED.objection(pointer="/course_id")


def _course_ends(record: Record, course_id: str) -> list[StatedFact[CourseEnd]]:
    ends: list[StatedFact[CourseEnd]] = [
        *record.stated_of(RadiotherapyCompleted),
        *record.stated_of(RadiotherapyDiscontinued),
    ]
    return [end for end in ends if end.fact.course_id == course_id]


def _prescribed_doses(record: Record, course_id: str) -> dict[str, tuple[int, int]]:
    """Returns, by target, the most fractions and the highest dose in cGy of any prescription of the course."""
    highest: dict[str, tuple[int, int]] = {}
    for prescription in (*record.facts_of(RadiotherapyStarted), *record.facts_of(PrescriptionChanged)):
        if prescription.course_id == course_id:
            for target in prescription.targets:
                fractions, dose = highest.get(target.target_id, (0, 0))
                highest[target.target_id] = max(fractions, target.fractions), max(dose, target.total_dose_cgy)
    return highest


def _check_delivered_dose(
    prescribed_doses: dict[str, tuple[int, int]], delivered: DeliveredDose, pointer: str
) -> Iterator[Objection]:
    if not prescribed_doses:  # the course itself is unknown, which is another objection
        return
    if delivered.target_id not in prescribed_doses:
        yield NO_SUCH_TARGET.objection(pointer=f"{pointer}/target_id")
        return
    fractions, dose = prescribed_doses[delivered.target_id]
    if delivered.fractions > fractions:
        yield MORE_FRACTIONS_THAN_PRESCRIBED.objection(pointer=f"{pointer}/fractions")
    if delivered.dose_cgy > dose:
        yield HIGHER_DOSE_THAN_PRESCRIBED.objection(pointer=f"{pointer}/dose_cgy")
