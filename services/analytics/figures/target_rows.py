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
from services.analytics.snapshot.columns import Table, day_of_number
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
class SelectedTargets:
    """The targets of a selection on the cut-off, and the number of different imputed dates that are shown."""

    rows: tuple[TargetRow, ...]
    imputed_dates: int


def select_targets(snapshot: StudySnapshot, selection: Selection) -> SelectedTargets:
    """Returns the targets of every course that the selected participants, once enrolled, had started by the cut-off.

    They are as prescribed last, by participant, course and order of the prescription.
    """
    targets, courses = snapshot.tables["target"], snapshot.tables["course"]
    cut = selection.cut_number
    enrolled = selection.subjects(snapshot) & (snapshot.subjects["enrolled_on"] <= cut)
    is_valid = (targets["valid_from"] <= cut) & (cut <= targets["valid_to"])
    chosen_targets = targets.where(is_valid & enrolled[snapshot.subject_indexes(targets)])
    course_index = _course_indexes(chosen_targets, courses)
    order = np.lexsort(
        (
            chosen_targets["rank"],
            course_index,
            courses["started_on"][course_index],
            snapshot.subject_indexes(chosen_targets),
        )
    )
    reader = _RowReader(snapshot, chosen_targets, courses, cut)
    rows = tuple(reader.target_row(row, course) for row, course in zip(order, course_index[order], strict=True))
    return SelectedTargets(rows, _count_imputed_dates(chosen_targets, courses, course_index, cut))


def _course_indexes(targets: Table, courses: Table) -> NDArray[np.intp]:
    """Returns for each target the index of its course."""
    keys = {key: index for index, key in enumerate(_course_keys(courses))}
    return np.array([keys[key] for key in _course_keys(targets)], dtype=np.intp)


def _course_keys(rows: Table) -> list[tuple[bytes, int]]:
    return list(zip(rows["participant_id"].tolist(), rows["course"].tolist(), strict=True))


def _count_imputed_dates(targets: Table, courses: Table, course_index: NDArray[np.intp], cut: int) -> int:
    """Returns the number of imputed starts, ends and changes of the courses that are shown, each once."""
    course_rows = np.unique(course_index)
    started, ended = courses["started_on"], courses["ended_on"]
    imputed_starts = np.sum(courses["started_precision"][course_rows] > 0)
    imputed_ends = np.sum((courses["ended_precision"][course_rows] > 0) & (ended[course_rows] <= cut))
    prescribed = targets["valid_from"]
    is_change = (prescribed != started[course_index]) & (prescribed != ended[course_index])
    changed = is_change & (targets["prescribed_precision"] > 0)
    changes = set(zip(course_index[changed].tolist(), prescribed[changed].tolist(), strict=True))
    return int(imputed_starts + imputed_ends) + len(changes)


@dataclass(frozen=True, slots=True)
class _RowReader:
    """Decodes columns of codes into `TargetRow`."""

    snapshot: StudySnapshot
    targets: Table
    courses: Table
    cut: int

    def target_row(self, row: int, course: int) -> TargetRow:
        """Returns the row of a target and its course, by their indexes."""
        target = {name: column[row] for name, column in self.targets.columns.items()}
        fractions, fraction_cgy = int(target["fractions"]), int(target["fraction_cgy"])
        modality = self._word(target["modality"])
        doses = _effective_doses(modality, fractions, fraction_cgy, treats_cns=bool(target["treats_cns"]))
        participant_id = bytes(target["participant_id"])
        subject = int(np.searchsorted(self.snapshot.subjects["participant_id"], participant_id))
        return TargetRow(
            participant_id=participant_id.decode(),
            site_id=self._word(self.snapshot.subjects["enrolling_site"][subject]),
            course_id=self._word(target["course"]),
            index=bool(self.courses["is_index"][course]),
            intent=self._word(self.courses["intent"][course]),
            started_on=self._date_text("started", course),
            ended_on=self._date_text("ended", course) if self.courses["ended_on"][course] <= self.cut else None,
            target_id=self._word(target["target"]),
            label=self._word(target["label"]),
            modality=modality,
            technique=self._word(target["technique"]),
            delivery=self._word(target["delivery"]),
            fractions=fractions,
            dose_per_fraction_gy=float(gray(fraction_cgy)),
            total_dose_gy=float(gray(int(target["total_cgy"]))),
            prescription_isodose_percent=_known(target["isodose_percent"]),
            boost_of=self._word(target["boost_of"]) or None,
            fractions_delivered=_known(target["fractions_delivered"]),
            dose_delivered_gy=_known_gray(target["delivered_cgy"]),
            **doses,
        )

    def _word(self, code: int) -> str:
        return self.snapshot.words.word(code)

    def _date_text(self, name: str, course: int) -> str:
        """Returns a date as it was recorded: an imputed day lies within the month or year that is known."""
        day = day_of_number(self.courses[f"{name}_on"][course]).isoformat()
        return day[: _TEXT_LENGTHS[int(self.courses[f"{name}_precision"][course])]]


_TEXT_LENGTHS = {EXACT: 10, MONTH: 7, YEAR: 4}


def _known(number: int) -> int | None:
    return None if number == UNKNOWN_NUMBER else int(number)


def _known_gray(centigray: int) -> float | None:
    return None if centigray == UNKNOWN_NUMBER else float(gray(int(centigray)))


def _effective_doses(modality: str, fractions: int, fraction_cgy: int, *, treats_cns: bool) -> dict[str, float | None]:
    """Returns BED and EQD2 by the names of their members; null for a modality for which the formulas do not hold."""
    alpha_betas = {"10": ALPHA_BETA_TUMOR, "3": ALPHA_BETA_LATE} | ({"2": ALPHA_BETA_CNS} if treats_cns else {})
    has_linear_quadratic_model, dose = modality in LINEAR_QUADRATIC_MODALITIES, gray(fraction_cgy)
    return {
        f"{name}_{suffix}": float(formula(fractions, dose, alpha_beta)) if has_linear_quadratic_model else None
        for name, formula in (("bed", bed), ("eqd2", eqd2))
        for suffix, alpha_beta in alpha_betas.items()
    }
