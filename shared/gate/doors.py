"""What every fact of a participant is asked once, when it is stated: doors that the study, the site or the participant
has closed, and days that have not come. Pure.

Voids pass: taking back what was said is never refused for the state of the world. A correction is asked what it
changes: an accrual that was closed, or a protocol that was amended for that day since, does not stand in the way of
mending the rest. Days that cannot be are refused whatever stood before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

from shared.contracts.enrollment import Consented, Screened, Transferred, Voided, Withdrawn
from shared.contracts.followup import Died, VitalStatusConfirmed
from shared.gate import values
from shared.gate.study import after_closing, is_closed
from shared.kernel.dates import PartialDate
from shared.kernel.fact import Corrected, Fact, Stated, content
from shared.kernel.record import Objection, Record


@dataclass(frozen=True)
class Surroundings:
    """What a participant's facts are judged by besides each other: the study, and the present site and its today.

    `participant` are enrollment's facts, in a service that has them from elsewhere; None where they are the record
    itself. `earlier` gives the record as it stands before what is stated now. A service adds in `own` what it asks.
    """

    study: Record
    today: date
    site_id: str
    participant: Record | None = field(default=None, kw_only=True)
    earlier: Callable[[], Record] = field(default=Record, kw_only=True)

    def gate(self, record: Record, stated: Stated[Fact]) -> Iterator[Objection]:
        fact, said = stated.fact, content(stated.fact)
        known = record if self.participant is None else self.participant
        if not isinstance(fact, Corrected):
            yield from _voided(known, fact)
        if isinstance(said, Corrected):
            return
        within = "/replacement/data" if isinstance(fact, Corrected) else ""
        for objection in self._objections(record, known, fact, said):
            yield objection.within(within)

    def _objections(self, record: Record, known: Record, fact: Fact, said: Fact) -> Iterator[Objection]:
        yield from values.objections(said, lambda: self._before.stated)
        yield from _in_the_future(said, self.today)
        if self.participant is not None:
            yield from _not_screened(self.participant)
            yield from before_birth(self.participant, said)
        if said.happened_on and not isinstance(fact, Corrected):
            yield from self._closed_doors(said, said.happened_on)
        stood = self.stood(fact)
        behind = {(each.code, each.because_of) for each in self.doors(known, stood)} if stood else set()
        yield from (each for each in self.doors(known, said) if (each.code, each.because_of) not in behind)
        raised = list(self.own(record, fact, stood)) if stood and stood.happened_on == said.happened_on else []
        for objection in self.own(record, fact, said):
            if not any(_same(objection, each) and _left(each.member, stood, said) for each in raised):
                yield objection

    def doors(self, known: Record, said: Fact) -> Iterator[Objection]:
        """What is closed for a later day. A correction carries no fact through such a door; one behind it may stay."""
        yield from _after_withdrawal(known, said)

    def own(self, record: Record, fact: Fact, said: Fact) -> Iterator[Objection]:
        """What this service asks of `said`, which `fact` states or restates, or which stood before `fact` restates it.

        Pointers are within `said`. An objection to a correction is dropped where the fact raised the same as it stood,
        on the same day and with the same member at fault.
        """
        yield from ()

    @cached_property
    def _before(self) -> Record:
        return self.earlier()

    def stood(self, fact: Fact) -> Fact | None:
        """What a correction restates, as it stood before; None for a new fact, and for one that was void."""
        if not isinstance(fact, Corrected):
            return None
        return next((stated.fact for stated in self._before.stated if stated.event_id == fact.event_id), None)

    def _closed_doors(self, said: Fact, when: PartialDate) -> Iterator[Objection]:
        yield from after_closing(self.study, when, said.dated_by)
        if is_closed(self.study, self.site_id, when) and not isinstance(said, Screened | Transferred):
            yield Objection(
                "site-closed",
                "The site was closed before this day. Check the day.",
                member=f"/{said.dated_by}",
            )


def _after_withdrawal(known: Record, said: Fact) -> Iterator[Objection]:
    """A withdrawal closes the door to what is dated later; it neither judges nor freezes what is there."""
    on = said.happened_on
    if not on or stays_open(known, said):
        return
    for withdrawal in known.all(Withdrawn):
        if withdrawal.fact.withdrawn_on.surely_before(on):
            message = "The participant withdrew consent before this day. Later facts are not accepted. Check the day."
            yield Objection("after-withdrawal", message, withdrawal.event_id, f"/{said.dated_by}")


def _same(one: Objection, other: Objection) -> bool:
    """In its words as well: they name what a protocol of another day may want."""
    return one == other and one.message == other.message


def _left(member: str, stood: Fact | None, said: Fact) -> bool:
    name = member[1:].partition("/")[0]
    return bool(getattr(stood, name, stood) == getattr(said, name, said))


def stays_open(known: Record, said: Fact) -> bool:
    """May this be stated of who has withdrawn, whenever it is dated? Registries are asked only with consent."""
    match said:
        case Withdrawn() | Died():
            return True
        case VitalStatusConfirmed(source="registry"):
            last = max(known.facts(Consented), key=lambda consent: consent.signed_on.latest, default=None)
            return last is not None and last.options.registry
    return False


def before_birth(known: Record, fact: Fact) -> Iterator[Objection]:
    for screening in known.all(Screened):
        if fact.first_year >= screening.fact.birth_year:
            continue
        for member, when in fact.dates:
            if when.latest.year < screening.fact.birth_year:
                yield Objection(
                    "before-birth",
                    "This date is before the participant's year of birth. Check both.",
                    screening.event_id,
                    member,
                )


def _not_screened(known: Record) -> Iterator[Objection]:
    if not known.all(Screened):
        yield Objection(
            "no-such-participant", "No participant with this number was screened. Check the number.", not_known=True
        )


def _voided(known: Record, fact: Fact) -> Iterator[Objection]:
    for voided in known.all(Voided):
        if voided.fact is not fact:
            message = "The participant's record is void. It takes no new facts; its facts can be corrected."
            yield Objection("participant-voided", message, voided.event_id)


def _in_the_future(said: Fact, today: date) -> Iterator[Objection]:
    for member, when in said.dates:
        if when.earliest > today:
            yield Objection("in-the-future", "This date is in the future at the site. Check the date.", member=member)
