"""A made-up participant's story while it is written: what happens, before it is said who tells it and when."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random
from typing import Any, NamedTuple

from infra.reference.outlook import Outlook
from infra.reference.treated import Happening, Service, Treated
from infra.simulator.study import Site


@dataclass
class Story:
    """`happenings` are in an order in which they can be told, service by service.

    `could` and `did` name the turns that were possible and those that were taken; `voided` is the end of a record that
    is a mistake: after how many days, and the content of `participant.voided`.
    """

    rng: Random
    site: Site
    sites: Sequence[Site]
    happenings: list[Happening]
    treated: Treated | None = None
    outlook: Outlook | None = None
    could: set[str] = field(default_factory=set)
    did: set[str] = field(default_factory=set)
    voided: tuple[int, dict[str, Any]] | None = None

    def all(self, type_name: str) -> list[Happening]:
        return [each for each in self.happenings if each.type == type_name]

    def untouched(self, type_name: str) -> list[Happening]:
        """Those that no correction is about yet."""
        corrected = {id(each.corrects) for each in self.happenings}
        return [each for each in self.all(type_name) if id(each) not in corrected]

    def add(self, service: Service, type_name: str, data: dict[str, Any], day: date, **linked: Happening) -> Happening:
        """Among enrollment's facts, which are told in their order, before the first that happens later."""
        happening = Happening(service, type_name, data, day, **linked)
        in_order = service == "enrollment" and not happening.corrects
        later = (place for place, each in enumerate(self.happenings) if each.service != service or each.day > day)
        self.happenings.insert(next(later, len(self.happenings)) if in_order else len(self.happenings), happening)
        return happening

    def correct(self, wrong: Happening, why: str, restated: dict[str, Any] | None, **linked: Happening) -> Happening:
        """Restate what was told by `restated`, its whole new content; None voids it."""
        replacement = restated and {"type": wrong.type, "schema_version": 1, "data": restated}
        data = {"reason_code": why, "replacement": replacement}
        return self.add(wrong.service, "record.corrected", data, wrong.day, corrects=wrong, **linked)

    def told_wrong(self, happening: Happening, why: str = "typing_error", **wrong: Any) -> None:
        """`happening` is told with other members first, and then restated as it was."""
        right = deepcopy(happening.data)
        happening.data = {**happening.data, **wrong}
        self.correct(happening, why, right)

    def forget(self, of_no_use: Callable[[Happening], bool]) -> None:
        self.happenings = [each for each in self.happenings if not of_no_use(each)]


class Turn(NamedTuple):
    """Something that happens to some: at one of the places `where` it can, with a probability of its own."""

    name: str
    where: Callable[[Story], Sequence[Happening]]
    what: Callable[[Story, Happening], None]


def take(story: Story, turns: Sequence[Turn], rates: Mapping[str, float]) -> None:
    for turn in turns:
        places = turn.where(story)
        taken = story.rng.random() < rates[turn.name]
        if places:
            story.could.add(turn.name)
        if places and taken:
            story.did.add(turn.name)
            turn.what(story, story.rng.choice(places))


def iso(day: date, later: int = 0) -> str:
    return (day + timedelta(days=later)).isoformat()
