"""A flaw of a single value."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from shared.kernel.objection import Objection


@dataclass(frozen=True, slots=True)
class Flaw:
    """An objection to a value, and a trait by which the same flawed value is recognized in other facts."""

    objection: Objection
    trait: tuple[Hashable, ...]
