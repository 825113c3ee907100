"""One participant's case: the facts that stand in every service, the plan, and today at the site that follows them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import cached_property
from uuid import UUID

from services.analytics.cohort import CourseEnd, Participant, cohort, present_site
from shared.contracts.enrollment import Withdrawn
from shared.contracts.event import Event
from shared.contracts.followup import Died
from shared.contracts.study import Closed
from shared.contracts.treatment import RadiotherapyCompleted, RadiotherapyDiscontinued, RadiotherapyStarted
from shared.gate.study import plan_on
from shared.kernel.fact import F, Fact, Stated
from shared.kernel.record import Record
from shared.protocol.protocol import Protocol

Today = Callable[[str], date]
"""The calendar day at a site, by its id."""
Rule = Callable[["Case"], Iterator["Question"]]
RULES: dict[str, Rule] = {}
"""Every rule by its published name, which is part of the key of its queries and of every stored explanation."""
Anchor = tuple[Stated[CourseEnd], date]
"""The end of a course, and the day from which its visits are counted."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a rule asks: one sentence, about these facts; `due`: the day from which on it is a question at all."""

    text: str
    about: tuple[Stated[Fact], ...]
    due: date = date.min


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
    terms: Mapping[str, str] = field(default_factory=dict)

    @property
    def record(self) -> Record:
        return self.participant.record

    def all(self, kind: type[F]) -> Sequence[Stated[F]]:
        """The facts of a kind, in an order that does not depend on when they arrived."""
        return sorted(self.record.all(kind), key=lambda stated: stated.event_id)

    def day(self, fact: Fact) -> date:
        """The day that analyses take a fact with a date for."""
        return self.participant.day(fact)

    def term(self, term: str) -> str:
        return f"{self.terms[term]} ({term})" if term in self.terms else term

    @cached_property
    def courses(self) -> Mapping[str, Stated[RadiotherapyStarted]]:
        return {stated.fact.course_id: stated for stated in self.all(RadiotherapyStarted)}

    @cached_property
    def index_course(self) -> Stated[RadiotherapyStarted] | None:
        return next((course for course in self.courses.values() if course.fact.index), None)

    @cached_property
    def ends(self) -> Mapping[str, Stated[CourseEnd]]:
        """The end of each course, by its id."""
        ends: list[Stated[CourseEnd]] = [*self.all(RadiotherapyCompleted), *self.all(RadiotherapyDiscontinued)]
        return {stated.fact.course_id: stated for stated in ends}

    def anchor(self, course_id: str | None) -> Anchor | None:
        """What a visit is counted from: the end of the index course, or, where the plan has a schedule for each, of the
        course that is named; None before it ended."""
        named = self.courses.get(course_id) if course_id and self._per_course else None
        course = named or self.index_course
        end = self.ends.get(course.fact.course_id) if course else None
        if course is None or end is None:
            return None
        return end, self.day(end.fact)

    def of_one_schedule(self, one: str | None, other: str | None) -> bool:
        """Do two facts about these courses count visits from the same end?"""
        return self.anchor(one) == self.anchor(other)

    @property
    def is_anchored_later(self) -> bool:
        """Does the plan move visits to the end of a later course, so that the index course alone does not tell them?"""
        return self.protocol.follow_up.anchor_policy == "latest" and len(self.ends) > 1

    @property
    def _per_course(self) -> bool:
        return self.protocol.follow_up.anchor_policy == "per_course"

    @cached_property
    def followed_until(self) -> date:
        """The end of follow-up by death, withdrawal, loss or the end of the study; the first day there is where the
        day of death is not known."""
        deaths = [self.day(each) if each.died_on else date.min for each in self.record.facts(Died)]
        withdrawals = [self.day(each) for each in self.record.facts(Withdrawn)]
        lost_on = self.participant.lost_on(date.max)
        return min([*deaths, *withdrawals, lost_on or date.max, self.study_closed_on])


def cases(
    study: Record, events: Iterable[Event], out: frozenset[str], today: Today, terms: Mapping[str, str] | None = None,
    known_on: date = date.max,
) -> list[Case]:  # fmt: skip
    """Who was screened and may be used, in the order of their numbers. `events` stand; their order does not matter.

    `known_on`: by when all of it was known.
    """
    ordered = sorted(events, key=lambda event: (event.stream_id, event.service, event.version))
    recorded_at: dict[str, dict[UUID, datetime]] = {}
    for event in ordered:
        recorded_at.setdefault(event.stream_id, {})[event.event_id] = event.recorded_at
    closed = min((closed.on for closed in study.facts(Closed)), default=date.max)
    seen, made = cohort(study, ordered, out, date.max), []
    for one in seen.participants:
        site = present_site(one.record)
        day = today(site)
        plan = plan_on(study, day)
        known = replace(one, known_on=min(day, known_on))
        made.append(Case(known, site, plan, day, recorded_at[one.participant_id], closed, terms or {}))
    return made
