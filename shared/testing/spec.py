"""given(facts).when(fact).then_admitted() / .then_refused(code): how a rule's test reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from uuid import UUID

import pytest

from shared.kernel.fact import Fact, Stated
from shared.kernel.record import Gate, Objection, Record, Refused, Rules, decide


def history(facts: Iterable[Fact], start: int = 1) -> list[Stated[Fact]]:
    """Facts as events 1, 2, 3 …, so that a correction can name the one it means."""
    return [Stated(UUID(int=number), fact) for number, fact in enumerate(facts, start)]


def open_gate(_: Record, __: Stated[Fact]) -> Iterator[Objection]:
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
        decide(history(self.past), history(self.proposed, len(self.past) + 1), self.rules, self.gate)

    def then_refused(self, *codes: str) -> None:
        with pytest.raises(Refused) as refusal:
            self.then_admitted()
        assert {objection.code for _, objection in refusal.value.raised} == set(codes)
