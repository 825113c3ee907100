"""Assigns a report day and a site to each fact: sites report late, and correct themselves later still."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

from infra.reference.simulated_study import SimulatedSite
from infra.reference.study import ReferenceFact
from infra.services import SERVICES, Service
from infra.simulator.participant_story import ParticipantStory, iso_day
from infra.simulator.rates import REPORT_DELAYS, REPORT_DELAYS_BY_TYPE
from infra.synthetic import probabilities
from infra.synthetic.treatment_summary import SimulatedFact
from shared.kernel.ids import legacy_event_id

NAMING_FACTS = {"radiotherapy.started": "course", "systemic_therapy.started": "line", "lesion.registered": "lesion"}
"""Facts that define an id to which facts of other services refer."""
ONE_DAY = timedelta(days=1)


@dataclass(frozen=True)
class ReportedFact:
    """A fact, the day on which it is reported, and the site that reports it.

    `corrects` is the index of the fact that a `record.corrected` corrects; `data` lacks the id of its event.
    """

    service: Service
    type: str
    data: dict[str, Any]
    reported_on: str
    site_id: str
    corrects: int | None = None

    @property
    def fact(self) -> ReferenceFact:
        return {"type": self.type, "data": self.data}

    def with_event_id(self, event_id: str | UUID | None) -> ReferenceFact:
        """Returns the fact, with the id of the event that it corrects, if any."""
        return {"type": self.type, "data": {**self.data, "event_id": str(event_id)} if event_id else self.data}


@dataclass(frozen=True)
class SimulatedParticipant:
    """A participant; `facts` are in the order of their reports, and the first is the screening, at `site`."""

    site: SimulatedSite
    facts: tuple[ReportedFact, ...]

    @property
    def report_days(self) -> list[str]:
        """The day of each fact from which on it can be recorded, in ascending order."""
        return [fact.reported_on for fact in self.facts]

    @cached_property
    def last_corrections(self) -> dict[int, int]:
        """The index of the last correction by the index of the corrected fact."""
        return {fact.corrects: index for index, fact in enumerate(self.facts) if fact.corrects is not None}

    def facts_of_service(self, service: Service) -> list[ReferenceFact]:
        """Returns the facts of one service without corrections."""
        return [fact.fact for fact in self.facts if fact.service == service and fact.corrects is None]

    def streams(self, scope: str) -> dict[Service, list[tuple[UUID, ReferenceFact]]]:
        """Returns (event id, fact) by service, with corrections, for use without HTTP; ids are derived from `scope`."""
        ids = [legacy_event_id(scope, index) for index in range(len(self.facts))]
        streams: dict[Service, list[tuple[UUID, ReferenceFact]]] = {service: [] for service in SERVICES}
        for event_id, fact in zip(ids, self.facts, strict=True):
            corrected_id = None if fact.corrects is None else ids[fact.corrects]
            streams[fact.service].append((event_id, fact.with_event_id(corrected_id)))
        return streams


def schedule_reports(story: ParticipantStory) -> SimulatedParticipant:
    """Returns the participant as sites report it, up to the day on which the record is voided, if it is."""
    schedule = _ReportSchedule(story)
    reports = sorted(_enrollment_first(story), key=schedule.report_day)
    if story.void_after:
        last = schedule.report_day(story.facts[0]) + timedelta(days=story.void_after[0])
        void_fact = SimulatedFact("enrollment", "participant.voided", story.void_after[1], last)
        reports = [fact for fact in reports if schedule.report_day(fact) <= last] + [void_fact]
        schedule.report_days[id(void_fact)] = last
    positions = {id(fact): position for position, fact in enumerate(reports)}
    sites = _reporting_sites(story, reports)
    return SimulatedParticipant(
        story.site,
        tuple(
            ReportedFact(
                service=fact.service,
                type=fact.type,
                data=fact.data,
                reported_on=iso_day(schedule.report_day(fact)),
                site_id=site,
                corrects=positions[id(fact.corrects)] if fact.corrects else None,
            )
            for fact, site in zip(reports, sites, strict=True)
        ),
    )


def _enrollment_first(story: ParticipantStory) -> list[SimulatedFact]:
    """Sorts enrollment first and corrections last; facts of one kind keep their order."""
    return sorted(story.facts, key=lambda fact: (fact.corrects is not None, fact.service != "enrollment"))


def _reporting_sites(story: ParticipantStory, reports: list[SimulatedFact]) -> Iterator[str]:
    """Yields the site of each report: the old site reports a transfer, the new one every later fact."""
    site = story.site.site_id
    for fact in reports:
        yield site
        if fact.type == "participant.transferred":
            site = fact.data["to_site"]


@dataclass
class _ReportSchedule:
    story: ParticipantStory
    report_days: dict[int, date] = field(default_factory=dict)

    @cached_property
    def _enrollment(self) -> list[SimulatedFact]:
        return [fact for fact in self.story.facts if fact.service == "enrollment" and not fact.corrects]

    @cached_property
    def _predecessors(self) -> dict[int, SimulatedFact]:
        """The enrollment fact before each one by id; enrollment facts are reported in clinical order."""
        return {id(fact): before for before, fact in zip(self._enrollment, self._enrollment[1:], strict=False)}

    @cached_property
    def _naming_facts(self) -> dict[str, SimulatedFact]:
        """The facts that define courses, lines and lesions, by the texts with which other facts refer to them."""
        naming_facts = {}
        for fact in self._enrollment:
            if kind := NAMING_FACTS.get(fact.type):
                name = fact.data[f"{kind}_id"]
                naming_facts[name] = naming_facts[f"{kind}:{name}"] = fact
        return naming_facts

    def report_day(self, fact: SimulatedFact) -> date:
        """Returns the report day of a fact: some days after it happened, and not before its prerequisites."""
        if id(fact) not in self.report_days:
            spans = REPORT_DELAYS_BY_TYPE.get(fact.type, REPORT_DELAYS)
            delay = probabilities.draw_days(self.story.rng, spans)
            if fact.corrects:
                earliest = self.report_day(fact.corrects) + delay
            else:
                earliest = max([fact.day + delay, *(self.report_day(earlier) for earlier in self._prerequisites(fact))])
            linked = self.report_day(fact.after) + ONE_DAY if fact.after else earliest
            self.report_days[id(fact)] = max(earliest, linked)
        return self.report_days[id(fact)]

    def _prerequisites(self, fact: SimulatedFact) -> list[SimulatedFact]:
        if fact.service == "enrollment":
            return [before] if (before := self._predecessors.get(id(fact))) else []
        enrolled = [fact for fact in self._enrollment if fact.type == "participant.enrolled"]
        return enrolled + [self._naming_facts[text] for text in _strings_in(fact.data) if text in self._naming_facts]


def _strings_in(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for member in value.values():
                yield from _strings_in(member)
        case list():
            for member in value:
                yield from _strings_in(member)
