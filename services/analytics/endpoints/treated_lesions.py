"""The lesions that radiotherapy treats by a cut-off: the course that begins the time of each, and what ends it. Pure.

A course treats a lesion if its prescription names the lesion on the cut-off, or named it until it was treated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.analytics.snapshot.columns import NEVER_NUMBER, Column, Table
from services.analytics.snapshot.flow import DayColumn
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import Mask, StudySnapshot
from shared.gate.study_timeline import protocol_on

Keys = NDArray[np.int64]
Indexes = NDArray[np.intp]
_PRECISION_BITS, _MOST_PRECISION = 2, 3
"""A day and its precision are compared as one number: the precision has the last two bits."""
NEVER_RANK = NEVER_NUMBER << _PRECISION_BITS


@dataclass(frozen=True, slots=True, eq=False)
class TreatedLesions:
    """Lesions by participant, each with one course; one element for each lesion.

    `subjects`: the index of the participant. `lesions`, `courses`: the codes of their ids. `named`: the first day on
    which a prescription of the course names the lesion. `reached`: the first day on which a stereotactic target of the
    course names it, `NEVER_NUMBER` without one. `failed`: the first evidence of local progression after `named`.
    `retreated`: the first day after it on which another course names the lesion, or a procedure does.
    """

    subjects: Indexes
    lesions: Column
    courses: Column
    named: DayColumn
    reached: DayColumn
    failed: DayColumn
    retreated: DayColumn

    def __len__(self) -> int:
        return len(self.subjects)

    def where(self, mask: Mask) -> TreatedLesions:
        """Returns the lesions for which the mask is true."""
        days = (self.named, self.reached, self.failed, self.retreated)
        chosen = [DayColumn(column.day[mask], column.precision[mask]) for column in days]
        return TreatedLesions(self.subjects[mask], self.lesions[mask], self.courses[mask], *chosen)

    def places_of(self, snapshot: StudySnapshot, rows: Table) -> Indexes:
        """Returns for each row that names a lesion the index of that lesion; -1 if it is not among these."""
        if not len(self):
            return np.full(len(rows), -1, dtype=np.intp)
        size = 1 + int(max(self.lesions.max(), rows["lesion"].max(initial=0)))
        own = self.subjects.astype(np.int64) * size + self.lesions
        keys = snapshot.subject_indexes(rows).astype(np.int64) * size + rows["lesion"]
        order = np.argsort(own)
        places = order[np.minimum(np.searchsorted(own[order], keys), len(own) - 1)]
        return np.where(own[places] == keys, places, -1)


def treated_lesions(snapshot: StudySnapshot, selection: Selection, *, stereotactic: bool) -> TreatedLesions:
    """Returns each lesion with the first course that treats it, or with the first that does so stereotactically.

    Lesions that no course, or no stereotactic target, names by the cut-off are not among them.
    """
    courses = _Courses.of(snapshot, selection)
    chosen = courses.first_of_lesions(courses.reached < NEVER_RANK if stereotactic else courses.named < NEVER_RANK)
    rows, first = courses.rows, courses.first[chosen]
    procedure = rank_days(rows["procedure_on"][first], rows["procedure_precision"][first])
    return TreatedLesions(
        subjects=snapshot.subject_indexes(rows)[first],
        lesions=rows["lesion"][first],
        courses=rows["course"][first],
        named=DayColumn(rows["named_on"][first], rows["named_precision"][first]),
        reached=days_of_ranks(courses.reached[chosen]),
        failed=DayColumn(rows["failed_on"][first], rows["failed_precision"][first]),
        retreated=days_of_ranks(np.minimum(courses.named_later(chosen), procedure)),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Courses:
    """Lesions with each course that treats them by the cut-off; one element for each pair.

    `rows`: the episodes of lesions that hold on the cut-off. Of each element, `first` is the row that begins it,
    `lesion` identifies the lesion, and `named` and `reached` are the ranks of days.
    """

    rows: Table
    first: Indexes
    lesion: Keys
    named: Keys
    reached: Keys

    @classmethod
    def of(cls, snapshot: StudySnapshot, selection: Selection) -> _Courses:
        rows = _episodes_on(snapshot, selection.cut_number)
        lesion = _join_keys(snapshot.subject_indexes(rows), rows["lesion"])
        named = rank_days(rows["named_on"], rows["named_precision"])
        _, courses = np.unique(_join_keys(lesion, rows["course"]), return_inverse=True)
        deliveries = protocol_on(snapshot.study, selection.cut_date).stereotactic.deliveries
        is_stereotactic = np.isin(rows["delivery"], snapshot.words.codes(deliveries))
        count = int(courses.max(initial=-1)) + 1
        reached = least_ranks(courses[is_stereotactic], named[is_stereotactic], count)
        first = _first_of_each(courses, np.lexsort((named, courses)))
        return cls(rows, first, lesion[first], named[first], reached)

    def first_of_lesions(self, mask: Mask) -> Indexes:
        """Returns for each lesion the element of the first course that names it, among those of the mask."""
        among = np.flatnonzero(mask)
        order = among[np.lexsort((self.reached[among], self.named[among], self.lesion[among]))]
        return _first_of_each(self.lesion, order)

    def named_later(self, chosen: Indexes) -> Keys:
        """Returns for each chosen element the rank of the first later day on which another course names its lesion.

        `chosen` is in the order of the lesions.
        """
        if not len(chosen):
            return np.zeros(0, dtype=np.int64)
        places = np.minimum(np.searchsorted(self.lesion[chosen], self.lesion), len(chosen) - 1)
        day, own_day = self.named >> _PRECISION_BITS, self.named[chosen][places] >> _PRECISION_BITS
        is_later = (self.lesion[chosen][places] == self.lesion) & (day > own_day)
        return least_ranks(places[is_later], self.named[is_later], len(chosen))


def _episodes_on(snapshot: StudySnapshot, cut: int) -> Table:
    """Returns the episodes of lesions that a prescription names by the cut-off and does not give up by then."""
    episodes = snapshot.tables["lesion_episode"]
    return episodes.where((episodes["named_on"] <= cut) & (cut < episodes["retracted_on"]))


def _join_keys(first: Column, second: Column) -> Keys:
    """Returns one number for each pair of numbers, in the order of the pairs."""
    keys: Keys = first.astype(np.int64) * (int(second.max(initial=0)) + 1) + second
    return keys


def _first_of_each(groups: Column, order: Indexes) -> Indexes:
    """Returns the first element of each group. `order`: the elements in the order of their groups."""
    ordered = groups[order]
    is_first = np.ones(len(order), dtype=bool)
    is_first[1:] = ordered[1:] != ordered[:-1]
    first: Indexes = order[is_first]
    return first


def rank_days(day: Column, precision: Column) -> Keys:
    """Returns numbers in the order of the days; of one day, the most precise date is the first."""
    ranks: Keys = (day.astype(np.int64) << _PRECISION_BITS) + precision
    return ranks


def days_of_ranks(ranks: Keys) -> DayColumn:
    """Returns the days and precisions that ranks stand for."""
    return DayColumn((ranks >> _PRECISION_BITS).astype(np.int32), (ranks & _MOST_PRECISION).astype(np.int32))


def least_ranks(places: Indexes, ranks: Keys, count: int) -> Keys:
    """Returns the least rank at each of the places 0 … count - 1, `NEVER_RANK` at a place without one."""
    least = np.full(count, NEVER_RANK, dtype=np.int64)
    np.minimum.at(least, places, ranks)
    return least
