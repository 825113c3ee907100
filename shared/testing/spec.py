"""Tests of rules: `Spec(rules).given(facts).when(fact).then_admitted()`, or `.then_refused(code)`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from uuid import UUID

import pytest

from shared.kernel.fact import Fact, StatedFact
from shared.kernel.objection import Objection, RuleViolation
from shared.kernel.record import Gate, Record, Rules, decide


def numbered_facts(facts: Iterable[Fact], start: int = 1) -> list[StatedFact[Fact]]:
    """Returns facts as events 1, 2, 3 …, so that a correction can name one of them."""
    return [StatedFact(UUID(int=number), fact) for number, fact in enumerate(facts, start)]


def open_gate(_: Record, __: StatedFact[Fact]) -> Iterator[Objection]:
    yield from ()


@dataclass(frozen=True)
class Spec:
    rules: Rules
    gate: Gate = open_gate
    past: tuple[Fact, ...] = ()
    proposed: tuple[Fact, ...] = ()

    def given(self, *facts: Fact) -> Spec:
        return replace(self, past=facts)

    def when(self, *proposed: Fact) -> Spec:
        return replace(self, proposed=proposed)

    def then_admitted(self) -> None:
        decide(numbered_facts(self.past), numbered_facts(self.proposed, len(self.past) + 1), self.rules, self.gate)

    def then_refused(self, *codes: str) -> None:
        with pytest.raises(RuleViolation) as refusal:
            self.then_admitted()
        assert {objection.code for _, objection in refusal.value.raised_objections} == set(codes)
