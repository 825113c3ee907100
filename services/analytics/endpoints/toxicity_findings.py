"""The findings of toxicity of a cohort, from the start of the index course or of the first stereotactic course. Pure.

`before` are the findings of baseline assessments that are dated on or before time 0. `after` are those of all other
assessments dated on or after it, and of serious adverse events.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from services.analytics.endpoints.exits import Days
from services.analytics.endpoints.origins import origin_days
from services.analytics.endpoints.stereotactic import stereotactic_course_ends
from services.analytics.snapshot.columns import Column, Table
from services.analytics.snapshot.flow import DayColumn
from services.analytics.snapshot.selection import Origin, Selection
from services.analytics.snapshot.snapshot import Mask, StudySnapshot

CLOCKS: tuple[Origin, ...] = ("rt_start", "stereotactic_start")
"""Time 0 of toxicity: the start of the index course, or of the first stereotactic course."""
_NUMBER_BITS = 32


def with_clock(selection: Selection) -> Selection:
    """Returns the selection with time 0 of toxicity as its origin: by default the start of the index course."""
    return selection if selection.origin in CLOCKS else replace(selection, origin="rt_start")


@dataclass(frozen=True, slots=True, eq=False)
class ToxicityClock:
    """Time 0 of each participant, and the first and last day of events that count by the window of a selection."""

    started: DayColumn
    first_day: Days
    last_day: Days

    @classmethod
    def of(cls, snapshot: StudySnapshot, selection: Selection) -> Self:
        """Returns the clock of a selection with one of `CLOCKS` as its origin."""
        started = origin_days(snapshot, selection)
        toxicity, day = selection.toxicity, started.day.astype(np.int64)
        from_day = day if toxicity.late_from == "start" else _course_ends(snapshot, selection)
        last_acute = from_day + toxicity.late_after
        return cls(
            started=started,
            first_day=last_acute + 1 if toxicity.window == "late" else np.full_like(day, -(2**31)),
            last_day=last_acute if toxicity.window == "acute" else np.full_like(day, 2**31),
        )


def _course_ends(snapshot: StudySnapshot, selection: Selection) -> Days:
    """Returns the end of the course that time 0 is the start of."""
    if selection.origin == "stereotactic_start":
        return stereotactic_course_ends(snapshot, selection.cut_date).day.astype(np.int64)
    return snapshot.subjects["index_ended_on"].astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """Findings with the participant at the index `subjects`.

    `is_before`: of a baseline assessment on or before time 0. `is_in_window`: the day of the event is one that counts.
    """

    rows: Table
    subjects: NDArray[np.intp]
    is_before: Mask
    is_in_window: Mask

    @classmethod
    def of(cls, snapshot: StudySnapshot, clock: ToxicityClock) -> Self:
        """Returns the findings of everybody, whenever they are dated."""
        rows = snapshot.tables["finding"]
        subjects = snapshot.subject_indexes(rows)
        is_baseline = _is_of_baseline(snapshot, rows, subjects)
        event_on = rows["event_on"]
        return cls(
            rows=rows,
            subjects=subjects,
            is_before=is_baseline & (rows["assessed_on"] <= clock.started.day[subjects]),
            is_in_window=(clock.first_day[subjects] <= event_on) & (event_on <= clock.last_day[subjects]),
        )

    def where(self, mask: Mask) -> Findings:
        """Returns the findings for which the mask is true."""
        return Findings(self.rows.where(mask), self.subjects[mask], self.is_before[mask], self.is_in_window[mask])

    def is_related(self, snapshot: StudySnapshot) -> Mask:
        """Returns which findings are related to a course that had begun; one without attribution counts as related."""
        return np.isin(self.rows["relation"], snapshot.words.codes(("related", "not_stated")))


def _is_of_baseline(snapshot: StudySnapshot, rows: Table, subjects: NDArray[np.intp]) -> Mask:
    """Returns which findings are those of a baseline assessment. Serious adverse events have no assessment."""
    assessments = snapshot.tables["assessment"]
    baseline = assessments.where(assessments["timepoint"] == snapshot.words.code("baseline"))
    keys = assessment_keys(snapshot.subject_indexes(baseline), baseline["number"])
    return np.isin(assessment_keys(subjects, rows["number"]), keys)


def assessment_keys(subjects: NDArray[np.intp], numbers: Column) -> NDArray[np.int64]:
    """Returns a number for each assessment, by its participant and its own number, which may be -1 for none."""
    keys: NDArray[np.int64] = (subjects.astype(np.int64) << _NUMBER_BITS) + numbers
    return keys
