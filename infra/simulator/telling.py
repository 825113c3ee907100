"""Who tells a story's facts, when, and in which order: sites report late, and correct themselves later still."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

from infra.reference import odds
from infra.reference.study import StatedFact
from infra.reference.treated import SERVICES, Happening, Service
from infra.simulator.rates import TOLD_AFTER, TOLD_SOONER_OR_LATER
from infra.simulator.story import Story, iso
from infra.simulator.study import Site
from shared.kernel.ids import legacy_event_id

NAMES = {"radiotherapy.started": "course", "systemic_therapy.started": "line", "lesion.registered": "lesion"}
"""Facts that name what other services speak of."""
A_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Told:
    """A fact of a life, the day on which it is told, and the site that tells it.

    `corrects` is the place, in the life, of what a `record.corrected` is about; its event id is not in `data`.
    """

    service: Service
    type: str
    data: dict[str, Any]
    told_on: str
    site_id: str
    corrects: int | None = None

    @property
    def fact(self) -> StatedFact:
        return {"type": self.type, "data": self.data}

    def about(self, event_id: str | UUID | None) -> StatedFact:
        """The fact with the id of the event that it corrects, where it corrects one."""
        return {"type": self.type, "data": {**self.data, "event_id": str(event_id)} if event_id else self.data}


@dataclass(frozen=True)
class Life:
    """`facts` are in the order in which they are told; the first is the screening, at `site`."""

    site: Site
    facts: tuple[Told, ...]

    @property
    def days(self) -> list[str]:
        """Of each fact the day from which on it can be stated; none is before the one before."""
        return [fact.told_on for fact in self.facts]

    @cached_property
    def corrected(self) -> dict[int, int]:
        """Places of the facts that are corrected, each with that of its last correction."""
        return {fact.corrects: place for place, fact in enumerate(self.facts) if fact.corrects is not None}

    def of(self, service: Service) -> list[StatedFact]:
        """What one service is told, corrections left out."""
        return [fact.fact for fact in self.facts if fact.service == service and fact.corrects is None]

    def streams(self, scope: str) -> dict[Service, list[tuple[UUID, StatedFact]]]:
        """What each service is told, corrections with it, under event ids that are made of `scope`: without HTTP."""
        ids = [legacy_event_id(scope, place) for place in range(len(self.facts))]
        streams: dict[Service, list[tuple[UUID, StatedFact]]] = {service: [] for service in SERVICES}
        for event_id, fact in zip(ids, self.facts, strict=True):
            corrected = None if fact.corrects is None else ids[fact.corrects]
            streams[fact.service].append((event_id, fact.about(corrected)))
        return streams


def tell(story: Story) -> Life:
    """The story as sites tell it, up to the day on which the record is voided, if it is."""
    telling = _Telling(story)
    ordered = sorted(_in_order(story), key=telling.day)  # the sort keeps what is told on one day in order
    if story.voided:
        last = telling.day(story.happenings[0]) + timedelta(days=story.voided[0])
        void = Happening("enrollment", "participant.voided", story.voided[1], last)
        ordered = [each for each in ordered if telling.day(each) <= last] + [void]
        telling.told[id(void)] = last
    places = {id(each): place for place, each in enumerate(ordered)}
    sites = _sites(story, ordered)
    return Life(
        story.site,
        tuple(
            Told(
                each.service, each.type, each.data, iso(telling.day(each)), site,
                places[id(each.corrects)] if each.corrects else None,
            )
            for each, site in zip(ordered, sites, strict=True)
        ),
    )  # fmt: skip


def _in_order(story: Story) -> list[Happening]:
    """On one day enrollment is told first, and corrections come last."""
    return sorted(story.happenings, key=lambda each: (each.corrects is not None, each.service != "enrollment"))


def _sites(story: Story, ordered: list[Happening]) -> Iterator[str]:
    """A transfer is told by the site that the participant leaves; what follows by the new one."""
    site = story.site.site_id
    for happening in ordered:
        yield site
        if happening.type == "participant.transferred":
            site = happening.data["to_site"]


@dataclass
class _Telling:
    story: Story
    told: dict[int, date] = field(default_factory=dict)

    @cached_property
    def _enrollment(self) -> list[Happening]:
        return [each for each in self.story.happenings if each.service == "enrollment" and not each.corrects]

    @cached_property
    def _before(self) -> dict[int, Happening]:
        """Enrollment is told in the order in which things happen: what is told there before each."""
        return {id(each): before for before, each in zip(self._enrollment, self._enrollment[1:], strict=False)}

    @cached_property
    def _named(self) -> dict[str, Happening]:
        """What tells of the courses, lines and lesions that other services speak of, by what they say."""
        named = {}
        for each in self._enrollment:
            if kind := NAMES.get(each.type):
                name = each.data[f"{kind}_id"]
                named[name] = named[f"{kind}:{name}"] = each
        return named

    def day(self, happening: Happening) -> date:
        """The day on which it is told: some days after it happened, and not before what it rests on."""
        if id(happening) not in self.told:
            spans = TOLD_SOONER_OR_LATER.get(happening.type, TOLD_AFTER)
            delay = odds.days(self.story.rng, spans)
            if happening.corrects:
                first = self.day(happening.corrects) + delay
            else:
                first = max([happening.day + delay, *(self.day(each) for each in self._rests_on(happening))])
            linked = self.day(happening.after) + A_DAY if happening.after else first
            self.told[id(happening)] = max(first, linked)
        return self.told[id(happening)]

    def _rests_on(self, happening: Happening) -> list[Happening]:
        if happening.service == "enrollment":
            return [before] if (before := self._before.get(id(happening))) else []
        enrolled = [each for each in self._enrollment if each.type == "participant.enrolled"]
        return enrolled + [self._named[text] for text in _texts(happening.data) if text in self._named]


def _texts(said: Any) -> Iterator[str]:
    match said:
        case str():
            yield said
        case dict():
            for member in said.values():
                yield from _texts(member)
        case list():
            for member in said:
                yield from _texts(member)
