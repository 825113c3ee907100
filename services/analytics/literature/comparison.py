"""A published table that a study is compared with, and the contradictions of its publication. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """Two places of a publication that cannot both be right.

    `statement` stands in `where`, and `against`, in our own words, in `where_against`. `ref_ids`: the references that
    it is about; empty for one about the whole table.
    """

    id: str
    ref_ids: Sequence[str]
    statement: str
    where: str
    against: str
    where_against: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonTable:
    """A published table: its name, its references in the order of its rows, and the contradictions about it."""

    name: str
    ref_ids: Sequence[str]
    contradictions: Sequence[Contradiction]

    def contradictions_of(self, ref_id: str) -> list[Contradiction]:
        """Returns the contradictions about a reference."""
        return [contradiction for contradiction in self.contradictions if ref_id in contradiction.ref_ids]
