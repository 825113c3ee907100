"""The participants of a data cut whom its data sets show, with their rows and days. Pure.

They are the enrolled participants who are in analyses. Nothing that is dated after the cut-off is shown, but that it
proves somebody alive on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.analytics.endpoints.enrolled import EnrolledRows
from services.analytics.snapshot.columns import NEVER_NUMBER, Column, Table, day_of_number
from services.analytics.snapshot.flow import DayColumn
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import DataCut, StudySnapshot

PRECISION_FLAGS = ("", "D", "M", "Y")
"""The part of a date that is imputed, by its precision: nothing, the day, the month too, or all of it."""


@dataclass(frozen=True, eq=False)
class CutCohort:
    """The enrolled participants of a snapshot at a data cut.

    `sites`: the site that follows each participant there. `site_id`: the site whose archive it is; None: the whole
    study. `enrolling_site`: the site at which participants are enrolled; None: any. `elsewhere`: how many participants
    the figures of the site count who are followed at another one, and so not in the snapshot.
    """

    snapshot: StudySnapshot
    cut: DataCut
    sites: Mapping[str, str]
    site_id: str | None = None
    enrolling_site: str | None = None
    elsewhere: int = 0

    @property
    def study_id(self) -> str:
        return self.snapshot.study_id

    @cached_property
    def screened(self) -> list[int]:
        """The indexes of the participants who are screened by the cut-off, in the order of their numbers."""
        is_screened = self.snapshot.subjects["screened_on"] <= self.cut_number
        return indexes(self.selection.subjects(self.snapshot) & is_screened)

    @property
    def cut_number(self) -> int:
        return self.selection.cut_number

    @cached_property
    def selection(self) -> Selection:
        """The selection of figures with default parameters at the data cut."""
        sites = frozenset({self.enrolling_site}) if self.enrolling_site else None
        return Selection(self.cut.cut_on, sites=sites, is_named_cut=True)

    @cached_property
    def enrolled(self) -> EnrolledRows:
        return EnrolledRows(self.snapshot, self.selection)

    @cached_property
    def places(self) -> list[int]:
        """The indexes of the enrolled participants in the snapshot, in the order of their numbers."""
        return list(np.flatnonzero(self.enrolled.counted).tolist())

    @cached_property
    def numbers(self) -> list[str]:
        """The number of every participant of the snapshot."""
        return [number.decode() for number in self.snapshot.subjects["participant_id"].tolist()]

    def words(self, codes: Column) -> list[str]:
        """Returns the words of codes."""
        by_code = {code: self.snapshot.words.word(code) for code in np.unique(codes).tolist()}
        return [by_code[code] for code in codes.tolist()]

    def rows(self, name: str) -> Table:
        """Returns the rows of a table that belong to enrolled participants."""
        table = self.snapshot.tables[name]
        return table.where(self.enrolled.counted[self.snapshot.subject_indexes(table)])

    def records(self, table: Table, *names: str) -> Iterator[tuple[Any, ...]]:
        """Yields the values of these columns for each row; the participant's number and words as texts."""
        yield from zip(*(self._values(name, table[name]) for name in names), strict=True)

    def _values(self, name: str, column: Column) -> list[Any]:
        if name == "participant_id":
            return [number.decode() for number in column.tolist()]
        return list(column.tolist())

    def day(self, number: int) -> date | None:
        """Returns the day of a number; None for none, and for a day after the cut-off."""
        return day_of_number(number) if -NEVER_NUMBER <= number <= self.cut_number else None

    def flag(self, number: int, precision: int) -> str:
        """Returns the part of a date that is imputed; nothing of a day that is not shown."""
        return PRECISION_FLAGS[precision] if self.day(number) else ""

    def dated(self, column: DayColumn) -> tuple[list[date | None], list[str]]:
        """Returns the day of every participant of the snapshot with the part of it that is imputed."""
        pairs = list(zip(column.day.tolist(), column.precision.tolist(), strict=True))
        return [self.day(day) for day, _ in pairs], [self.flag(*pair) for pair in pairs]


def indexes(mask: NDArray[np.bool_]) -> list[int]:
    """Returns the indexes at which a mask is true."""
    return list(np.flatnonzero(mask).tolist())


def numbered(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Yields rows with their number among those of the participant after the participant's number, which comes first.

    Rows come by participant.
    """
    for number, of_participant in groupby(rows, key=lambda row: row[0]):
        for sequence, (_, *rest) in enumerate(of_participant, start=1):
            yield number, sequence, *rest
