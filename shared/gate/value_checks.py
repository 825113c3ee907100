"""Checks of texts and lists that are made once, when a fact is stated. Recorded facts stay readable. Pure.

A flaw that the record has already is not refused again: neither in a correction that leaves the value as it was, nor in
a fact that refers to something by its recorded id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from shared.gate import list_checks, text_checks
from shared.gate.flaw import Flaw
from shared.kernel.fact import Fact, StatedFact
from shared.kernel.objection import Objection


def objections(fact: Fact, facts_before: Callable[[], Iterable[StatedFact[Fact]]]) -> Iterator[Objection]:
    """Yields objections to the values of a fact. `facts_before` returns the other facts; it is called rarely."""
    flaws = list(_find_flaws(fact))
    if not flaws:
        return
    recorded_traits = {flaw.trait for stated in facts_before() for flaw in _find_flaws(stated.fact)}
    yield from (flaw.objection for flaw in flaws if flaw.trait not in recorded_traits)


def _find_flaws(fact: Fact) -> Iterator[Flaw]:
    yield from text_checks.find_flaws(fact)
    yield from list_checks.find_flaws(fact)
