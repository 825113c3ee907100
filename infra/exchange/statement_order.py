"""Sorts the facts of a file into an order in which they can be recorded. Pure.

Facts of the study come first, except those that close something, which come last. Facts of a participant follow service
by service: those of an export in the order in which they were recorded, others in clinical order. The facts of a batch
are decided together, so the order within one service matters only to readers of the history.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from infra.exchange.import_line import ImportLine
from infra.services import SERVICES
from shared.contracts.catalogue import PARTICIPANT
from shared.contracts.clinical_order import CLINICAL_RANKS
from shared.contracts.toxicity import SeriousEventReported, SeriousEventResolved, SeriousEventUpdated
from shared.kernel.fact import Correction, Fact

SCREENED, TRANSFERRED = "participant.screened", "participant.transferred"
WITHDRAWN, VOIDED = "participant.withdrawn", "participant.voided"
CLOSING_FACTS = frozenset({WITHDRAWN, VOIDED})
"""Facts after which services refuse some facts that they accept before."""
_FIRST_STUDY_FACTS = ("study.opened", "study.site_activated", "study.protocol_amended")
_LAST_STUDY_FACTS = ("study.site_closed", "study.accrual_closed", "study.cut_taken", "study.closed")
_SERIOUS_EVENT_FACTS = (SeriousEventReported, SeriousEventUpdated, SeriousEventResolved)
_CLINICAL_RANKS = {
    fact_type.type_name: rank
    for fact_type, rank in CLINICAL_RANKS.items()
    if fact_type.type_name in PARTICIPANT.facts or fact_type in _SERIOUS_EVENT_FACTS
}
"""Ranks of the facts that others refer to; all other facts are stated after them, by date."""
_FINAL_RANKS = {Correction.type_name: 101, WITHDRAWN: 102, TRANSFERRED: 104, VOIDED: 106}
"""A correction of one of the last three follows it directly."""


@dataclass(frozen=True, slots=True)
class ImportFact:
    """A line and its fact."""

    line: ImportLine
    fact: Fact


@dataclass
class ParticipantFacts:
    """The facts of one participant in a file, who has a number or is registered by the file under a ref."""

    participant_key: str
    is_ref: bool
    facts: list[ImportFact] = field(default_factory=list)

    @property
    def screening(self) -> ImportFact | None:
        """The screening that registers a new participant: the earliest one."""
        return next((fact for fact in self.facts_of_service("enrollment") if fact.line.type == SCREENED), None)

    def facts_of_service(self, service: str) -> list[ImportFact]:
        facts = [fact for fact in self.facts if fact.line.service == service]
        corrected_ranks = {
            fact.line.event_id: _FINAL_RANKS[fact.line.type] for fact in facts if fact.line.type in _FINAL_RANKS
        }
        return sorted(facts, key=lambda fact: _sort_key(fact, corrected_ranks))

    def stages(self) -> Iterator[tuple[str, list[ImportFact]]]:
        """Yields (service, facts in order): enrollment, toxicity, followup, and at last a voiding of the participant.

        Exported facts of a participant with a withdrawal or a voiding change service in the order of recording.
        """
        facts_by_service = [(service, self.facts_of_service(service)) for service in SERVICES]
        if not self._has_exported_closing:
            enrollment = facts_by_service[0][1]
            void_index = next(
                (index for index, fact in enumerate(enrollment) if fact.line.type == VOIDED), len(enrollment)
            )
            stages = [
                (SERVICES[0], enrollment[:void_index]),
                *facts_by_service[1:],
                (SERVICES[0], enrollment[void_index:]),
            ]
            yield from ((service, facts) for service, facts in stages if facts)
            return
        merged = heapq.merge(*(facts for _, facts in facts_by_service), key=lambda fact: fact.line.recorded_at)
        stages_by_turn = groupby(_number_by_closing(merged), key=lambda pair: (pair[0], pair[1].line.service))
        yield from ((service, [fact for _, fact in turn]) for (_, service), turn in stages_by_turn)

    @property
    def _has_exported_closing(self) -> bool:
        return any(fact.line.type in CLOSING_FACTS and fact.line.is_exported for fact in self.facts)


def _number_by_closing(facts: Iterable[ImportFact]) -> Iterator[tuple[int, ImportFact]]:
    """Pairs each fact with the number of closing facts up to and including it: each closing fact begins a stage."""
    closing_count = 0
    for fact in facts:
        closing_count += fact.line.type in CLOSING_FACTS
        yield closing_count, fact


def _sort_key(fact: ImportFact, corrected_ranks: Mapping[str | None, int]) -> tuple[int, int, int, str, int]:
    line, happened_on = fact.line, fact.fact.happened_on
    rank = _FINAL_RANKS.get(line.type, _CLINICAL_RANKS.get(line.type, len(CLINICAL_RANKS)))
    if isinstance(fact.fact, Correction):
        rank = corrected_ranks.get(str(fact.fact.event_id), rank - 1) + 1
    if line.version is not None:
        return 0, line.version, 0, "", line.number
    return 1, 0, rank, happened_on.latest.isoformat() if happened_on else "", line.number


def group_by_participant(facts: Iterable[ImportFact]) -> list[ParticipantFacts]:
    """Returns the participants of a file, in the order of their first line."""
    participants: dict[tuple[str, bool], ParticipantFacts] = {}
    for fact in facts:
        key = fact.line.participant_key, fact.line.is_ref
        participants.setdefault(key, ParticipantFacts(*key)).facts.append(fact)
    return list(participants.values())


def split_study_facts(facts: Sequence[ImportFact]) -> tuple[list[ImportFact], list[ImportFact]]:
    """Returns the facts of the study to record before and after those of participants. Grants keep their order."""
    study_facts = [fact for fact in facts if not fact.line.participant_key]
    first = [fact for fact in study_facts if fact.line.type not in _LAST_STUDY_FACTS]
    last = [fact for fact in study_facts if fact.line.type in _LAST_STUDY_FACTS]
    rank = {name: position for position, name in enumerate((*_FIRST_STUDY_FACTS, "", *_LAST_STUDY_FACTS))}
    for group in (first, last):
        group.sort(key=lambda fact: rank.get(fact.line.type, len(_FIRST_STUDY_FACTS)))
    return first, last
