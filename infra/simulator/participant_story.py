"""The facts of a synthetic participant while they are drawn, before report days and sites are assigned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random
from typing import Any, NamedTuple

from infra.reference.simulated_study import SimulatedSite
from infra.services import Service
from infra.synthetic.disease_course import DiseaseCourse
from infra.synthetic.treatment_summary import SimulatedFact, TreatedParticipant


@dataclass
class ParticipantStory:
    """A synthetic participant; `facts` are in an order in which they can be recorded, service by service.

    `possible_events` and `chosen_events` name optional events. `void_after` voids a mistaken record: the days until
    then, and the content of `participant.voided`.
    """

    rng: Random
    site: SimulatedSite
    sites: Sequence[SimulatedSite]
    facts: list[SimulatedFact]
    participant: TreatedParticipant | None = None
    disease_course: DiseaseCourse | None = None
    possible_events: set[str] = field(default_factory=set)
    chosen_events: set[str] = field(default_factory=set)
    void_after: tuple[int, dict[str, Any]] | None = None

    def facts_of(self, type_name: str) -> list[SimulatedFact]:
        return [fact for fact in self.facts if fact.type == type_name]

    def uncorrected_facts(self, type_name: str) -> list[SimulatedFact]:
        """Returns the facts of the type that have no correction yet."""
        corrected = {id(fact.corrects) for fact in self.facts}
        return [fact for fact in self.facts_of(type_name) if id(fact) not in corrected]

    def index_course_days(self) -> int | None:
        """Returns the days between start and end of the index course; None without one that has ended."""
        course = self.participant.index_course if self.participant else None
        return (course.ended_on - course.started_on).days if course and course.ended_on else None

    def withdrawals_before_death(self, days: int) -> list[SimulatedFact]:
        """Returns withdrawals of consent more than `days` days before the death that the disease would bring."""
        if not self.disease_course:
            return []
        dies_on = self.disease_course.dies_on
        return [fact for fact in self.facts_of("participant.withdrawn") if fact.day + timedelta(days=days) < dies_on]

    def add(
        self, service: Service, type_name: str, data: dict[str, Any], day: date, **linked: SimulatedFact
    ) -> SimulatedFact:
        """Adds a fact; one of enrollment is inserted before the first later one, since these are reported in order."""
        fact = SimulatedFact(service, type_name, data, day, **linked)
        is_ordered = service == "enrollment" and not fact.corrects
        later_positions = (
            position for position, fact in enumerate(self.facts) if fact.service != service or fact.day > day
        )
        self.facts.insert(next(later_positions, len(self.facts)) if is_ordered else len(self.facts), fact)
        return fact

    def correct(
        self, original: SimulatedFact, reason_code: str, new_data: dict[str, Any] | None, **linked: SimulatedFact
    ) -> SimulatedFact:
        """Corrects a fact to `new_data`, its whole new content; None voids it."""
        replacement = new_data and {"type": original.type, "schema_version": 1, "data": new_data}
        data = {"reason_code": reason_code, "replacement": replacement}
        return self.add(original.service, "record.corrected", data, original.day, corrects=original, **linked)

    def misreport(self, fact: SimulatedFact, reason_code: str = "typing_error", **wrong_data: Any) -> None:
        """Reports the fact with wrong members first, and then correct them."""
        right_data = deepcopy(fact.data)
        fact.data = {**fact.data, **wrong_data}
        self.correct(fact, reason_code, right_data)

    def drop_facts(self, is_dropped: Callable[[SimulatedFact], bool]) -> None:
        self.facts = [fact for fact in self.facts if not is_dropped(fact)]


class OptionalEvent(NamedTuple):
    """An event that happens to some participants, at one of its candidate facts, with a probability of its own."""

    name: str
    find_candidates: Callable[[ParticipantStory], Sequence[SimulatedFact]]
    apply: Callable[[ParticipantStory, SimulatedFact], None]


def choose_events(story: ParticipantStory, events: Sequence[OptionalEvent], rates: Mapping[str, float]) -> None:
    for event in events:
        candidates = event.find_candidates(story)
        is_chosen = story.rng.random() < rates[event.name]
        if candidates:
            story.possible_events.add(event.name)
        if candidates and is_chosen:
            story.chosen_events.add(event.name)
            event.apply(story, story.rng.choice(candidates))


def iso_day(day: date, offset_days: int = 0) -> str:
    return (day + timedelta(days=offset_days)).isoformat()
