"""Follow-up's gate: checks the lesions, courses and visits that a fact names, and how long a reminder may be snoozed.

Values that a correction leaves unchanged are not checked again: a lesion voided since does not prevent the correction
of something else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from shared.contracts.enrollment import LesionRegistered
from shared.contracts.follow_up import (
    DiseaseProgressed,
    DiseaseStatus,
    FollowUpRecorded,
    ReminderAcknowledged,
    ReminderSnoozed,
    VisitMissed,
    VisitScheduled,
)
from shared.contracts.treatment import RadiotherapyStarted
from shared.gate.participant_gate import ParticipantGate
from shared.gate.planned_visits import check_planned
from shared.kernel.fact import Fact
from shared.kernel.objection import Objection, ProblemType
from shared.kernel.record import Record

NO_SUCH_LESION = ProblemType(
    "no-such-lesion",
    "No lesion with this id is registered. Check the id, or state lesion.registered first.",
)
NO_SUCH_COURSE = ProblemType(
    "no-such-course",
    "No course with this id has started. Check the id, or state radiotherapy.started first.",
)
SNOOZE_IN_THE_PAST = ProblemType("snooze-in-the-past", "This day is over at the site. Give today or a later day.")
SNOOZE_TOO_LONG = ProblemType(
    "snooze-too-long",
    "A reminder can be snoozed for at most 14 days. Give an earlier day.",
)

MAX_SNOOZE = timedelta(days=14)
ReminderFact = ReminderSnoozed | ReminderAcknowledged
VisitFact = FollowUpRecorded | VisitMissed | VisitScheduled | ReminderSnoozed | ReminderAcknowledged


@dataclass(frozen=True)
class FollowUpGate(ParticipantGate):
    enrollment_record: Record = field(kw_only=True)

    def service_checks(self, record: Record, fact: Fact, content: Fact) -> Iterator[Objection]:
        content_before = self.fact_before_correction(fact)
        yield from self._check_lesions(content, content_before)
        if isinstance(content, VisitFact):
            yield from check_planned(self.study, content, content_before)
            yield from self._check_course(content, content_before)
        if isinstance(content, ReminderFact):
            yield from self._check_snooze(content, content_before)

    def _check_lesions(self, content: Fact, content_before: Fact | None) -> Iterator[Objection]:
        registered = {lesion.lesion_id for lesion in self.enrollment_record.facts_of(LesionRegistered)}
        for pointer, lesion_id in _named_lesions(content).items():
            if lesion_id not in registered and lesion_id not in _named_lesions(content_before).values():
                yield NO_SUCH_LESION.objection(pointer=pointer, may_arrive_later=True)

    def _check_course(self, content: VisitFact, content_before: Fact | None) -> Iterator[Objection]:
        if content.course_id is None or (
            isinstance(content_before, VisitFact) and content_before.course_id == content.course_id
        ):
            return
        if not any(
            course.course_id == content.course_id for course in self.enrollment_record.facts_of(RadiotherapyStarted)
        ):
            yield NO_SUCH_COURSE.objection(pointer="/course_id", may_arrive_later=True)

    def _check_snooze(self, reminder: ReminderFact, content_before: Fact | None) -> Iterator[Objection]:
        if reminder.until is None or (
            isinstance(content_before, ReminderFact) and content_before.until == reminder.until
        ):
            return
        if reminder.until < self.today:
            yield SNOOZE_IN_THE_PAST.objection(pointer="/until")
        if reminder.until > self.today + MAX_SNOOZE:
            yield SNOOZE_TOO_LONG.objection(pointer="/until")


def _named_lesions(fact: Fact | None) -> dict[str, str]:
    """Returns the ids of the lesions that a fact names, by JSON pointer."""
    match fact:
        case DiseaseProgressed(lesion_id=str() as lesion):
            return {"/lesion_id": lesion}
        case FollowUpRecorded(disease=DiseaseStatus(lesions=statuses)):
            return {f"/disease/lesions/{index}/lesion_id": status.lesion_id for index, status in enumerate(statuses)}
    return {}
