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

from infra.client.services import SERVICES
from infra.exchange.import_line import ImportLine
from shared.kernel.fact import Correction, Fact

SCREENED, TRANSFERRED = "participant.screened", "participant.transferred"
WITHDRAWN, VOIDED = "participant.withdrawn", "participant.voided"
CLOSING_FACTS = frozenset({WITHDRAWN, VOIDED})
"""After these some facts are refused that were stated before them."""
_FIRST_STUDY_FACTS = ("study.opened", "study.site_activated", "study.protocol_amended")
_LAST_STUDY_FACTS = ("study.site_closed", "study.accrual_closed", "study.cut_taken", "study.closed")
_CLINICAL_ORDER = (
    SCREENED,
    "participant.consented",
    "participant.screen_failed",
    "participant.enrolled",
    "participant.baseline_recorded",
    "lesion.registered",
    "procedure.performed",
    "radiotherapy.started",
    "systemic_therapy.started",
    "radiotherapy.prescription_changed",
    "radiotherapy.completed",
    "radiotherapy.discontinued",
    "systemic_therapy.stopped",
    "toxicity.serious_event_reported",
    "toxicity.serious_event_updated",
    "toxicity.serious_event_resolved",
)
_CLINICAL_RANKS = {name: place for place, name in enumerate(_CLINICAL_ORDER)}
_FINAL_RANKS = {Correction.type_name: 101, WITHDRAWN: 102, TRANSFERRED: 104, VOIDED: 106}
"""What corrects one of the last three follows it directly."""


@dataclass(frozen=True, slots=True)
class ImportFact:
    """A line with the fact that it states."""

    line: ImportLine
    fact: Fact


@dataclass
class ParticipantFacts:
    """What a file says of one participant: known by a number, or registered by the file under a ref."""

    person: str
    is_ref: bool
    facts: list[ImportFact] = field(default_factory=list)

    @property
    def screening(self) -> ImportFact | None:
        """What registers somebody new: the earliest of the screenings."""
        return next((each for each in self.facts_of_service("enrollment") if each.line.type == SCREENED), None)

    def facts_of_service(self, service: str) -> list[ImportFact]:
        facts = [each for each in self.facts if each.line.service == service]
        corrected_ranks = {
            each.line.event_id: _FINAL_RANKS[each.line.type] for each in facts if each.line.type in _FINAL_RANKS
        }
        return sorted(facts, key=lambda each: _sort_key(each, corrected_ranks))

    def stages(self) -> Iterator[tuple[str, list[ImportFact]]]:
        """(service, what is stated there, in order): enrollment, toxicity, followup, and at last that the record is
        void; by turns, as it was recorded, where an export tells of a participant for whom something was closed."""
        facts_by_service = [(service, self.facts_of_service(service)) for service in SERVICES]
        if not self._has_exported_closing:
            enrollment = facts_by_service[0][1]
            void_index = next(
                (place for place, each in enumerate(enrollment) if each.line.type == VOIDED), len(enrollment)
            )
            stages = [
                (SERVICES[0], enrollment[:void_index]),
                *facts_by_service[1:],
                (SERVICES[0], enrollment[void_index:]),
            ]
            yield from ((service, said) for service, said in stages if said)
            return
        merged = heapq.merge(*(said for _, said in facts_by_service), key=lambda each: each.line.recorded_at)
        stages_by_turn = groupby(_number_by_closing(merged), key=lambda pair: (pair[0], pair[1].line.service))
        yield from ((service, [each for _, each in turn]) for (_, service), turn in stages_by_turn)

    @property
    def _has_exported_closing(self) -> bool:
        return any(each.line.type in CLOSING_FACTS and each.line.is_exported for each in self.facts)


def _number_by_closing(facts: Iterable[ImportFact]) -> Iterator[tuple[int, ImportFact]]:
    """With the number of closing facts up to and with it, so that each of them begins a turn."""
    closing_count = 0
    for fact in facts:
        closing_count += fact.line.type in CLOSING_FACTS
        yield closing_count, fact


def _sort_key(fact: ImportFact, corrected_ranks: Mapping[str | None, int]) -> tuple[int, int, int, str, int]:
    line, happened_on = fact.line, fact.fact.happened_on
    rank = _FINAL_RANKS.get(line.type, _CLINICAL_RANKS.get(line.type, len(_CLINICAL_ORDER)))
    if isinstance(fact.fact, Correction):
        rank = corrected_ranks.get(str(fact.fact.event_id), rank - 1) + 1
    if line.version is not None:
        return 0, line.version, 0, "", line.number
    return 1, 0, rank, happened_on.latest.isoformat() if happened_on else "", line.number


def group_by_participant(facts: Iterable[ImportFact]) -> list[ParticipantFacts]:
    """The participants of a file, in the order in which it first names them."""
    participants: dict[tuple[str, bool], ParticipantFacts] = {}
    for fact in facts:
        key = fact.line.person, fact.line.is_ref
        participants.setdefault(key, ParticipantFacts(*key)).facts.append(fact)
    return list(participants.values())


def split_study_facts(facts: Sequence[ImportFact]) -> tuple[list[ImportFact], list[ImportFact]]:
    """A study's own facts: those before and those after its participants'. Grants and revocations keep their order."""
    study_facts = [group for group in facts if not group.line.person]
    first = [each for each in study_facts if each.line.type not in _LAST_STUDY_FACTS]
    last = [each for each in study_facts if each.line.type in _LAST_STUDY_FACTS]
    rank = {name: place for place, name in enumerate((*_FIRST_STUDY_FACTS, "", *_LAST_STUDY_FACTS))}
    for each in (first, last):
        each.sort(key=lambda said: rank.get(said.line.type, len(_FIRST_STUDY_FACTS)))
    return first, last
