"""Objections of rules and gates to facts, and the problem types that they are declared with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from uuid import UUID

from shared.kernel.fact import Fact, StatedFact


@dataclass(frozen=True, slots=True)
class Objection:
    """The reason of a rule or gate to refuse a fact.

    `code` is stable, for programs. `message` is for people and quotes no patient data. `because_of` is the event that
    the fact conflicts with. `pointer` is the JSON pointer, within the fact, to the value at fault; '' for the whole
    fact. `may_arrive_later`: the fact refers to something that another service may publish within moments.
    """

    code: str
    message: str = field(compare=False)
    because_of: UUID | None = None
    pointer: str = ""
    may_arrive_later: bool = False

    def with_pointer_prefix(self, prefix: str) -> Objection:
        """Returns the same objection for a fact that is itself at the pointer `prefix` of a larger document."""
        return replace(self, pointer=prefix + self.pointer) if prefix else self


@dataclass(frozen=True, slots=True)
class ProblemType:
    """A kind of objection, declared beside the rule that raises it.

    `message` is a sentence for people. It may have placeholders such as `{grades}`, which each objection fills in.
    """

    code: str
    message: str

    def objection(
        self,
        because_of: UUID | None = None,
        pointer: str = "",
        *,
        may_arrive_later: bool = False,
        **message_values: object,
    ) -> Objection:
        """Builds an objection of this type. `message_values` fill the placeholders of the message."""
        return Objection(
            code=self.code,
            message=self.message.format(**message_values) if message_values else self.message,
            because_of=because_of,
            pointer=pointer,
            may_arrive_later=may_arrive_later,
        )

    def conflicts_with(self, others: Iterable[StatedFact[Fact]], pointer: str = "") -> Iterator[Objection]:
        """Yields an objection for each of the other facts that the fact conflicts with."""
        for other in others:
            yield self.objection(other.event_id, pointer)


RaisedObjection = tuple[UUID, Objection]
"""The id of the event whose fact is objected to, and the objection."""


class RuleViolation(Exception):
    """The proposed facts would leave the record with objections that it did not have before."""

    def __init__(self, raised_objections: Iterable[RaisedObjection]) -> None:
        self.raised_objections = sorted(
            raised_objections, key=lambda raised: (raised[1].code, str(raised[0]), str(raised[1].because_of))
        )
        super().__init__("; ".join(objection.message for _, objection in self.raised_objections))
