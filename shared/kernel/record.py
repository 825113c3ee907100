"""The write side's one mechanism.

A record is the *set* of facts that stand today; corrections restate, void or re-instate its members. Rules yield
objections to one fact in the light of the others. A change is refused when it raises objections that the record did
not have before: so the order in which true things are reported never matters, a correction cannot leave behind what
the rules forbid, and an old fault does not block its own mending.

Rules see the standing facts alone and are pure. A *gate* is asked about what is stated now, and never again on a
later change: what depends on the world outside the record (the protocol, the site's today, other services), and what
closes a door for the future without judging the past (a withdrawal).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from typing import Any
from uuid import UUID

from shared.kernel.errors import MAX_FAULTS
from shared.kernel.fact import Correction, F, Fact, StatedFact


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a fact cannot stand. `code` is stable for programs, `message` for people; it never quotes patient data.

    `because_of` is the other event that is in the way, `member` the JSON pointer, within the fact, to what is at
    fault ('' for the fact as a whole). `not_known`: what is named may be on its way here from another service.
    """

    code: str
    message: str = field(compare=False)
    because_of: UUID | None = None
    pointer: str = ""
    may_arrive_later: bool = False

    def with_pointer_prefix(self, prefix: str) -> Objection:
        """The same of a fact that lies at that pointer within another."""
        return replace(self, pointer=prefix + self.pointer) if prefix else self


RaisedObjection = tuple[UUID, Objection]  # an objection and the event it is raised against


class RuleViolation(Exception):
    """What was proposed would leave the record with objections that it did not have before."""

    def __init__(self, raised_objections: Iterable[RaisedObjection]) -> None:
        self.raised_objections = sorted(
            raised_objections, key=lambda pair: (pair[1].code, str(pair[0]), str(pair[1].because_of))
        )
        super().__init__("; ".join(objection.message for _, objection in self.raised_objections))


@dataclass(frozen=True)
class Record:
    """The facts of one stream that stand. It notes which kinds of fact it was asked for."""

    stated_facts: tuple[StatedFact[Fact], ...] = ()
    read_kinds: set[type[Fact]] = field(default_factory=set, compare=False, repr=False)

    @cached_property
    def _by_kind(self) -> dict[type[Fact], list[StatedFact[Any]]]:
        kinds: dict[type[Fact], list[StatedFact[Any]]] = {}
        for stated in self.stated_facts:
            kinds.setdefault(type(stated.fact), []).append(stated)
        return kinds

    def with_facts(self, newer_facts: Sequence[StatedFact[Fact]]) -> Record:
        """The record with newer facts; what is sorted by kind already is not sorted again."""
        extended, kinds = Record((*self.stated_facts, *newer_facts)), dict(self._by_kind)
        for stated in newer_facts:
            kinds[type(stated.fact)] = [*kinds.get(type(stated.fact), ()), stated]
        vars(extended)["_by_kind"] = kinds  # where the cached property looks
        return extended

    def stated_of(self, kind: type[F], *, except_for: StatedFact[Fact] | None = None) -> Sequence[StatedFact[F]]:
        self.read_kinds.add(kind)
        matching = self._by_kind.get(kind, ())
        return [stated for stated in matching if stated is not except_for] if except_for else matching

    def facts_of(self, kind: type[F]) -> list[F]:
        return [stated.fact for stated in self.stated_of(kind)]


Rules = Callable[[Record, StatedFact[Fact]], Iterator[Objection]]
Gate = Callable[[Record, StatedFact[Fact]], Iterator[Objection]]


def current_record(history: Iterable[StatedFact[Fact]]) -> Record:
    """The record as it reads today, in the order in which its facts were first stated, whatever corrects them.

    Nothing is judged: what is recorded was stated.
    """
    originals: dict[UUID, StatedFact[Fact]] = {}
    current: dict[UUID, StatedFact[Fact]] = {}
    for stated in history:
        if not isinstance(stated.fact, Correction):
            originals[stated.event_id] = current[stated.event_id] = stated
        elif (target := originals.get(stated.fact.event_id)) is None:
            message = "The record has no event with this event_id that can be corrected. Check the event_id."
            raise RuleViolation([(stated.event_id, Objection("no-such-event", message, pointer="/event_id"))])
        elif (replacement := stated.fact.replacement_fact) is None:
            current.pop(target.event_id, None)
        else:
            current[target.event_id] = _restate(stated.event_id, target, replacement)
    return Record(tuple(current[event_id] for event_id in originals if event_id in current))


def _restate(correction: UUID, original: StatedFact[Fact], replacement: Fact) -> StatedFact[Fact]:
    if type(replacement) is not type(original.fact):
        message = f"The event is a {original.fact.type_name}. Give a replacement of the same type."
        raise RuleViolation([(correction, Objection("other-type", message, original.event_id, "/replacement/type"))])
    return StatedFact(original.event_id, replacement)


def all_objections(record: Record, rules: Rules) -> set[RaisedObjection]:
    return {(stated.event_id, objection) for stated in record.stated_facts for objection in rules(record, stated)}


@dataclass(frozen=True, slots=True)
class FactEvaluation:
    """What the rules object to in one fact, and the kinds of fact that they looked at to say so."""

    objections: frozenset[Objection]
    dependencies: frozenset[type[Fact]]


@dataclass(frozen=True, slots=True)
class EvaluatedRecord:
    """A history with the record that it leads to, and the verdicts on the facts that stand, in their order.

    `raised` and `looked_at` are what the verdicts say together.
    """

    history: tuple[StatedFact[Fact], ...]
    record: Record
    evaluations: tuple[FactEvaluation, ...]
    raised_objections: frozenset[RaisedObjection] = frozenset()
    dependencies: frozenset[type[Fact]] = frozenset()

    @classmethod
    def evaluate(
        cls,
        history: Iterable[StatedFact[Fact]],
        rules: Rules,
        existing_objections: frozenset[RaisedObjection] | None = None,
    ) -> EvaluatedRecord:
        """Judge a whole history; Refused for too many objections that are not among those `before`, where given."""
        stated_facts = tuple(history)
        record = current_record(stated_facts)
        evaluations = _evaluate_facts(record, record.stated_facts, rules, existing_objections)
        return cls(
            stated_facts,
            record,
            evaluations,
            _raised_objections(record.stated_facts, evaluations),
            _dependencies(evaluations),
        )

    def accept(self, proposed: Sequence[StatedFact[Fact]], rules: Rules, gate: Gate) -> EvaluatedRecord:
        """What `proposed` leads to, if all of it may be appended together; else Refused with every objection.

        Where there are more objections than an answer lists, the others are not looked for.
        """
        evaluated = self._append(proposed, rules)
        new_objections = set(evaluated.raised_objections - self.raised_objections)
        for stated in proposed:
            new_objections |= {
                (stated.event_id, objection) for objection in islice(gate(evaluated.record, stated), MAX_FAULTS + 1)
            }
            if len(new_objections) > MAX_FAULTS:
                break
        if new_objections:
            raise RuleViolation(new_objections)
        return evaluated

    def _append(self, newer_facts: Sequence[StatedFact[Fact]], rules: Rules) -> EvaluatedRecord:
        """Rules are pure: a verdict changes only where a fact is new, or of a kind that the verdict looked at."""
        history = (*self.history, *newer_facts)
        if _contains_correction(newer_facts):
            return EvaluatedRecord.evaluate(history, rules, self.raised_objections)
        record, new_kinds = self.record.with_facts(newer_facts), {type(stated.fact) for stated in newer_facts}
        new_evaluations = _evaluate_facts(record, newer_facts, rules, self.raised_objections)
        if self.dependencies.isdisjoint(new_kinds):
            raised_objections, dependencies = (
                self.raised_objections | _raised_objections(newer_facts, new_evaluations),
                self.dependencies | _dependencies(new_evaluations),
            )
            return EvaluatedRecord(
                history, record, (*self.evaluations, *new_evaluations), raised_objections, dependencies
            )
        evaluated_facts = zip(self.record.stated_facts, self.evaluations, strict=True)
        updated_evaluations = [
            evaluation
            if evaluation.dependencies.isdisjoint(new_kinds)
            else _evaluate_facts(record, [each], rules, self.raised_objections)[0]
            for each, evaluation in evaluated_facts
        ]
        evaluations = (*updated_evaluations, *new_evaluations)
        return EvaluatedRecord(
            history,
            record,
            evaluations,
            _raised_objections(record.stated_facts, evaluations),
            _dependencies(evaluations),
        )

    def with_stored(self, stored_facts: Sequence[StatedFact[Fact]]) -> EvaluatedRecord:
        """The same with its newest facts given again, as they were stored."""
        older_history = self.history[: len(self.history) - len(stored_facts)]
        if _contains_correction(stored_facts):
            return replace(
                self, history=(*older_history, *stored_facts), record=current_record((*older_history, *stored_facts))
            )
        older_facts = self.record.stated_facts[: len(self.record.stated_facts) - len(stored_facts)]
        return replace(self, history=(*older_history, *stored_facts), record=Record((*older_facts, *stored_facts)))


def _contains_correction(stated_facts: Iterable[StatedFact[Fact]]) -> bool:
    return any(isinstance(stated.fact, Correction) for stated in stated_facts)


def _raised_objections(
    stated_facts: Iterable[StatedFact[Fact]], evaluations: Iterable[FactEvaluation]
) -> frozenset[RaisedObjection]:
    evaluated_facts = zip(stated_facts, evaluations, strict=True)
    return frozenset(
        (stated.event_id, objection) for stated, evaluation in evaluated_facts for objection in evaluation.objections
    )


def _dependencies(evaluations: Iterable[FactEvaluation]) -> frozenset[type[Fact]]:
    return frozenset().union(*(evaluation.dependencies for evaluation in evaluations))


def _evaluate_facts(
    record: Record,
    stated_facts: Iterable[StatedFact[Fact]],
    rules: Rules,
    existing_objections: frozenset[RaisedObjection] | None,
) -> tuple[FactEvaluation, ...]:
    """Judge these facts; Refused as soon as more is objected to than was `before` and than an answer lists."""
    evaluations: list[FactEvaluation] = []
    new_objections: set[RaisedObjection] = set()
    for stated in stated_facts:
        record.read_kinds.clear()
        objections: list[Objection] = []
        for objection in rules(record, stated):
            objections.append(objection)
            if existing_objections is not None and (stated.event_id, objection) not in existing_objections:
                new_objections.add((stated.event_id, objection))
                if len(new_objections) > MAX_FAULTS:
                    raise RuleViolation(new_objections)
        evaluations.append(FactEvaluation(frozenset(objections), frozenset(record.read_kinds)))
    return tuple(evaluations)


def decide(
    history: Sequence[StatedFact[Fact]], proposed: Sequence[StatedFact[Fact]], rules: Rules, gate: Gate
) -> Record:
    """The record that `proposed` leads to; Refused with every objection that was not there before."""
    return EvaluatedRecord.evaluate(history, rules).accept(proposed, rules, gate).record
