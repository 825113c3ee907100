"""Who tells a story's facts, when, and in which order: sites report late, and correct themselves later still."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

from infra.client.services import SERVICES, Service
from infra.reference.simulated_study import SimulatedSite
from infra.reference.study import ReferenceFact
from infra.simulator.participant_story import ParticipantStory, iso_day
from infra.simulator.rates import REPORT_DELAYS, REPORT_DELAYS_BY_TYPE
from infra.synthetic import probabilities
from infra.synthetic.treatment_summary import SimulatedFact
from shared.kernel.ids import legacy_event_id

NAMING_FACTS = {"radiotherapy.started": "course", "systemic_therapy.started": "line", "lesion.registered": "lesion"}
"""Facts that name what other services speak of."""
ONE_DAY = timedelta(days=1)


@dataclass(frozen=True)
class ReportedFact:
    """A fact of a life, the day on which it is told, and the site that tells it.

    `corrects` is the place, in the life, of what a `record.corrected` is about; its event id is not in `data`.
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
        """The fact with the id of the event that it corrects, where it corrects one."""
        return {"type": self.type, "data": {**self.data, "event_id": str(event_id)} if event_id else self.data}


@dataclass(frozen=True)
class SimulatedParticipant:
    """`facts` are in the order in which they are told; the first is the screening, at `site`."""

    site: SimulatedSite
    facts: tuple[ReportedFact, ...]

    @property
    def report_days(self) -> list[str]:
        """Of each fact the day from which on it can be stated; none is before the one before."""
        return [fact.reported_on for fact in self.facts]

    @cached_property
    def last_corrections(self) -> dict[int, int]:
        """Places of the facts that are corrected, each with that of its last correction."""
        return {fact.corrects: place for place, fact in enumerate(self.facts) if fact.corrects is not None}

    def facts_of_service(self, service: Service) -> list[ReferenceFact]:
        """What one service is told, corrections left out."""
        return [fact.fact for fact in self.facts if fact.service == service and fact.corrects is None]

    def streams(self, scope: str) -> dict[Service, list[tuple[UUID, ReferenceFact]]]:
        """What each service is told, corrections with it, under event ids that are made of `scope`: without HTTP."""
        ids = [legacy_event_id(scope, place) for place in range(len(self.facts))]
        streams: dict[Service, list[tuple[UUID, ReferenceFact]]] = {service: [] for service in SERVICES}
        for event_id, fact in zip(ids, self.facts, strict=True):
            corrected_id = None if fact.corrects is None else ids[fact.corrects]
            streams[fact.service].append((event_id, fact.with_event_id(corrected_id)))
        return streams


def schedule_reports(story: ParticipantStory) -> SimulatedParticipant:
    """The story as sites tell it, up to the day on which the record is voided, if it is."""
    schedule = _ReportSchedule(story)
    reports = sorted(_clinical_order(story), key=schedule.report_day)  # the sort keeps what is told on one day in order
    if story.void_after:
        last = schedule.report_day(story.facts[0]) + timedelta(days=story.void_after[0])
        void_fact = SimulatedFact("enrollment", "participant.voided", story.void_after[1], last)
        reports = [each for each in reports if schedule.report_day(each) <= last] + [void_fact]
        schedule.report_days[id(void_fact)] = last
    positions = {id(each): place for place, each in enumerate(reports)}
    sites = _reporting_sites(story, reports)
    return SimulatedParticipant(
        story.site,
        tuple(
            ReportedFact(
                each.service,
                each.type,
                each.data,
                iso_day(schedule.report_day(each)),
                site,
                positions[id(each.corrects)] if each.corrects else None,
            )
            for each, site in zip(reports, sites, strict=True)
        ),
    )


def _clinical_order(story: ParticipantStory) -> list[SimulatedFact]:
    """On one day enrollment is told first, and corrections come last."""
    return sorted(story.facts, key=lambda each: (each.corrects is not None, each.service != "enrollment"))


def _reporting_sites(story: ParticipantStory, reports: list[SimulatedFact]) -> Iterator[str]:
    """A transfer is told by the site that the participant leaves; what follows by the new one."""
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
        return [each for each in self.story.facts if each.service == "enrollment" and not each.corrects]

    @cached_property
    def _predecessors(self) -> dict[int, SimulatedFact]:
        """Enrollment is told in the order in which things happen: what is told there before each."""
        return {id(each): before for before, each in zip(self._enrollment, self._enrollment[1:], strict=False)}

    @cached_property
    def _naming_facts(self) -> dict[str, SimulatedFact]:
        """What tells of the courses, lines and lesions that other services speak of, by what they say."""
        naming_facts = {}
        for fact in self._enrollment:
            if kind := NAMING_FACTS.get(fact.type):
                name = fact.data[f"{kind}_id"]
                naming_facts[name] = naming_facts[f"{kind}:{name}"] = fact
        return naming_facts

    def report_day(self, fact: SimulatedFact) -> date:
        """The day on which it is told: some days after it happened, and not before what it rests on."""
        if id(fact) not in self.report_days:
            spans = REPORT_DELAYS_BY_TYPE.get(fact.type, REPORT_DELAYS)
            delay = probabilities.draw_days(self.story.rng, spans)
            if fact.corrects:
                earliest = self.report_day(fact.corrects) + delay
            else:
                earliest = max([fact.day + delay, *(self.report_day(each) for each in self._prerequisites(fact))])
            linked = self.report_day(fact.after) + ONE_DAY if fact.after else earliest
            self.report_days[id(fact)] = max(earliest, linked)
        return self.report_days[id(fact)]

    def _prerequisites(self, fact: SimulatedFact) -> list[SimulatedFact]:
        if fact.service == "enrollment":
            return [before] if (before := self._predecessors.get(id(fact))) else []
        enrolled = [each for each in self._enrollment if each.type == "participant.enrolled"]
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
