"""Values that are no values: what is refused once, when it is stated, and stays readable where it was recorded before.

A flaw that the record has already is not refused again: neither where a correction leaves it as it was, nor where a
fact names something by the id that it was once given. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from shared.gate import lists, texts
from shared.gate.flaw import Flaw
from shared.kernel.fact import Fact, Stated
from shared.kernel.record import Objection


def objections(fact: Fact, earlier: Callable[[], Iterable[Stated[Fact]]]) -> Iterator[Objection]:
    """Objections to the values of a fact; `earlier` gives the facts that stand without it, and is seldom asked."""
    flaws = list(_flaws(fact))
    if not flaws:
        return
    recorded = {flaw.trait for stated in earlier() for flaw in _flaws(stated.fact)}
    yield from (flaw.objection for flaw in flaws if flaw.trait not in recorded)


def _flaws(fact: Fact) -> Iterator[Flaw]:
    yield from texts.flaws(fact)
    yield from lists.flaws(fact)
