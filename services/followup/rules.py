"""The rules of follow-up, each fact in the light of the others.

Little is impossible here. A missed visit that took place, or a participant lost and found again, is recorded and raises
a data query.
"""

from __future__ import annotations

from collections.abc import Iterator

from shared.contracts.follow_up import DiseaseProgressed, FollowUpRecorded, ParticipantDied, VitalStatusConfirmed
from shared.kernel.fact import Fact, StatedFact
from shared.kernel.objection import Objection, ProblemType
from shared.kernel.partial_date import PartialDate
from shared.kernel.record import Record

LESION_NEEDED = ProblemType("lesion-needed", "Local progression is the progression of a lesion. Give its lesion_id.")
DEATH_ALREADY_STATED = ProblemType(
    "stated-twice",
    "The participant's death is recorded already. To change it, correct that fact.",
)
AFTER_DEATH = ProblemType("after-death", "The participant died before this day. Check this day and the day of death.")


def objections(record: Record, stated: StatedFact[Fact]) -> Iterator[Objection]:
    match stated.fact:
        case FollowUpRecorded(seen_on=day):
            yield from _check_not_after_death(record, day, "/seen_on")
        case VitalStatusConfirmed(alive_on=day):
            yield from _check_not_after_death(record, day, "/alive_on")
        case DiseaseProgressed(kind="local", lesion_id=None):
            yield LESION_NEEDED.objection(pointer="/lesion_id")
        case ParticipantDied():
            for other in record.stated_of(ParticipantDied, except_for=stated):
                yield DEATH_ALREADY_STATED.objection(other.event_id)


def _check_not_after_death(record: Record, day: PartialDate, pointer: str) -> Iterator[Objection]:
    """Objects to a contact that must be after a death, whichever of the two facts was stated first."""
    for death in record.stated_of(ParticipantDied):
        if death.fact.died_on and death.fact.died_on.definitely_before(day):
            yield AFTER_DEATH.objection(death.event_id, pointer)
