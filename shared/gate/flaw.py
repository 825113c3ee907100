"""Flaws: what is wrong with one value of a fact, whatever else is recorded."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from shared.kernel.objection import Objection


@dataclass(frozen=True, slots=True)
class Flaw:
    """An objection to one value of a fact, such as a list with a repeated entry, and a trait that identifies it.

    A flaw that the record has already is not refused again: a recorded fact has a flaw with an equal trait.
    """

    objection: Objection
    trait: tuple[Hashable, ...]
