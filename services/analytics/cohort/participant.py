"""One participant in analyses: the current facts of all services, and the day that is used for each. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date
from functools import cached_property
from typing import Any
from uuid import UUID

from services.analytics.cohort import date_imputation
from services.analytics.cohort.date_imputation import AnalysisDay, impute, precision_of
from services.analytics.cohort.vital_status import COUNTED_AFTER_WITHDRAWAL, implies_alive
from shared.contracts.enrollment import (
    ConsentSigned,
    ConsentWithdrawn,
    LesionRegistered,
    ParticipantScreened,
    ParticipantVoided,
)
from shared.contracts.event import Event
from shared.contracts.follow_up import FollowUpResumed, LostToFollowUp, ParticipantDied
from shared.contracts.participation import current_site, last_consent
from shared.contracts.treatment import (
    CourseEnd,
    RadiotherapyCompleted,
    RadiotherapyDiscontinued,
    RadiotherapyStarted,
    Target,
)
from shared.kernel.fact import F, Fact
from shared.kernel.partial_date import PartialDate
from shared.kernel.record import Record
from shared.protocol.anchors import CourseDates


@dataclass(frozen=True)
class Participant:
    """A screened participant with the current facts of every service.

    `known_on`: by event, the study's day when its content was recorded, which bounds the imputed day.
    """

    participant_id: str
    record: Record
    known_on: Mapping[UUID, date]

    def counted(self, fact_type: type[F]) -> Sequence[F]:
        """Returns the facts of a type that analyses count, the earliest first.

        Facts without a day are always counted. After a withdrawal of consent only the withdrawal and death are: no
        analysis uses later facts of other types.
        """
        counted: Sequence[F] | None = self._counted_by_type.get(fact_type)
        if counted is None:
            counted = self.record.facts_of(fact_type)
            if counted and self.withdrawn_on < date.max and fact_type not in COUNTED_AFTER_WITHDRAWAL:
                counted = [fact for fact in counted if not fact.happened_on or self.day(fact) <= self.withdrawn_on]
            if len(counted) > 1:
                counted = sorted(counted, key=self.day)
            self._counted_by_type[fact_type] = counted
        return counted

    @cached_property
    def _counted_by_type(self) -> dict[type[Fact], Sequence[Any]]:
        """The facts that were asked for, by type."""
        return {}

    def day(self, fact: Fact) -> date:
        """Returns the day that analyses use for the fact; for a fact without a date, the day on which it was recorded.

        `fact` must be one of the record. Raises KeyError for an equal one.
        """
        return self.analysis_day(fact).on

    def analysis_day(self, fact: Fact) -> AnalysisDay:
        """Returns the `day` of the fact with the precision of its date."""
        return self._analysis_days.get(id(fact)) or self._find_analysis_day(fact)

    @cached_property
    def dated_facts(self) -> Sequence[tuple[Fact, PartialDate]]:
        """The facts that have a clinical date, with it."""
        dated = ((stated.fact, stated.fact.happened_on) for stated in self.record.stated_facts)
        return [(fact, partial_date) for fact, partial_date in dated if partial_date]

    @cached_property
    def _analysis_days(self) -> dict[int, AnalysisDay]:
        """The days of the facts by identity: of exact dates at once, of others and of undated facts when asked for.

        The record keeps its facts, so no other fact has their identity.
        """
        return {
            id(fact): AnalysisDay(partial_date.earliest)
            for fact, partial_date in self.dated_facts
            if partial_date.is_exact
        }

    def _find_analysis_day(self, fact: Fact) -> AnalysisDay:
        """Finds a day, and keeps it if it is imputed: only facts of the record have such a day."""
        partial_date = fact.happened_on
        if partial_date and partial_date.is_exact:
            return AnalysisDay(partial_date.earliest)
        day = AnalysisDay(self._impute_day(fact, partial_date), precision_of(partial_date))
        self._analysis_days[id(fact)] = day
        return day

    def _impute_day(self, fact: Fact, partial_date: PartialDate | None) -> date:
        if type(fact) is ParticipantDied:
            return self._day_of_death(fact)
        if partial_date is None:
            return self._known_on_by_fact[id(fact)]
        if type(fact) is ConsentWithdrawn:
            known_on = self._known_on_by_fact[id(fact)]
            return date_imputation.day_of_withdrawal(partial_date, self._participation_days, known_on)
        unadjusted_day = self._impute_alone(fact)
        return self._adjusted_days.get(date_imputation.date_key(fact, unadjusted_day), unadjusted_day)

    def _day_of_death(self, death: ParticipantDied) -> date:
        if death.died_on is None:
            return self.last_known_alive
        known_on = self._known_on_by_fact[id(death)]
        return date_imputation.day_of_death(death.died_on, self.last_known_alive, known_on)

    def _impute_alone(self, fact: Fact) -> date:
        """Returns the imputed day of the fact's own date. Of other facts, only withdrawal and death limit it."""
        return self.impute(fact, fact.happened_on) if fact.happened_on else self._known_on_by_fact[id(fact)]

    def impute(self, fact: Fact, partial_date: PartialDate) -> date:
        """Returns the imputed day of any date of a fact, such as an onset."""
        if partial_date.is_exact:
            return partial_date.earliest
        known_on = self._known_on_by_fact[id(fact)]
        limit = date_imputation.latest_imputable_day(fact, known_on, self.withdrawn_on, self._exact_death)
        return impute(partial_date, limit)

    @cached_property
    def _known_on_by_fact(self) -> Mapping[int, date]:
        """The days by identity of the fact, because two events may state equal facts on different days."""
        return {id(stated.fact): self.known_on[stated.event_id] for stated in self.record.stated_facts}

    @cached_property
    def _participation_days(self) -> list[date]:
        return date_imputation.list_participation_days(stated.fact for stated in self.record.stated_facts)

    @cached_property
    def _adjusted_days(self) -> Mapping[date_imputation.DateKey, date]:
        return date_imputation.adjust_episode_days(
            [stated.fact for stated in self.record.stated_facts], self._impute_alone
        )

    @cached_property
    def last_known_alive(self) -> date:
        """The last day of a fact that needs a living participant; `date.min` without such a fact."""
        return max((self.day(fact) for fact, _ in self.dated_facts if implies_alive(fact)), default=date.min)

    @cached_property
    def lost_to_follow_up_on(self) -> date | None:
        """The day of the last loss to follow-up, unless follow-up was resumed after it; None while followed."""
        losses, resumptions = self.counted(LostToFollowUp), self.counted(FollowUpResumed)
        if not losses or (resumptions and self.day(resumptions[-1]) >= self.day(losses[-1])):
            return None
        return self.day(losses[-1])

    @cached_property
    def _exact_death(self) -> date:
        """The day of a death that is known exactly; `date.max` without one."""
        deaths = [death.died_on for death in self.record.facts_of(ParticipantDied) if death.died_on]
        return min((died_on.earliest for died_on in deaths if died_on.is_exact), default=date.max)

    @cached_property
    def withdrawn_on(self) -> date:
        """The day of the first withdrawal of consent, the last day that is analyzed; `date.max` without one."""
        return min((self.day(withdrawn) for withdrawn in self.record.facts_of(ConsentWithdrawn)), default=date.max)

    @cached_property
    def last_consent(self) -> ConsentSigned | None:
        """The consent that holds, by its imputed day; None for a participant who has not consented."""
        return last_consent(self.record, self.day)

    @cached_property
    def site_id(self) -> str:
        """The enrolling site. Figures are divided by it, wherever the participant is followed now."""
        return self.record.facts_of(ParticipantScreened)[0].site_id

    @cached_property
    def current_site(self) -> str:
        """The site that follows the participant now. Row-level security uses it."""
        return current_site(self.record) or self.site_id

    @cached_property
    def lesions(self) -> Mapping[str, LesionRegistered]:
        return {lesion.lesion_id: lesion for lesion in self.record.facts_of(LesionRegistered)}

    @cached_property
    def course_ends(self) -> Mapping[str, CourseEnd]:
        """The completion or discontinuation of each course that has ended, by the id of the course."""
        ends: Sequence[CourseEnd] = (*self.counted(RadiotherapyDiscontinued), *self.counted(RadiotherapyCompleted))
        return {end.course_id: end for end in ends}

    @cached_property
    def course_dates(self) -> Sequence[CourseDates]:
        """The courses that started, the earliest first, with the last day of each that ended."""
        return [
            CourseDates(
                course_id=course.course_id,
                is_index=course.index,
                ended_on=self.day(end) if (end := self.course_ends.get(course.course_id)) else None,
            )
            for course in self.counted(RadiotherapyStarted)
        ]

    def treats_metastasis(self, target: Target) -> bool:
        """Returns whether the target names a metastasis, or no lesion at all."""
        kinds = [self.lesions[name].kind for name in target.lesion_ids if name in self.lesions]
        return not target.lesion_ids or "metastasis" in kinds


def known_on(event: Event) -> date:
    """Returns the day by which the content of the event was known.

    An event of an earlier release whose site has not arrived here yet is taken as known on the day in UTC until then.
    """
    return event.known_on or event.recorded_on or event.recorded_at.astimezone(UTC).date()


def is_withdrawn_or_voided(record: Record) -> bool:
    """Returns whether the participant is voided, or has withdrawn consent to the use of data."""
    withdrawals = record.facts_of(ConsentWithdrawn)
    return bool(record.facts_of(ParticipantVoided)) or any(fact.scope == "data_use" for fact in withdrawals)


def is_excluded(participant: Participant) -> bool:
    """Returns whether no analysis may use the participant, at past positions included.

    A participant is excluded who is voided, who withdrew consent to the use of data, or whose last consent does not
    allow it.
    """
    if is_withdrawn_or_voided(participant.record):
        return True
    consent = participant.last_consent
    return consent is not None and not consent.options.data_use
