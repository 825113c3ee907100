"""A study as of a position, as columns of derived rows: what every analysis is computed from. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime

import numpy as np
from numpy.typing import NDArray

from services.analytics.snapshot.columns import SUBJECT_INDEX, ParticipantIds, Table, WordCodes, renumber_subjects
from shared.kernel.record import Record

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class DataCut:
    """A named data cut: its last calendar day, the position at which it was applied, and when it was recorded."""

    name: str
    cut_on: date
    position: int
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class StudySnapshot:
    """A study as of a position, as far as one member may see it.

    `epoch` changes when positions are counted anew, and `revision` with every derivation, also at the same position; it
    is 0 for rows that were derived for one request. `study`: the study's own facts at the position. `tables`: derived
    rows by table, at least those that the analysis needs. Participants who are in no analysis today have only their row
    in `subject`, at past positions too.
    """

    study_id: str
    position: int
    recorded_at: datetime | None
    study: Record
    tables: Mapping[str, Table]
    words: WordCodes
    epoch: str = ""
    revision: int = 0

    @property
    def subjects(self) -> Table:
        """The participants, one row each, sorted by number."""
        return self.tables["subject"]

    def subject_indexes(self, rows: Table) -> NDArray[np.intp]:
        """Returns for each row the index of its participant in `subjects`."""
        return rows[SUBJECT_INDEX]

    def subjects_with(self, rows: Table) -> Mask:
        """Returns which participants have any of these rows."""
        mask = np.zeros(len(self.subjects), dtype=bool)
        mask[rows[SUBJECT_INDEX]] = True
        return mask

    def limited_to(self, participant_ids: ParticipantIds) -> StudySnapshot:
        """Returns the snapshot of these participants alone."""
        is_chosen = np.isin(self.subjects["participant_id"], participant_ids)
        if is_chosen.all():
            return self
        numbers = np.cumsum(is_chosen) - 1
        tables = {
            name: renumber_subjects(table.gather(is_chosen[table[SUBJECT_INDEX]]), numbers)
            for name, table in self.tables.items()
        }
        return replace(self, tables=tables)
