"""Something wrong with a value by itself."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from shared.kernel.objection import Objection


@dataclass(frozen=True, slots=True)
class Flaw:
    """An objection to a value, and the trait by which the same value is recognized elsewhere, whatever its place."""

    objection: Objection
    trait: tuple[Hashable, ...]
