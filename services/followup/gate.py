"""What follow-up asks once, when a fact is stated: the lesions and courses that it names, the visits of the protocol,
and how long a reminder may be put off.

What a correction leaves as it was is not asked again: a lesion that was voided since does not stand in the way of
mending the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from shared.contracts.enrollment import LesionRegistered
from shared.contracts.followup import (
    DiseaseSeen,
    FollowUpRecorded,
    Progressed,
    ReminderAcknowledged,
    ReminderSnoozed,
    VisitMissed,
)
from shared.contracts.treatment import RadiotherapyStarted
from shared.gate.doors import Surroundings
from shared.kernel.fact import Fact
from shared.kernel.record import Objection, Record

LONGEST_SNOOZE = timedelta(days=14)
OfReminder = ReminderSnoozed | ReminderAcknowledged
OfVisit = FollowUpRecorded | VisitMissed | ReminderSnoozed | ReminderAcknowledged


@dataclass(frozen=True)
class World(Surroundings):
    participant: Record = field(kw_only=True)

    def own(self, record: Record, fact: Fact, said: Fact) -> Iterator[Objection]:
        before = self.stood(fact)
        yield from self._lesions(said, before)
        if isinstance(said, OfVisit):
            yield from self._course(said, before)
        if isinstance(said, OfReminder):
            yield from self._until(said, before)

    def _lesions(self, said: Fact, before: Fact | None) -> Iterator[Objection]:
        registered = {lesion.lesion_id for lesion in self.participant.facts(LesionRegistered)}
        for member, lesion in _named_lesions(said).items():
            if lesion not in registered and lesion not in _named_lesions(before).values():
                message = "No lesion with this id is registered. Check the id, or state lesion.registered first."
                yield Objection("no-such-lesion", message, member=member, not_known=True)

    def _course(self, said: OfVisit, before: Fact | None) -> Iterator[Objection]:
        if said.course_id is None or (isinstance(before, OfVisit) and before.course_id == said.course_id):
            return
        if not any(course.course_id == said.course_id for course in self.participant.facts(RadiotherapyStarted)):
            message = "No course with this id has started. Check the id, or state radiotherapy.started first."
            yield Objection("no-such-course", message, member="/course_id", not_known=True)

    def _until(self, said: OfReminder, before: Fact | None) -> Iterator[Objection]:
        if said.until is None or (isinstance(before, OfReminder) and before.until == said.until):
            return
        if said.until < self.today:
            yield Objection(
                "snooze-in-the-past", "This day is over at the site. Give today or a later day.", member="/until"
            )
        if said.until > self.today + LONGEST_SNOOZE:
            message = "A reminder can be snoozed for at most 14 days. Give an earlier day."
            yield Objection("snooze-too-long", message, member="/until")


def _named_lesions(fact: Fact | None) -> dict[str, str]:
    """Every lesion that a fact names, by its JSON pointer."""
    match fact:
        case Progressed(lesion_id=str() as lesion):
            return {"/lesion_id": lesion}
        case FollowUpRecorded(disease=DiseaseSeen(lesions=seen)):
            return {f"/disease/lesions/{place}/lesion_id": each.lesion_id for place, each in enumerate(seen)}
    return {}
