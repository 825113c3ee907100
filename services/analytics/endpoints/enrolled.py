"""The enrolled participants of a selection with what is recorded of them by the cut-off, as masks and columns. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from services.analytics.snapshot.columns import Column
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import Mask, StudySnapshot

MissingReason = Literal[
    "no_baseline",
    "no_index_course",
    "not_reported",
    "not_stated",
    "not_derivable",
    "unknown",
    "not_tested",
    "test_failed",
    "uncertain_significance",
]
MISSING_REASONS: tuple[MissingReason, ...] = get_args(MissingReason)


@dataclass(frozen=True, slots=True, eq=False)
class Characteristic:
    """A characteristic of participants: numbers, or values in the order in which people read them, or both.

    `item`: the gene or the symptom, of a characteristic that there is one of for each. `values`: who has each value;
    a participant has one, unless `is_multiple`. `missing`: of whom it is not known, for exclusive reasons. `numbers`: a
    whole number of each participant, of `parts` to the `unit`; without meaning where it is missing.
    """

    name: str
    missing: Mapping[MissingReason, Mask]
    values: Mapping[str, Mask] = field(default_factory=dict)
    numbers: NDArray[np.int64] | None = None
    item: str = ""
    unit: str = ""
    parts: int = 1
    is_multiple: bool = False

    @property
    def is_known(self) -> Mask:
        mask: Mask = ~np.any([*self.missing.values()], axis=0)
        return mask


@dataclass(frozen=True, eq=False)
class EnrolledRows:
    """The participants of a selection who are enrolled by the cut-off.

    A mask has an element for each participant of the snapshot; `counted` is true for the enrolled ones.
    """

    snapshot: StudySnapshot
    selection: Selection

    @property
    def cut(self) -> int:
        return self.selection.cut_number

    @cached_property
    def counted(self) -> Mask:
        """The enrolled participants of the selection."""
        enrolled: Mask = self.selection.subjects(self.snapshot) & (self.column("enrolled_on") <= self.cut)
        return enrolled

    @cached_property
    def has_baseline(self) -> Mask:
        """The counted participants with a baseline assessment by the cut-off."""
        mask: Mask = self.counted & (self.column("baseline_on") <= self.cut)
        return mask

    @cached_property
    def has_index_course(self) -> Mask:
        """The counted participants whose index course has started by the cut-off."""
        mask: Mask = self.counted & (self.column("index_started_on") <= self.cut)
        return mask

    def column(self, name: str) -> Column:
        """Returns a column of the participants."""
        return self.snapshot.subjects[name]

    def word(self, code: int) -> str:
        return self.snapshot.words.word(code)

    def code(self, word: str) -> int:
        return self.snapshot.words.code(word)

    def nobody(self) -> Mask:
        """Returns a mask of no participant."""
        return np.zeros(len(self.snapshot.subjects), dtype=bool)

    def with_rows(self, subjects: NDArray[np.intp]) -> Mask:
        """Returns a mask of the participants at these indexes."""
        mask = self.nobody()
        mask[subjects] = True
        return mask

    def masks_by_code(self, codes: Column, chosen: Mask) -> dict[str, Mask]:
        """Returns the chosen participants by the word of their code, in the order of the words."""
        words = {self.word(code): code for code in np.unique(codes[chosen])}
        return {word: chosen & (codes == code) for word, code in sorted(words.items())}


def in_order(masks: Mapping[str, Mask], order: Iterable[str]) -> dict[str, Mask]:
    """Returns masks by value in an order; values that it does not name come last."""
    ranks = {value: rank for rank, value in enumerate(order)}
    return dict(sorted(masks.items(), key=lambda item: (ranks.get(item[0], len(ranks)), item[0])))
