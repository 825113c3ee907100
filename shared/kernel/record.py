"""Decides whether facts can be recorded: the one mechanism of all services.

A record is the set of current facts of one stream; corrections restate, void or reinstate them. Rules
yield objections to one fact in the light of the others. A change is refused when it raises objections that the record
did not have before. So true facts can be reported in any order, a correction cannot leave a record that violates the
rules, and a violation that the record has already does not block its own correction.

Rules are pure functions of the current facts. A gate checks each proposed fact once, when it is proposed: against
what is outside the record (the protocol, today's date at the site, other services), and against closures that concern
later facts only (a withdrawal of consent).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any
from uuid import UUID

from shared.kernel.errors import MAX_FAULTS
from shared.kernel.fact import Correction, F, Fact, StatedFact
from shared.kernel.objection import Objection, ProblemType, RaisedObjection, RuleViolation

NO_SUCH_EVENT = ProblemType(
    "no-such-event", "The record has no event with this event_id that can be corrected. Check the event_id."
)
OTHER_TYPE = ProblemType(
    "other-type", "The replacement is not of the same type as the event. Give a replacement of the same type."
)


@dataclass(frozen=True)
class Record:
    """The current facts of one stream, in the order in which they were first stated."""

    stated_facts: tuple[StatedFact[Fact], ...] = ()

    @cached_property
    def _by_kind(self) -> dict[type[Fact], list[StatedFact[Any]]]:
        kinds: dict[type[Fact], list[StatedFact[Any]]] = {}
        for stated in self.stated_facts:
            kinds.setdefault(type(stated.fact), []).append(stated)
        return kinds

    @cached_property
    def _facts_by_kind(self) -> dict[type[Fact], list[Any]]:
        return {kind: [stated.fact for stated in of_kind] for kind, of_kind in self._by_kind.items()}

    def stated_of(self, kind: type[F], *, except_for: StatedFact[Fact] | None = None) -> Sequence[StatedFact[F]]:
        """Returns the stated facts of one class, without `except_for`."""
        matching = self._by_kind.get(kind, ())
        return [stated for stated in matching if stated is not except_for] if except_for else matching

    def facts_of(self, kind: type[F]) -> Sequence[F]:
        """Returns the facts of one class."""
        return self._facts_by_kind.get(kind, ())


Rules = Callable[[Record, StatedFact[Fact]], Iterator[Objection]]
"""Yields the objections to one fact of the record."""
Gate = Callable[[Record, StatedFact[Fact]], Iterator[Objection]]
"""Yields the objections to a proposed fact. The record is the one that results from it."""


def current_record(history: Iterable[StatedFact[Fact]]) -> Record:
    """Applies the corrections of a history. A corrected fact keeps the place at which it was first stated.

    Rules are not evaluated: recorded facts stay recorded. Raises RuleViolation for a correction of an event that the
    history does not have, or by a fact of another type.
    """
    originals: dict[UUID, StatedFact[Fact]] = {}
    current: dict[UUID, StatedFact[Fact]] = {}
    for stated in history:
        if not isinstance(stated.fact, Correction):
            originals[stated.event_id] = current[stated.event_id] = stated
        elif (target := originals.get(stated.fact.event_id)) is None:
            raise RuleViolation([(stated.event_id, NO_SUCH_EVENT.objection(pointer="/event_id"))])
        elif (replacement := stated.fact.replacement_fact) is None:
            current.pop(target.event_id, None)
        else:
            current[target.event_id] = _restate(stated.event_id, target, replacement)
    return Record(tuple(current[event_id] for event_id in originals if event_id in current))


def _restate(correction: UUID, original: StatedFact[Fact], replacement: Fact) -> StatedFact[Fact]:
    if type(replacement) is not type(original.fact):
        raise RuleViolation([(correction, OTHER_TYPE.objection(original.event_id, "/replacement/type"))])
    return StatedFact(original.event_id, replacement)


def all_objections(record: Record, rules: Rules) -> set[RaisedObjection]:
    """Returns every objection of the rules to every fact of the record."""
    return set(_raise_objections(record, rules))


def _raise_objections(record: Record, rules: Rules) -> Iterator[RaisedObjection]:
    for stated in record.stated_facts:
        for objection in rules(record, stated):
            yield stated.event_id, objection


@dataclass(frozen=True, slots=True)
class EvaluatedRecord:
    """A history, the record that results from it, and the objections that the rules raise to this record."""

    history: tuple[StatedFact[Fact], ...]
    record: Record
    raised_objections: frozenset[RaisedObjection] = frozenset()

    @classmethod
    def evaluate(cls, history: Iterable[StatedFact[Fact]], rules: Rules) -> EvaluatedRecord:
        """Evaluates a recorded history. Its objections refuse nothing: later changes may leave them in the record."""
        stated_facts = tuple(history)
        record = current_record(stated_facts)
        return cls(stated_facts, record, frozenset(_raise_objections(record, rules)))

    def accept(self, proposed: Sequence[StatedFact[Fact]], rules: Rules, gate: Gate) -> EvaluatedRecord:
        """Returns the evaluated record with the proposed facts.

        Raises RuleViolation with the new objections of the rules and the gate: all, or more than a response lists.
        """
        history = (*self.history, *proposed)
        if _contains_correction(proposed):
            record = current_record(history)
        else:
            record = Record((*self.record.stated_facts, *proposed))
        remaining, new_objections = set[RaisedObjection](), set[RaisedObjection]()
        for raised in _raise_objections(record, rules):
            (remaining if raised in self.raised_objections else new_objections).add(raised)
            if len(new_objections) > MAX_FAULTS:
                raise RuleViolation(new_objections)
        new_objections |= _gate_objections(record, proposed, gate)
        if new_objections:
            raise RuleViolation(new_objections)
        return EvaluatedRecord(history, record, frozenset(remaining))

    def with_stored(self, stored_facts: Sequence[StatedFact[Fact]]) -> EvaluatedRecord:
        """Returns the same with the newest facts replaced by their stored form, which has no sealed texts."""
        history = (*self.history[: len(self.history) - len(stored_facts)], *stored_facts)
        if _contains_correction(stored_facts):
            return replace(self, history=history, record=current_record(history))
        older_facts = self.record.stated_facts[: len(self.record.stated_facts) - len(stored_facts)]
        return replace(self, history=history, record=Record((*older_facts, *stored_facts)))


def _contains_correction(stated_facts: Iterable[StatedFact[Fact]]) -> bool:
    return any(isinstance(stated.fact, Correction) for stated in stated_facts)


def _gate_objections(record: Record, proposed: Iterable[StatedFact[Fact]], gate: Gate) -> set[RaisedObjection]:
    objections: set[RaisedObjection] = set()
    for stated in proposed:
        objections |= {(stated.event_id, objection) for objection in islice(gate(record, stated), MAX_FAULTS + 1)}
        if len(objections) > MAX_FAULTS:
            break
    return objections


def decide(
    history: Sequence[StatedFact[Fact]], proposed: Sequence[StatedFact[Fact]], rules: Rules, gate: Gate
) -> Record:
    """Returns the record that results from the proposed facts. Raises RuleViolation with the new objections."""
    return EvaluatedRecord.evaluate(history, rules).accept(proposed, rules, gate).record
