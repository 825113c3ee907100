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

from shared.kernel.fact import Corrected, F, Fact, Stated
from shared.kernel.refusal import MOST_FAULTS


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a fact cannot stand. `code` is stable for programs, `message` for people; it never quotes patient data.

    `because_of` is the other event that is in the way, `member` the JSON pointer, within the fact, to what is at
    fault ('' for the fact as a whole). `not_known`: what is named may be on its way here from another service.
    """

    code: str
    message: str = field(compare=False)
    because_of: UUID | None = None
    member: str = ""
    not_known: bool = False

    def within(self, pointer: str) -> Objection:
        """The same of a fact that lies at that pointer within another."""
        return replace(self, member=pointer + self.member) if pointer else self


Raised = tuple[UUID, Objection]  # an objection and the event it is raised against


class Refused(Exception):
    """What was proposed would leave the record with objections that it did not have before."""

    def __init__(self, raised: Iterable[Raised]) -> None:
        self.raised = sorted(raised, key=lambda pair: (pair[1].code, str(pair[0]), str(pair[1].because_of)))
        super().__init__("; ".join(objection.message for _, objection in self.raised))


@dataclass(frozen=True)
class Record:
    """The facts of one stream that stand. It notes which kinds of fact it was asked for."""

    stated: tuple[Stated[Fact], ...] = ()
    asked_for: set[type[Fact]] = field(default_factory=set, compare=False, repr=False)

    @cached_property
    def _by_kind(self) -> dict[type[Fact], list[Stated[Any]]]:
        kinds: dict[type[Fact], list[Stated[Any]]] = {}
        for stated in self.stated:
            kinds.setdefault(type(stated.fact), []).append(stated)
        return kinds

    def and_also(self, more: Sequence[Stated[Fact]]) -> Record:
        """The record with newer facts; what is sorted by kind already is not sorted again."""
        grown, kinds = Record((*self.stated, *more)), dict(self._by_kind)
        for stated in more:
            kinds[type(stated.fact)] = [*kinds.get(type(stated.fact), ()), stated]
        vars(grown)["_by_kind"] = kinds  # where the cached property looks
        return grown

    def all(self, kind: type[F], *, but: Stated[Fact] | None = None) -> Sequence[Stated[F]]:
        self.asked_for.add(kind)
        of_kind = self._by_kind.get(kind, ())
        return [stated for stated in of_kind if stated is not but] if but else of_kind

    def facts(self, kind: type[F]) -> list[F]:
        return [stated.fact for stated in self.all(kind)]


Rules = Callable[[Record, Stated[Fact]], Iterator[Objection]]
Gate = Callable[[Record, Stated[Fact]], Iterator[Objection]]


def standing(history: Iterable[Stated[Fact]]) -> Record:
    """The record as it reads today, in the order in which its facts were first stated, whatever corrects them.

    Nothing is judged: what is recorded was stated.
    """
    known: dict[UUID, Stated[Fact]] = {}
    stands: dict[UUID, Stated[Fact]] = {}
    for stated in history:
        if not isinstance(stated.fact, Corrected):
            known[stated.event_id] = stands[stated.event_id] = stated
        elif (target := known.get(stated.fact.event_id)) is None:
            message = "The record has no event with this event_id that can be corrected. Check the event_id."
            raise Refused([(stated.event_id, Objection("no-such-event", message, member="/event_id"))])
        elif (replacement := stated.fact.restated) is None:
            stands.pop(target.event_id, None)
        else:
            stands[target.event_id] = _restate(stated.event_id, target, replacement)
    return Record(tuple(stands[event_id] for event_id in known if event_id in stands))


def _restate(correction: UUID, original: Stated[Fact], replacement: Fact) -> Stated[Fact]:
    if type(replacement) is not type(original.fact):
        message = f"The event is a {original.fact.type_name}. Give a replacement of the same type."
        raise Refused([(correction, Objection("other-type", message, original.event_id, "/replacement/type"))])
    return Stated(original.event_id, replacement)


def judge(record: Record, rules: Rules) -> set[Raised]:
    return {(stated.event_id, objection) for stated in record.stated for objection in rules(record, stated)}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rules object to in one fact, and the kinds of fact that they looked at to say so."""

    objections: frozenset[Objection]
    looked_at: frozenset[type[Fact]]


@dataclass(frozen=True, slots=True)
class Judged:
    """A history with the record that it leads to, and the verdicts on the facts that stand, in their order.

    `raised` and `looked_at` are what the verdicts say together.
    """

    history: tuple[Stated[Fact], ...]
    record: Record
    verdicts: tuple[Verdict, ...]
    raised: frozenset[Raised] = frozenset()
    looked_at: frozenset[type[Fact]] = frozenset()

    @classmethod
    def of(cls, history: Iterable[Stated[Fact]], rules: Rules, before: frozenset[Raised] | None = None) -> Judged:
        """Judge a whole history; Refused for too many objections that are not among those `before`, where given."""
        stated = tuple(history)
        record = standing(stated)
        verdicts = _verdicts(record, record.stated, rules, before)
        return cls(stated, record, verdicts, _raised(record.stated, verdicts), _looked_at(verdicts))

    def with_all(self, proposed: Sequence[Stated[Fact]], rules: Rules, gate: Gate) -> Judged:
        """What `proposed` leads to, if all of it may be appended together; else Refused with every objection.

        Where there are more objections than an answer lists, the others are not looked for.
        """
        after = self._then(proposed, rules)
        raised = set(after.raised - self.raised)
        for stated in proposed:
            raised |= {
                (stated.event_id, objection) for objection in islice(gate(after.record, stated), MOST_FAULTS + 1)
            }
            if len(raised) > MOST_FAULTS:
                break
        if raised:
            raise Refused(raised)
        return after

    def _then(self, more: Sequence[Stated[Fact]], rules: Rules) -> Judged:
        """Rules are pure: a verdict changes only where a fact is new, or of a kind that the verdict looked at."""
        history = (*self.history, *more)
        if _correct_something(more):
            return Judged.of(history, rules, self.raised)
        record, kinds = self.record.and_also(more), {type(each.fact) for each in more}
        new = _verdicts(record, more, rules, self.raised)
        if self.looked_at.isdisjoint(kinds):
            raised, looked_at = self.raised | _raised(more, new), self.looked_at | _looked_at(new)
            return Judged(history, record, (*self.verdicts, *new), raised, looked_at)
        known = zip(self.record.stated, self.verdicts, strict=True)
        again = [
            old if old.looked_at.isdisjoint(kinds) else _verdicts(record, [each], rules, self.raised)[0]
            for each, old in known
        ]
        verdicts = (*again, *new)
        return Judged(history, record, verdicts, _raised(record.stated, verdicts), _looked_at(verdicts))

    def restating(self, last: Sequence[Stated[Fact]]) -> Judged:
        """The same with its newest facts given again, as they were stored."""
        older = self.history[: len(self.history) - len(last)]
        if _correct_something(last):
            return replace(self, history=(*older, *last), record=standing((*older, *last)))
        stood = self.record.stated[: len(self.record.stated) - len(last)]
        return replace(self, history=(*older, *last), record=Record((*stood, *last)))


def _correct_something(stated: Iterable[Stated[Fact]]) -> bool:
    return any(isinstance(each.fact, Corrected) for each in stated)


def _raised(stated: Iterable[Stated[Fact]], verdicts: Iterable[Verdict]) -> frozenset[Raised]:
    judged = zip(stated, verdicts, strict=True)
    return frozenset((each.event_id, objection) for each, verdict in judged for objection in verdict.objections)


def _looked_at(verdicts: Iterable[Verdict]) -> frozenset[type[Fact]]:
    return frozenset().union(*(verdict.looked_at for verdict in verdicts))


def _verdicts(
    record: Record, stated: Iterable[Stated[Fact]], rules: Rules, before: frozenset[Raised] | None
) -> tuple[Verdict, ...]:
    """Judge these facts; Refused as soon as more is objected to than was `before` and than an answer lists."""
    verdicts: list[Verdict] = []
    new: set[Raised] = set()
    for each in stated:
        record.asked_for.clear()
        objections: list[Objection] = []
        for objection in rules(record, each):
            objections.append(objection)
            if before is not None and (each.event_id, objection) not in before:
                new.add((each.event_id, objection))
                if len(new) > MOST_FAULTS:
                    raise Refused(new)
        verdicts.append(Verdict(frozenset(objections), frozenset(record.asked_for)))
    return tuple(verdicts)


def decide(history: Sequence[Stated[Fact]], proposed: Sequence[Stated[Fact]], rules: Rules, gate: Gate) -> Record:
    """The record that `proposed` leads to; Refused with every objection that was not there before."""
    return Judged.of(history, rules).with_all(proposed, rules, gate).record
