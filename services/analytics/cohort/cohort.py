"""The participants of a study as their facts stand at one position: what every figure is computed from. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

from services.analytics.cohort import date_imputation
from services.analytics.cohort.date_imputation import implies_alive, impute
from shared.contracts.enrollment import (
    ConsentWithdrawn,
    LesionRegistered,
    ParticipantEnrolled,
    ParticipantScreened,
    ParticipantTransferred,
    ParticipantVoided,
)
from shared.contracts.event import Event
from shared.contracts.follow_up import FollowUpResumed, LostToFollowUp, ParticipantDied
from shared.contracts.study import StudyOpened
from shared.contracts.treatment import (
    PrescriptionChanged,
    RadiotherapyCompleted,
    RadiotherapyDiscontinued,
    RadiotherapyStarted,
    Target,
)
from shared.gate.study_timeline import protocol_on
from shared.kernel.fact import F, Fact
from shared.kernel.record import Record
from shared.protocol.protocol import Protocol

COUNTED_AFTER_WITHDRAWAL: tuple[type[Fact], ...] = (ConsentWithdrawn, ParticipantDied)
CourseEnd = RadiotherapyCompleted | RadiotherapyDiscontinued


@dataclass(frozen=True)
class Participant:
    """One participant's standing facts from every service. No imprecise date is taken for a day after `known_on`."""

    participant_id: str
    record: Record
    known_on: date

    def facts(self, fact_type: type[F], until: date) -> list[F]:
        """Facts of a kind dated up to and on that day; undated ones always, but a death not while life goes on.

        After a withdrawal only the withdrawal itself and death count: the rest left every analysis from that day on.
        """
        until = until if fact_type in COUNTED_AFTER_WITHDRAWAL else min(until, self.withdrawn_on)
        return [
            fact
            for fact in self.record.facts_of(fact_type)
            if self._day_if_known(fact) is None or self.day(fact) <= until
        ]

    def first_fact(self, fact_type: type[F], until: date = date.max) -> F | None:
        return min(self.facts(fact_type, until), key=self.day, default=None)

    def day(self, fact: Fact) -> date:
        """The fact's day for analyses; the last that there may be, where none is known."""
        return self._day_if_known(fact) or self.known_on

    def _day_if_known(self, fact: Fact) -> date | None:
        if isinstance(fact, ParticipantDied):
            alive_on = self.last_known_alive
            return date_imputation.day_of_death(fact.died_on, alive_on, self.known_on) if fact.died_on else alive_on
        if isinstance(fact, ConsentWithdrawn):
            return date_imputation.day_of_withdrawal(fact.withdrawn_on, self._participation_days, self.known_on)
        if (partial_date := fact.happened_on) is None or partial_date.is_exact:
            return partial_date.earliest if partial_date else None
        return self._adjusted_days.get(date_imputation.date_key(fact)) or self._impute(fact)

    def _impute(self, fact: Fact) -> date:
        """The day for what its own date says."""
        partial_date = fact.happened_on
        return (
            impute(partial_date, date_imputation.latest_imputable_day(fact, self.known_on, self.withdrawn_on))
            if partial_date
            else self.known_on
        )

    @cached_property
    def _participation_days(self) -> list[date]:
        return date_imputation.list_participation_days(stated.fact for stated in self.record.stated_facts)

    @cached_property
    def _adjusted_days(self) -> Mapping[date_imputation.DateKey, date]:
        return date_imputation.adjust_episode_days([stated.fact for stated in self.record.stated_facts], self._impute)

    @cached_property
    def last_known_alive(self) -> date:
        """The last day on which something needed a living participant; the first day there is, where nothing did."""
        facts = (stated.fact for stated in self.record.stated_facts)
        return max((self.day(fact) for fact in facts if fact.happened_on and implies_alive(fact)), default=date.min)

    def lost_to_follow_up_on(self, until: date) -> date | None:
        """The day of the last loss, if no resumption came after it; None for who is followed."""
        loss_days = [self.day(fact) for fact in self.facts(LostToFollowUp, until)]
        resumption_days = [self.day(fact) for fact in self.facts(FollowUpResumed, until)]
        return max(loss_days) if loss_days and max(loss_days) > max(resumption_days, default=date.min) else None

    @cached_property
    def withdrawn_on(self) -> date:
        """The last day that is analysed: that of the first withdrawal."""
        return min((self.day(withdrawn) for withdrawn in self.record.facts_of(ConsentWithdrawn)), default=date.max)

    @cached_property
    def site_id(self) -> str:
        """The enrolling site, by which figures are divided whoever follows the participant today."""
        return self.record.facts_of(ParticipantScreened)[0].site_id

    @cached_property
    def lesions(self) -> Mapping[str, LesionRegistered]:
        return {lesion.lesion_id: lesion for lesion in self.record.facts_of(LesionRegistered)}

    def targets(self, course: RadiotherapyStarted, until: date) -> tuple[Target, ...]:
        """The course's targets as far as they were prescribed by that day."""
        changes = [change for change in self.facts(PrescriptionChanged, until) if change.course_id == course.course_id]
        return targets(course, changes, self.course_end(course, until))

    def course_end(self, course: RadiotherapyStarted, until: date) -> CourseEnd | None:
        completed, discontinued = self.facts(RadiotherapyCompleted, until), self.facts(RadiotherapyDiscontinued, until)
        ends: list[CourseEnd] = [*completed, *discontinued]
        return next((end for end in ends if end.course_id == course.course_id), None)

    def course_end_day(self, course: RadiotherapyStarted, until: date) -> date | None:
        """The day of its last fraction."""
        end = self.course_end(course, until)
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

    def count_imputed_dates(self, until: date, *fact_types: type[Fact]) -> int:
        """How many dates of these facts are known by month or year only."""
        dated = (fact.happened_on for fact_type in fact_types for fact in self.facts(fact_type, until))
        return sum(partial_date is not None and not partial_date.is_exact for partial_date in dated)


def targets(
    course: RadiotherapyStarted, changes: Iterable[PrescriptionChanged], end: CourseEnd | None
) -> tuple[Target, ...]:
    """The targets of a course as prescribed last, and those taken out of it later that were treated before.

    Last is the change whose date is taken for the last day. Of several on one day it is the same whichever was stated
    first; which of them holds is asked as a query.
    """
    ordered = sorted(changes, key=lambda change: (impute(change.on, date.max), change.model_dump_json()))
    prescriptions: Sequence[RadiotherapyStarted | PrescriptionChanged] = [course, *ordered]
    targets_by_id = {target.target_id: target for prescription in prescriptions for target in prescription.targets}
    current_targets = prescriptions[-1].targets
    treated_ids = (
        [delivery.target_id for delivery in end.delivered if delivery.fractions or delivery.dose_cgy] if end else []
    )
    return (
        *current_targets,
        *(
            targets_by_id[name]
            for name in treated_ids
            if name in targets_by_id.keys() - {target.target_id for target in current_targets}
        ),
    )


@dataclass(frozen=True)
class Cohort:
    """`out`: participants whose data may no longer be used, and void ones; they are in no figure, past or live.

    `cut`: the last day that is counted.
    """

    study: Record
    participants: tuple[Participant, ...]
    excluded: tuple[Participant, ...]
    cut: date

    @property
    def title(self) -> str:
        return next((opened.title for opened in self.study.facts_of(StudyOpened)), "")

    @cached_property
    def protocol(self) -> Protocol:
        """The plan in force on the cut, for every participant."""
        return protocol_on(self.study, self.cut)

    def enrolled(self, until: date) -> list[Participant]:
        return [participant for participant in self.participants if participant.first_fact(ParticipantEnrolled, until)]


def build_cohort(
    study: Record, events: Iterable[Event], excluded_ids: frozenset[str], cut: date, known_on: date | None = None
) -> Cohort:
    """Who was screened, with the facts that stand; `out` are the participants that no figure may show today.

    `known_on`: by when all of it was known; the cut, where nothing else is said.
    """
    events_by_subject: dict[str, list[Event]] = {}
    for event in (each for each in events if each.is_readable):
        events_by_subject.setdefault(event.stream_id, []).append(event)
    records = {
        subject: Record(tuple(event.stated_fact() for event in subject_events))
        for subject, subject_events in events_by_subject.items()
    }
    screened = {subject: record for subject, record in records.items() if record.stated_of(ParticipantScreened)}
    participants = [Participant(subject, record, known_on or cut) for subject, record in sorted(screened.items())]
    included = tuple(participant for participant in participants if participant.participant_id not in excluded_ids)
    return Cohort(study, included, tuple(one for one in participants if one.participant_id in excluded_ids), cut)


def current_site(record: Record) -> str:
    """Where a screened participant is now: by the last day that each transfer may have been, of two of one day by the
    one stated later."""
    moves = enumerate(record.facts_of(ParticipantTransferred))
    last_transfer = max(moves, key=lambda move: (move[1].on.latest, move[0]), default=None)
    return last_transfer[1].to_site if last_transfer else record.facts_of(ParticipantScreened)[0].site_id


def excludes_participant(fact: Fact) -> bool:
    """Does this fact, while it stands, take its participant out of every figure?"""
    return isinstance(fact, ParticipantVoided) or (isinstance(fact, ConsentWithdrawn) and fact.scope == "data_use")


@dataclass(frozen=True)
class Selection:
    """What a figure is asked for: participants up to a day, of some sites (None: all), all or stereotactic ones."""

    cut: date
    sites: frozenset[str] | None = None
    subset: str = "all"
    by: str | None = None
    shown: Mapping[str, object] = field(default_factory=dict)

    def participants(self, cohort: Cohort) -> list[Participant]:
        return [participant for participant in cohort.participants if self._includes(participant, cohort.protocol)]

    def count_excluded(self, cohort: Cohort) -> int:
        """How many of the participants asked for are in no figure."""
        return sum(self.sites is None or participant.site_id in self.sites for participant in cohort.excluded)

    def _includes(self, participant: Participant, protocol: Protocol) -> bool:
        at_selected_site = self.sites is None or participant.site_id in self.sites
        return at_selected_site and (self.subset == "all" or participant.is_stereotactic(protocol, self.cut))
