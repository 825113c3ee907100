"""Values that are no values: what is refused once, when it is stated, and stays readable where it was recorded before.

A flaw that the record has already is not refused again: neither where a correction leaves it as it was, nor where a
fact names something by the id that it was once given. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from shared.gate import list_checks, text_checks
from shared.gate.flaw import Flaw
from shared.kernel.fact import Fact, StatedFact
from shared.kernel.objection import Objection


def objections(fact: Fact, facts_before: Callable[[], Iterable[StatedFact[Fact]]]) -> Iterator[Objection]:
    """Objections to the values of a fact; `earlier` gives the facts that stand without it, and is seldom asked."""
    flaws = list(_find_flaws(fact))
    if not flaws:
        return
    recorded_traits = {flaw.trait for stated in facts_before() for flaw in _find_flaws(stated.fact)}
    yield from (flaw.objection for flaw in flaws if flaw.trait not in recorded_traits)


def _find_flaws(fact: Fact) -> Iterator[Flaw]:
    yield from text_checks.find_flaws(fact)
    yield from list_checks.find_flaws(fact)
