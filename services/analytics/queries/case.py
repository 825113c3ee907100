"""The case of one participant, which data query rules examine: facts of every service, and follow-up plans. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from services.analytics.cohort.follow_up_ends import follow_up_ends
from services.analytics.cohort.participant import Participant
from services.analytics.cohort.study_plans import StudyPlans
from services.analytics.wording.phrasing import label_term
from shared.contracts.event import Event
from shared.contracts.treatment import CourseEnd, RadiotherapyCompleted, RadiotherapyDiscontinued, RadiotherapyStarted
from shared.kernel.fact import F, Fact, StatedFact
from shared.kernel.record import Record
from shared.protocol.anchors import CourseDates, find_anchor
from shared.protocol.schedule import PlanPeriod, Schedule, Visit, schedules

Rule = Callable[["Case"], Iterator["QueryFinding"]]
RULES: dict[str, Rule] = {}
"""Rules by published name, which is part of the key of every data query and of every stored explanation."""
AnchorFact = tuple[StatedFact[CourseEnd], date]
"""The end of a course, and the day from which its visits are counted."""


@dataclass(frozen=True, slots=True)
class QueryFinding:
    """A question of a rule: one sentence, the facts that it is about, and the days on which it is asked.

    It is asked from `opens_on` to `closes_on`, both inclusive.
    """

    text: str
    facts: tuple[StatedFact[Fact], ...]
    opens_on: date = date.min
    closes_on: date = date.max


def query_rule(name: str) -> Callable[[Rule], Rule]:
    """Registers a rule under a name that never changes. Raises TypeError for a name that another rule has."""

    def register(rule: Rule) -> Rule:
        if RULES.setdefault(name, rule) is not rule:
            raise TypeError(f"two rules are named {name!r}")
        return rule

    return register


@dataclass(frozen=True)
class Case:
    """One participant's facts, and the values that rules compare them with.

    `site_id`: the current site, which can answer. `events`: those of the facts. `term_names`: toxicity terms by id, for
    the sentences.
    """

    participant: Participant
    site_id: str
    events: Sequence[Event]
    study_plans: StudyPlans
    term_names: Mapping[str, str] = field(default_factory=dict)

    @property
    def record(self) -> Record:
        return self.participant.record

    @property
    def plans(self) -> Sequence[PlanPeriod]:
        """The follow-up plans with their days."""
        return self.study_plans.follow_up

    @cached_property
    def recorded_at(self) -> Mapping[UUID, datetime]:
        """The time of the first recording of each event."""
        return {event.event_id: event.recorded_at for event in self.events}

    def stated(self, fact_type: type[F]) -> Sequence[StatedFact[F]]:
        """Returns the facts of a type, in an order that does not depend on their arrival."""
        if (ordered := self._stated_by_type.get(fact_type)) is None:
            ordered = self.record.stated_of(fact_type)
            if len(ordered) > 1:
                ordered = sorted(ordered, key=lambda stated: stated.event_id.int)
            self._stated_by_type[fact_type] = ordered
        return ordered

    @cached_property
    def _stated_by_type(self) -> dict[type[Fact], Sequence[StatedFact[Any]]]:
        """The facts that were asked for, by type."""
        return {}

    def day(self, fact: Fact) -> date:
        """Returns the imputed day of a fact with a date, as figures use it."""
        return self.participant.day(fact)

    def term_label(self, term_id: str) -> str:
        return label_term(term_id, self.term_names.get(term_id))

    @cached_property
    def courses(self) -> Mapping[str, StatedFact[RadiotherapyStarted]]:
        """The courses by their ids, the earliest first."""
        ordered = sorted(self.stated(RadiotherapyStarted), key=lambda stated: self.day(stated.fact))
        return {stated.fact.course_id: stated for stated in ordered}

    @cached_property
    def index_course(self) -> StatedFact[RadiotherapyStarted] | None:
        return next((course for course in self.courses.values() if course.fact.index), None)

    @cached_property
    def course_ends(self) -> Mapping[str, StatedFact[CourseEnd]]:
        """The end of each course, by its id."""
        ends: list[StatedFact[CourseEnd]] = [
            *self.stated(RadiotherapyDiscontinued),
            *self.stated(RadiotherapyCompleted),  # counts if both are recorded, as it does in figures
        ]
        return {stated.fact.course_id: stated for stated in ends}

    def anchor(self, course_id: str | None) -> AnchorFact | None:
        """Returns the end of the course from which a visit is counted, by the anchor policy; None before that end."""
        if course_id not in self._anchors:
            anchor = find_anchor(self.plans[0].plan, self._course_dates, course_id)
            self._anchors[course_id] = (self.course_ends[anchor.course_id], anchor.day) if anchor else None
        return self._anchors[course_id]

    @cached_property
    def _anchors(self) -> dict[str | None, AnchorFact | None]:
        """The anchors that were asked for, by course."""
        return {}

    @cached_property
    def _course_dates(self) -> Sequence[CourseDates]:
        return [
            CourseDates(
                course_id=course_id,
                is_index=course.fact.index,
                ended_on=self.day(end.fact) if (end := self.course_ends.get(course_id)) else None,
            )
            for course_id, course in self.courses.items()
        ]

    def same_anchor(self, course_id: str | None, other_course_id: str | None) -> bool:
        """Returns whether facts about these two courses count visits from the same anchor."""
        return self.anchor(course_id) == self.anchor(other_course_id)

    def visits(self, course_id: str | None) -> tuple[AnchorFact | None, tuple[Visit, ...]]:
        """Returns the visits that are counted from a course, and the course end from which the last ones are counted.

        By the anchor policy `latest` that may be the end of a later course than the index course. Without visits: None.
        """
        if course_id not in self._visits:
            self._visits[course_id] = self._find_visits(self.anchor(course_id))
        return self._visits[course_id]

    @cached_property
    def _visits(self) -> dict[str | None, tuple[AnchorFact | None, tuple[Visit, ...]]]:
        """The visits that were asked for, by course."""
        return {}

    def _find_visits(self, anchor: AnchorFact | None) -> tuple[AnchorFact | None, tuple[Visit, ...]]:
        if anchor is None:
            return None, ()
        own = [schedule for schedule in self._schedules if schedule.name == anchor[0].fact.course_id]
        schedule = (own or self._schedules)[-1]
        return (self.course_ends[schedule.course_id], schedule.anchor), schedule.visits

    @cached_property
    def _schedules(self) -> Sequence[Schedule]:
        return schedules(self.plans, self._course_dates)

    @cached_property
    def end_of_follow_up(self) -> date:
        """The day of death, withdrawal, loss, or the end of the site or the study; `date.max` while follow-up goes on.

        A death without a date ends it on the day last known alive.
        """
        end = follow_up_ends(self.participant, self.study_plans).end_by(date.max)
        return end.day if end else date.max


def build_case(
    participant: Participant, plans: StudyPlans, events: Sequence[Event], term_names: Mapping[str, str]
) -> Case:
    """Returns the case of a screened participant. `events`: those of the facts, at least."""
    return Case(
        participant=participant,
        site_id=participant.current_site,
        events=events,
        study_plans=plans,
        term_names=term_names,
    )
