"""The participants of a study as their facts stand at one position: what every figure is computed from. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

from services.analytics import days
from services.analytics.days import imputed, needs_life
from shared.contracts.enrollment import Enrolled, LesionRegistered, Screened, Transferred, Voided, Withdrawn
from shared.contracts.event import Event
from shared.contracts.followup import Died, FollowUpResumed, Lost
from shared.contracts.study import Opened
from shared.contracts.treatment import (
    PrescriptionChanged,
    RadiotherapyCompleted,
    RadiotherapyDiscontinued,
    RadiotherapyStarted,
    Target,
)
from shared.gate.study import plan_on
from shared.kernel.fact import F, Fact
from shared.kernel.record import Record
from shared.protocol.protocol import Protocol

STAYING: tuple[type[Fact], ...] = (Withdrawn, Died)
CourseEnd = RadiotherapyCompleted | RadiotherapyDiscontinued


@dataclass(frozen=True)
class Participant:
    """One participant's standing facts from every service. No imprecise date is taken for a day after `known_on`."""

    participant_id: str
    record: Record
    known_on: date

    def facts(self, kind: type[F], until: date) -> list[F]:
        """Facts of a kind dated up to and on that day; undated ones always, but a death not while life goes on.

        After a withdrawal only the withdrawal itself and death count: the rest left every analysis from that day on.
        """
        until = until if kind in STAYING else min(until, self.leaves_on)
        return [fact for fact in self.record.facts(kind) if self._day(fact) is None or self.day(fact) <= until]

    def first(self, kind: type[F], until: date = date.max) -> F | None:
        return min(self.facts(kind, until), key=self.day, default=None)

    def day(self, fact: Fact) -> date:
        """The fact's day for analyses; the last that there may be, where none is known."""
        return self._day(fact) or self.known_on

    def _day(self, fact: Fact) -> date | None:
        if isinstance(fact, Died):
            alive_on = self.last_known_alive
            return days.day_of_death(fact.died_on, alive_on, self.known_on) if fact.died_on else alive_on
        if isinstance(fact, Withdrawn):
            return days.day_of_withdrawal(fact.withdrawn_on, self._taken_part, self.known_on)
        if (when := fact.happened_on) is None or when.is_exact:
            return when.earliest if when else None
        return self._moved.get(days.key(fact)) or self._alone(fact)

    def _alone(self, fact: Fact) -> date:
        """The day for what its own date says."""
        when = fact.happened_on
        return imputed(when, days.bound(fact, self.known_on, self.leaves_on)) if when else self.known_on

    @cached_property
    def _taken_part(self) -> list[date]:
        return days.taken_part(stated.fact for stated in self.record.stated)

    @cached_property
    def _moved(self) -> Mapping[days.Key, date]:
        return days.moved([stated.fact for stated in self.record.stated], self._alone)

    @cached_property
    def last_known_alive(self) -> date:
        """The last day on which something needed a living participant; the first day there is, where nothing did."""
        facts = (stated.fact for stated in self.record.stated)
        return max((self.day(fact) for fact in facts if fact.happened_on and needs_life(fact)), default=date.min)

    def lost_on(self, until: date) -> date | None:
        """The day of the last loss, if no resumption came after it; None for who is followed."""
        lost = [self.day(fact) for fact in self.facts(Lost, until)]
        found = [self.day(fact) for fact in self.facts(FollowUpResumed, until)]
        return max(lost) if lost and max(lost) > max(found, default=date.min) else None

    @cached_property
    def leaves_on(self) -> date:
        """The last day that is analysed: that of the first withdrawal."""
        return min((self.day(withdrawn) for withdrawn in self.record.facts(Withdrawn)), default=date.max)

    @cached_property
    def site_id(self) -> str:
        """The enrolling site, by which figures are divided whoever follows the participant today."""
        return self.record.facts(Screened)[0].site_id

    @cached_property
    def lesions(self) -> Mapping[str, LesionRegistered]:
        return {lesion.lesion_id: lesion for lesion in self.record.facts(LesionRegistered)}

    def targets(self, course: RadiotherapyStarted, until: date) -> tuple[Target, ...]:
        """The course's targets as far as they were prescribed by that day."""
        changes = [change for change in self.facts(PrescriptionChanged, until) if change.course_id == course.course_id]
        return targets(course, changes, self.end(course, until))

    def end(self, course: RadiotherapyStarted, until: date) -> CourseEnd | None:
        completed, discontinued = self.facts(RadiotherapyCompleted, until), self.facts(RadiotherapyDiscontinued, until)
        ends: list[CourseEnd] = [*completed, *discontinued]
        return next((end for end in ends if end.course_id == course.course_id), None)

    def ended_on(self, course: RadiotherapyStarted, until: date) -> date | None:
        """The day of its last fraction."""
        end = self.end(course, until)
        return self.day(end) if end else None

    def index_course(self, until: date) -> RadiotherapyStarted | None:
        return next((course for course in self.facts(RadiotherapyStarted, until) if course.index), None)

    def is_stereotactic(self, protocol: Protocol, until: date) -> bool:
        """Any target of a stereotactic delivery that treats a metastasis; a target without lesions counts."""
        return any(
            target.delivery in protocol.stereotactic.deliveries and self._treats_metastasis(target)
            for course in self.facts(RadiotherapyStarted, until)
            for target in self.targets(course, until)
        )

    def _treats_metastasis(self, target: Target) -> bool:
        kinds = [self.lesions[name].kind for name in target.lesion_ids if name in self.lesions]
        return not target.lesion_ids or "metastasis" in kinds

    def imputed_dates(self, until: date, *kinds: type[Fact]) -> int:
        """How many dates of these facts are known by month or year only."""
        dated = (fact.happened_on for kind in kinds for fact in self.facts(kind, until))
        return sum(when is not None and not when.is_exact for when in dated)


def targets(
    course: RadiotherapyStarted, changes: Iterable[PrescriptionChanged], end: CourseEnd | None
) -> tuple[Target, ...]:
    """The targets of a course as prescribed last, and those taken out of it later that were treated before.

    Last is the change whose date is taken for the last day. Of several on one day it is the same whichever was stated
    first; which of them holds is asked as a query.
    """
    ordered = sorted(changes, key=lambda change: (imputed(change.on, date.max), change.model_dump_json()))
    prescriptions: Sequence[RadiotherapyStarted | PrescriptionChanged] = [course, *ordered]
    ever = {target.target_id: target for prescription in prescriptions for target in prescription.targets}
    last = prescriptions[-1].targets
    given = [each.target_id for each in end.delivered if each.fractions or each.dose_cgy] if end else []
    return (*last, *(ever[name] for name in given if name in ever.keys() - {target.target_id for target in last}))


@dataclass(frozen=True)
class Cohort:
    """`out`: participants whose data may no longer be used, and void ones; they are in no figure, past or live.

    `cut`: the last day that is counted.
    """

    study: Record
    participants: tuple[Participant, ...]
    out: tuple[Participant, ...]
    cut: date

    @property
    def title(self) -> str:
        return next((opened.title for opened in self.study.facts(Opened)), "")

    @cached_property
    def protocol(self) -> Protocol:
        """The plan in force on the cut, for every participant."""
        return plan_on(self.study, self.cut)

    def enrolled(self, until: date) -> list[Participant]:
        return [participant for participant in self.participants if participant.first(Enrolled, until)]


def cohort(
    study: Record, events: Iterable[Event], out: frozenset[str], cut: date, known_on: date | None = None
) -> Cohort:
    """Who was screened, with the facts that stand; `out` are the participants that no figure may show today.

    `known_on`: by when all of it was known; the cut, where nothing else is said.
    """
    by_subject: dict[str, list[Event]] = {}
    for event in (each for each in events if each.is_known):
        by_subject.setdefault(event.stream_id, []).append(event)
    records = {subject: Record(tuple(event.stated() for event in stated)) for subject, stated in by_subject.items()}
    seen = {subject: record for subject, record in records.items() if record.all(Screened)}
    people = [Participant(subject, record, known_on or cut) for subject, record in sorted(seen.items())]
    shown = tuple(one for one in people if one.participant_id not in out)
    return Cohort(study, shown, tuple(one for one in people if one.participant_id in out), cut)


def present_site(record: Record) -> str:
    """Where a screened participant is now: by the last day that each transfer may have been, of two of one day by the
    one stated later."""
    moves = enumerate(record.facts(Transferred))
    last = max(moves, key=lambda move: (move[1].on.latest, move[0]), default=None)
    return last[1].to_site if last else record.facts(Screened)[0].site_id


def is_out(fact: Fact) -> bool:
    """Does this fact, while it stands, take its participant out of every figure?"""
    return isinstance(fact, Voided) or (isinstance(fact, Withdrawn) and fact.scope == "data_use")


@dataclass(frozen=True)
class Selection:
    """What a figure is asked for: participants up to a day, of some sites (None: all), all or stereotactic ones."""

    cut: date
    sites: frozenset[str] | None = None
    subset: str = "all"
    by: str | None = None
    shown: Mapping[str, object] = field(default_factory=dict)

    def of(self, cohort: Cohort) -> list[Participant]:
        return [participant for participant in cohort.participants if self._has(participant, cohort.protocol)]

    def left_out(self, cohort: Cohort) -> int:
        """How many of the participants asked for are in no figure."""
        return sum(self.sites is None or one.site_id in self.sites for one in cohort.out)

    def _has(self, participant: Participant, protocol: Protocol) -> bool:
        of_site = self.sites is None or participant.site_id in self.sites
        return of_site and (self.subset == "all" or participant.is_stereotactic(protocol, self.cut))
