"""Prescribed targets as rows: the prescription, its biologically effective dose, and the delivered dose.

Levels of an integrated boost are rows of their own. BED and EQD2 are those of the prescription. They are null for dose
that is given slowly (low and pulsed dose rate, radiopharmaceuticals) or whose biological weight is not stated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from services.analytics.cohort.date_imputation import EXACT, MONTH, YEAR
from services.analytics.derivation.rows import UNKNOWN_NUMBER
from services.analytics.snapshot.columns import Column, Table, day_of_number
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import StudySnapshot
from services.analytics.statistics.dose import (
    ALPHA_BETA_CNS,
    ALPHA_BETA_LATE,
    ALPHA_BETA_TUMOR,
    LINEAR_QUADRATIC_MODALITIES,
    bed,
    eqd2,
    gray,
)


class TargetRow(BaseModel):
    """A target as prescribed last. Doses in Gy, isodose in percent.

    `bed_…` and `eqd2_…` are for an α/β of 10 and 3 Gy, and of 2 Gy where the target treats the central nervous system;
    elsewhere `bed_2` and `eqd2_2` are left out. `fractions_delivered` and `dose_delivered_gy` are null before the
    course has ended, or if its end does not name the target.
    """

    model_config = ConfigDict(frozen=True)

    participant_id: str
    site_id: str
    course_id: str
    index: bool
    intent: str
    started_on: str
    ended_on: str | None
    target_id: str
    label: str
    modality: str
    technique: str
    delivery: str
    fractions: int
    dose_per_fraction_gy: float
    total_dose_gy: float
    prescription_isodose_percent: int | None
    boost_of: str | None
    bed_10: float | None
    bed_3: float | None
    bed_2: float | None = None
    eqd2_10: float | None
    eqd2_3: float | None
    eqd2_2: float | None = None
    fractions_delivered: int | None
    dose_delivered_gy: float | None


@dataclass(frozen=True, slots=True)
class TargetList:
    """The targets of a selection on the cut-off, in the order of the figure's table.

    `target_index`, `course_index` and `subject_index`: the row of each target, of its course, and of its participant in
    the tables of the snapshot.
    """

    snapshot: StudySnapshot
    cut: int
    target_index: NDArray[np.intp]
    course_index: NDArray[np.intp]
    subject_index: NDArray[np.intp]

    @property
    def courses(self) -> Table:
        """All courses of the snapshot."""
        return self.snapshot.tables["course"]

    def column(self, name: str) -> Column:
        """Returns a column of the targets."""
        return self.snapshot.tables["target"][name][self.target_index]

    def rows(self, places: slice) -> tuple[TargetRow, ...]:
        """Returns the rows of the targets at these places."""
        return tuple(self._row(index) for index in range(*places.indices(len(self.target_index))))

    def word(self, code: int) -> str:
        return self.snapshot.words.word(code)

    def count_imputed_dates(self) -> int:
        """Returns the number of imputed starts, ends and changes of the listed courses, each once."""
        course_rows = np.unique(self.course_index)
        started, ended = self.courses["started_on"], self.courses["ended_on"]
        imputed_starts = np.sum(self.courses["started_precision"][course_rows] > 0)
        imputed_ends = np.sum((self.courses["ended_precision"][course_rows] > 0) & (ended[course_rows] <= self.cut))
        prescribed = self.column("valid_from")
        is_change = (prescribed != started[self.course_index]) & (prescribed != ended[self.course_index])
        changed = is_change & (self.column("prescribed_precision") > 0)
        changes = set(zip(self.course_index[changed].tolist(), prescribed[changed].tolist(), strict=True))
        return int(imputed_starts + imputed_ends) + len(changes)

    def _row(self, index: int) -> TargetRow:
        row = int(self.target_index[index])
        target = {name: column[row] for name, column in self.snapshot.tables["target"].columns.items()}
        course = int(self.course_index[index])
        fractions, fraction_cgy = int(target["fractions"]), int(target["fraction_cgy"])
        modality = self.word(target["modality"])
        doses = effective_doses(modality, fractions, fraction_cgy, treats_cns=bool(target["treats_cns"]))
        return TargetRow(
            participant_id=bytes(target["participant_id"]).decode(),
            site_id=self.word(self.snapshot.subjects["enrolling_site"][self.subject_index[index]]),
            course_id=self.word(target["course"]),
            index=bool(self.courses["is_index"][course]),
            intent=self.word(self.courses["intent"][course]),
            started_on=self._date_text("started", course),
            ended_on=self._date_text("ended", course) if self.courses["ended_on"][course] <= self.cut else None,
            target_id=self.word(target["target"]),
            label=self.word(target["label"]),
            modality=modality,
            technique=self.word(target["technique"]),
            delivery=self.word(target["delivery"]),
            fractions=fractions,
            dose_per_fraction_gy=float(gray(fraction_cgy)),
            total_dose_gy=float(gray(int(target["total_cgy"]))),
            prescription_isodose_percent=_known(target["isodose_percent"]),
            boost_of=self.word(target["boost_of"]) or None,
            fractions_delivered=_known(target["fractions_delivered"]),
            dose_delivered_gy=_known_gray(target["delivered_cgy"]),
            **doses,
        )

    def _date_text(self, name: str, course: int) -> str:
        """Returns a date as it was recorded: an imputed day lies within the month or year that is known."""
        day = day_of_number(self.courses[f"{name}_on"][course]).isoformat()
        return day[: _TEXT_LENGTHS[int(self.courses[f"{name}_precision"][course])]]


def list_targets(snapshot: StudySnapshot, selection: Selection) -> TargetList:
    """Returns the targets of every course that the selected participants, once enrolled, had started by the cut-off.

    They are as prescribed last, in the order of participants by number, of their courses by start and then by their
    place among the derived rows, and of the prescription.
    """
    targets, courses, cut = snapshot.tables["target"], snapshot.tables["course"], selection.cut_number
    enrolled = selection.subjects(snapshot) & (snapshot.subjects["enrolled_on"] <= cut)
    target_index = np.flatnonzero((targets["valid_from"] <= cut) & (cut <= targets["valid_to"]))
    target_index = target_index[enrolled[snapshot.subject_indexes(targets)[target_index]]]
    subject_index = snapshot.subject_indexes(targets)[target_index]
    course_index = _course_indexes(
        _course_keys(targets["course"][target_index], subject_index),
        _course_keys(courses["course"], snapshot.subject_indexes(courses)),
    )
    order = np.lexsort(
        (targets["rank"][target_index], course_index, courses["started_on"][course_index], subject_index)
    )
    return TargetList(snapshot, cut, target_index[order], course_index[order], subject_index[order])


def _course_indexes(keys: NDArray[np.int64], course_keys: NDArray[np.int64]) -> NDArray[np.intp]:
    """Returns the row of the course with each key."""
    order = np.argsort(course_keys)
    return order[np.searchsorted(course_keys, keys, sorter=order)]


def _course_keys(courses: Column, subjects: NDArray[np.intp]) -> NDArray[np.int64]:
    """Returns a number for each name of a course and its participant, the same for all rows of one course."""
    return subjects.astype(np.int64) << _CODE_BITS | courses


_CODE_BITS = 32
_TEXT_LENGTHS = {EXACT: 10, MONTH: 7, YEAR: 4}


def _known(number: int) -> int | None:
    return None if number == UNKNOWN_NUMBER else int(number)


def _known_gray(centigray: int) -> float | None:
    return None if centigray == UNKNOWN_NUMBER else float(gray(int(centigray)))


def effective_doses(modality: str, fractions: int, fraction_cgy: int, *, treats_cns: bool) -> dict[str, float | None]:
    """Returns BED and EQD2 by the names of their members; null for a modality for which the formulas do not hold."""
    alpha_betas = {"10": ALPHA_BETA_TUMOR, "3": ALPHA_BETA_LATE} | ({"2": ALPHA_BETA_CNS} if treats_cns else {})
    has_linear_quadratic_model, dose = modality in LINEAR_QUADRATIC_MODALITIES, gray(fraction_cgy)
    return {
        f"{name}_{suffix}": float(formula(fractions, dose, alpha_beta)) if has_linear_quadratic_model else None
        for name, formula in (("bed", bed), ("eqd2", eqd2))
        for suffix, alpha_beta in alpha_betas.items()
    }
