"""One participant's case: the facts that stand in every service, the plan, and today at the site that follows them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import cached_property
from uuid import UUID

from services.analytics.cohort.cohort import CourseEnd, Participant, build_cohort, current_site
from services.analytics.wording.phrasing import label_term
from shared.contracts.enrollment import ConsentWithdrawn
from shared.contracts.event import Event
from shared.contracts.follow_up import ParticipantDied
from shared.contracts.study import StudyClosed
from shared.contracts.treatment import RadiotherapyCompleted, RadiotherapyDiscontinued, RadiotherapyStarted
from shared.gate.study_timeline import protocol_on
from shared.kernel.fact import F, Fact, StatedFact
from shared.kernel.record import Record
from shared.protocol.protocol import Protocol

TodayAtSite = Callable[[str], date]
"""The calendar day at a site, by its id."""
Rule = Callable[["Case"], Iterator["QueryFinding"]]
RULES: dict[str, Rule] = {}
"""Every rule by its published name, which is part of the key of its queries and of every stored explanation."""
Anchor = tuple[StatedFact[CourseEnd], date]
"""The end of a course, and the day from which its visits are counted."""


@dataclass(frozen=True, slots=True)
class QueryFinding:
    """What a rule asks: one sentence, about these facts; `due`: the day from which on it is a question at all."""

    text: str
    facts: tuple[StatedFact[Fact], ...]
    due_on: date = date.min


def query_rule(name: str) -> Callable[[Rule], Rule]:
    """Register a rule under a name that never changes. Raises TypeError for a name that another rule has."""

    def register(rule: Rule) -> Rule:
        if RULES.setdefault(name, rule) is not rule:
            raise TypeError(f"two rules are named {name!r}")
        return rule

    return register


@dataclass(frozen=True)
class Case:
    """`site_id` is where the participant is now: the site that can answer. `recorded_at` is by event: a corrected one
    keeps the time at which it was first recorded. `terms`: names of toxicity terms by their ids, for the sentences."""

    participant: Participant
    site_id: str
    protocol: Protocol
    today: date
    recorded_at: Mapping[UUID, datetime]
    study_closed_on: date
    term_names: Mapping[str, str] = field(default_factory=dict)

    @property
    def record(self) -> Record:
        return self.participant.record

    def stated(self, fact_type: type[F]) -> Sequence[StatedFact[F]]:
        """The facts of a kind, in an order that does not depend on when they arrived."""
        return sorted(self.record.stated_of(fact_type), key=lambda stated: stated.event_id)

    def day(self, fact: Fact) -> date:
        """The day that analyses take a fact with a date for."""
        return self.participant.day(fact)

    def term_label(self, term_id: str) -> str:
        return label_term(term_id, self.term_names.get(term_id))

    @cached_property
    def courses(self) -> Mapping[str, StatedFact[RadiotherapyStarted]]:
        return {stated.fact.course_id: stated for stated in self.stated(RadiotherapyStarted)}

    @cached_property
    def index_course(self) -> StatedFact[RadiotherapyStarted] | None:
        return next((course for course in self.courses.values() if course.fact.index), None)

    @cached_property
    def course_ends(self) -> Mapping[str, StatedFact[CourseEnd]]:
        """The end of each course, by its id."""
        ends: list[StatedFact[CourseEnd]] = [
            *self.stated(RadiotherapyCompleted),
            *self.stated(RadiotherapyDiscontinued),
        ]
        return {stated.fact.course_id: stated for stated in ends}

    def anchor(self, course_id: str | None) -> Anchor | None:
        """What a visit is counted from: the end of the index course, or, where the plan has a schedule for each, of the
        course that is named; None before it ended."""
        named_course = self.courses.get(course_id) if course_id and self._has_anchor_per_course else None
        course = named_course or self.index_course
        end = self.course_ends.get(course.fact.course_id) if course else None
        if course is None or end is None:
            return None
        return end, self.day(end.fact)

    def same_anchor(self, course_id: str | None, other_course_id: str | None) -> bool:
        """Do two facts about these courses count visits from the same end?"""
        return self.anchor(course_id) == self.anchor(other_course_id)

    @property
    def anchor_may_move(self) -> bool:
        """Does the plan move visits to the end of a later course, so that the index course alone does not tell them?"""
        return self.protocol.follow_up.anchor_policy == "latest" and len(self.course_ends) > 1

    @property
    def _has_anchor_per_course(self) -> bool:
        return self.protocol.follow_up.anchor_policy == "per_course"

    @cached_property
    def end_of_follow_up(self) -> date:
        """The end of follow-up by death, withdrawal, loss or the end of the study; the first day there is where the
        day of death is not known."""
        deaths = [self.day(fact) if fact.died_on else date.min for fact in self.record.facts_of(ParticipantDied)]
        withdrawals = [self.day(each) for each in self.record.facts_of(ConsentWithdrawn)]
        lost_on = self.participant.lost_to_follow_up_on(date.max)
        return min([*deaths, *withdrawals, lost_on or date.max, self.study_closed_on])


def build_cases(
    study: Record,
    events: Iterable[Event],
    excluded: frozenset[str],
    today: TodayAtSite,
    term_names: Mapping[str, str] | None = None,
    known_on: date = date.max,
) -> list[Case]:
    """Who was screened and may be used, in the order of their numbers. `events` stand; their order does not matter.

    `known_on`: by when all of it was known.
    """
    ordered = sorted(events, key=lambda event: (event.stream_id, event.service, event.version))
    recorded_at: dict[str, dict[UUID, datetime]] = {}
    for event in ordered:
        recorded_at.setdefault(event.stream_id, {})[event.event_id] = event.recorded_at
    closed = min((closed.on for closed in study.facts_of(StudyClosed)), default=date.max)
    screened_cohort, built_cases = build_cohort(study, ordered, excluded, date.max), []
    for participant in screened_cohort.participants:
        site = current_site(participant.record)
        day = today(site)
        protocol = protocol_on(study, day)
        imputed_participant = replace(participant, known_on=min(day, known_on))
        built_cases.append(
            Case(
                imputed_participant,
                site,
                protocol,
                day,
                recorded_at[participant.participant_id],
                closed,
                term_names or {},
            )
        )
    return built_cases
