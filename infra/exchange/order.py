"""The order in which the facts of a file can be stated, whatever order they are written in. Pure.

A study's own facts come first, but those that close something last. Then each participant's, service by service: what
an export says in the order in which it was recorded, anything else in clinical order. What is stated together is
decided together, so the order within one service matters only to who reads the history afterwards.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from infra.exchange.line import Line
from shared.kernel.fact import Corrected, Fact

SERVICES = ("enrollment", "toxicity", "followup")
SCREENED, TRANSFERRED = "participant.screened", "participant.transferred"
WITHDRAWN, VOIDED = "participant.withdrawn", "participant.voided"
CLOSING = frozenset({WITHDRAWN, VOIDED})
"""After these some facts are refused that were stated before them."""
_OF_STUDY = ("study.opened", "study.site_activated", "study.protocol_amended")
_LAST_OF_STUDY = ("study.site_closed", "study.accrual_closed", "study.cut_taken", "study.closed")
_CLINICAL = (
    SCREENED, "participant.consented", "participant.screen_failed", "participant.enrolled",
    "participant.baseline_recorded", "lesion.registered", "procedure.performed", "radiotherapy.started",
    "systemic_therapy.started", "radiotherapy.prescription_changed", "radiotherapy.completed",
    "radiotherapy.discontinued", "systemic_therapy.stopped", "toxicity.serious_event_reported",
    "toxicity.serious_event_updated", "toxicity.serious_event_resolved",
)  # fmt: skip
_RANK = {name: place for place, name in enumerate(_CLINICAL)}
_AFTER_ALL = {Corrected.type_name: 101, WITHDRAWN: 102, TRANSFERRED: 104, VOIDED: 106}
"""What corrects one of the last three follows it directly."""


@dataclass(frozen=True, slots=True)
class Said:
    """A line with the fact that it states."""

    line: Line
    fact: Fact


@dataclass
class Story:
    """What a file says of one participant: known by a number, or registered by the file under a ref."""

    person: str
    is_ref: bool
    said: list[Said] = field(default_factory=list)

    @property
    def screening(self) -> Said | None:
        """What registers somebody new: the earliest of the screenings."""
        return next((each for each in self.of("enrollment") if each.line.type == SCREENED), None)

    def of(self, service: str) -> list[Said]:
        told = [each for each in self.said if each.line.service == service]
        last = {each.line.event_id: _AFTER_ALL[each.line.type] for each in told if each.line.type in _AFTER_ALL}
        return sorted(told, key=lambda each: _place(each, last))

    def stages(self) -> Iterator[tuple[str, list[Said]]]:
        """(service, what is stated there, in order): enrollment, toxicity, followup, and at last that the record is
        void; by turns, as it was recorded, where an export tells of a participant for whom something was closed."""
        told = [(service, self.of(service)) for service in SERVICES]
        if not self._was_closed:
            enrollment = told[0][1]
            end = next((place for place, each in enumerate(enrollment) if each.line.type == VOIDED), len(enrollment))
            stages = [(SERVICES[0], enrollment[:end]), *told[1:], (SERVICES[0], enrollment[end:])]
            yield from ((service, said) for service, said in stages if said)
            return
        merged = heapq.merge(*(said for _, said in told), key=lambda each: each.line.recorded_at)
        turns = groupby(_numbered(merged), key=lambda pair: (pair[0], pair[1].line.service))
        yield from ((service, [each for _, each in turn]) for (_, service), turn in turns)

    @property
    def _was_closed(self) -> bool:
        return any(each.line.type in CLOSING and each.line.is_exported for each in self.said)


def _numbered(said: Iterable[Said]) -> Iterator[tuple[int, Said]]:
    """With the number of closing facts up to and with it, so that each of them begins a turn."""
    closed = 0
    for each in said:
        closed += each.line.type in CLOSING
        yield closed, each


def _place(said: Said, last: Mapping[str | None, int]) -> tuple[int, int, int, str, int]:
    line, on = said.line, said.fact.happened_on
    rank = _AFTER_ALL.get(line.type, _RANK.get(line.type, len(_CLINICAL)))
    if isinstance(said.fact, Corrected):
        rank = last.get(str(said.fact.event_id), rank - 1) + 1
    if line.version is not None:
        return 0, line.version, 0, "", line.number
    return 1, 0, rank, on.latest.isoformat() if on else "", line.number


def stories(said: Iterable[Said]) -> list[Story]:
    """The participants of a file, in the order in which it first names them."""
    found: dict[tuple[str, bool], Story] = {}
    for each in said:
        key = each.line.person, each.line.is_ref
        found.setdefault(key, Story(*key)).said.append(each)
    return list(found.values())


def of_study(said: Sequence[Said]) -> tuple[list[Said], list[Said]]:
    """A study's own facts: those before and those after its participants'. Grants and revocations keep their order."""
    own = [each for each in said if not each.line.person]
    first = [each for each in own if each.line.type not in _LAST_OF_STUDY]
    last = [each for each in own if each.line.type in _LAST_OF_STUDY]
    rank = {name: place for place, name in enumerate((*_OF_STUDY, "", *_LAST_OF_STUDY))}
    for each in (first, last):
        each.sort(key=lambda said: rank.get(said.line.type, len(_OF_STUDY)))
    return first, last
