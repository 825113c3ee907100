"""The first stereotactic treatment of each participant, as the protocol of the cut-off defines it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from services.analytics.snapshot.columns import Column, Table, day_number
from services.analytics.snapshot.flow import DayColumn, first_days, last_days
from services.analytics.snapshot.selection import stereotactic_targets
from services.analytics.snapshot.snapshot import Mask, StudySnapshot

STEREOTACTIC, OTHER = "stereotactic", "other"


@dataclass(frozen=True, slots=True)
class StereotacticDays:
    """The first stereotactic treatment of a metastasis of each participant, `NEVER_NUMBER` without one by the cut-off.

    `started`: the start of the first course with such a target. `reached`: the day on which such a target was first
    prescribed, which is later if a change of the prescription added it.
    """

    started: DayColumn
    reached: DayColumn


def stereotactic_days(snapshot: StudySnapshot, cut_date: date) -> StereotacticDays:
    """Returns the days of the targets that are stereotactic on the cut-off."""
    current = stereotactic_targets(snapshot, cut_date)
    of_courses = _targets_of_courses(snapshot, current, cut_date)
    is_stereotactic = of_courses["treats_metastasis"] & np.isin(of_courses["delivery"], np.unique(current["delivery"]))
    of_targets = of_courses.where(is_stereotactic & _is_among(snapshot, of_courses, current, ("course", "target")))
    return StereotacticDays(
        started=first_days(snapshot, of_courses, "valid_from", "prescribed_precision"),
        reached=first_days(snapshot, of_targets, "valid_from", "prescribed_precision"),
    )


def stereotactic_course_ends(snapshot: StudySnapshot, cut_date: date) -> DayColumn:
    """Returns the end of each participant's first stereotactic course, `NEVER_NUMBER` while it continues.

    Two courses that start on one day end with the later one.
    """
    of_courses = _targets_of_courses(snapshot, stereotactic_targets(snapshot, cut_date), cut_date)
    started = first_days(snapshot, of_courses, "valid_from", "prescribed_precision").day
    first_courses = of_courses.where(of_courses["valid_from"] == started[snapshot.subject_indexes(of_courses)])
    courses = snapshot.tables["course"]
    ended = courses.where(_is_among(snapshot, courses, first_courses, ("course",)))
    return last_days(snapshot, ended, "ended_on", "ended_precision")


def _targets_of_courses(snapshot: StudySnapshot, current: Table, cut_date: date) -> Table:
    """Returns all targets of the courses with one of the current targets, as prescribed by the cut-off."""
    prescribed = _prescribed_by(snapshot.tables["target"], day_number(cut_date))
    return prescribed.where(_is_among(snapshot, prescribed, current, ("course",)))


def _prescribed_by(targets: Table, cut: int) -> Table:
    return targets.where(targets["valid_from"] <= cut)


def _is_among(snapshot: StudySnapshot, rows: Table, others: Table, columns: tuple[str, ...]) -> Mask:
    """Returns which rows have the participant and these columns of one of the other rows."""
    sizes = [int(max(rows[name].max(initial=0), others[name].max(initial=0))) + 1 for name in columns]
    keys, other_keys = (_keys(snapshot, table, columns, sizes) for table in (rows, others))
    return np.isin(keys, other_keys)


def _keys(snapshot: StudySnapshot, rows: Table, columns: tuple[str, ...], sizes: list[int]) -> NDArray[np.int64]:
    keys: Column = snapshot.subject_indexes(rows).astype(np.int64)
    for name, size in zip(columns, sizes, strict=True):
        keys = keys * size + rows[name]
    return keys
