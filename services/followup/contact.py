"""What may be stated of how a participant fares after treatment, each fact in the light of the others.

Little is impossible here. A missed visit that took place, or who is lost and found again, is recorded, and questioned.
"""

from __future__ import annotations

from collections.abc import Iterator

from shared.contracts.followup import Died, FollowUpRecorded, Progressed, VitalStatusConfirmed
from shared.kernel.dates import PartialDate
from shared.kernel.fact import Fact, Stated
from shared.kernel.record import Objection, Record


def objections(record: Record, stated: Stated[Fact]) -> Iterator[Objection]:
    match stated.fact:
        case FollowUpRecorded(seen_on=on):
            yield from _after_death(record, on, "/seen_on")
        case VitalStatusConfirmed(alive_on=on):
            yield from _after_death(record, on, "/alive_on")
        case Progressed(kind="local", lesion_id=None):
            message = "Local progression is the progression of a lesion. Give its lesion_id."
            yield Objection("lesion-needed", message, member="/lesion_id")
        case Died():
            for other in record.all(Died, but=stated):
                message = "The participant's death is recorded already. To change it, correct that fact."
                yield Objection("stated-twice", message, other.event_id)


def _after_death(record: Record, on: PartialDate, member: str) -> Iterator[Objection]:
    """Raised against the contact, whichever of the two was stated first."""
    for death in record.all(Died):
        if death.fact.died_on and death.fact.died_on.surely_before(on):
            message = "The participant died before this day. Check this day and the day of death."
            yield Objection("after-death", message, death.event_id, member)
