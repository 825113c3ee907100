"""The findings of toxicity of a cohort, from the start of the index course or of the first stereotactic course. Pure.

Assessments before time 0 are those with the timepoint baseline that are dated on or before it. Those since time 0 are
all others that are dated on or after it; serious adverse events belong to these.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from services.analytics.endpoints.exits import Days
from services.analytics.endpoints.origins import origin_days
from services.analytics.endpoints.stereotactic import stereotactic_course_ends
from services.analytics.snapshot.columns import Column, Table, first_of_each
from services.analytics.snapshot.flow import DayColumn
from services.analytics.snapshot.selection import Origin, Selection
from services.analytics.snapshot.snapshot import Mask, StudySnapshot

CLOCKS: tuple[Origin, ...] = ("rt_start", "stereotactic_start")
"""Time 0 of toxicity: the start of the index course, or of the first stereotactic course."""


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
class Assessments:
    """The assessments of a cohort, each with the participant at the index `subjects`.

    `first_rows`: the row of the first assessment of each participant; the others follow by number. `is_before`: of the
    timepoint baseline, and dated on or before time 0. `is_since`: any other that is dated on or after time 0.
    """

    rows: Table
    subjects: NDArray[np.intp]
    first_rows: NDArray[np.intp]
    is_before: Mask
    is_since: Mask

    @classmethod
    def of(cls, snapshot: StudySnapshot, clock: ToxicityClock) -> Self:
        """Returns the assessments of everybody, whenever they are dated."""
        rows = snapshot.tables["assessment"]
        subjects = snapshot.subject_indexes(rows)
        first = first_of_each(subjects)
        first_rows = np.zeros(len(snapshot.subjects), dtype=np.intp)
        first_rows[subjects[first]] = first
        day, started = rows["assessed_on"], clock.started.day[subjects]
        is_before = (rows["timepoint"] == snapshot.words.code("baseline")) & (day <= started)
        return cls(rows, subjects, first_rows, is_before, ~is_before & (day >= started))


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """Some findings of a cohort, each with the participant at the index `subjects`.

    `assessments`: the row of the assessment, -1 for a serious adverse event, which has none.
    """

    rows: Table
    subjects: NDArray[np.intp]
    assessments: NDArray[np.intp]

    @classmethod
    def of(cls, snapshot: StudySnapshot, assessments: Assessments, mask: Mask) -> Self:
        """Returns the findings for which the mask is true."""
        rows = snapshot.tables["finding"].where(mask)
        subjects, numbers = snapshot.subject_indexes(rows), rows["number"]
        return cls(rows, subjects, np.where(numbers < 0, -1, assessments.first_rows[subjects] + numbers))

    def __getitem__(self, name: str) -> Column:
        """Returns a column of the table."""
        return self.rows[name]

    def where(self, mask: Mask) -> Findings:
        """Returns the findings for which the mask is true."""
        if mask.all():
            return self
        return Findings(self.rows.where(mask), self.subjects[mask], self.assessments[mask])

    def are_of(self, is_chosen: Mask) -> Mask:
        """Returns which findings belong to the chosen assessments; serious adverse events do not."""
        return np.append(is_chosen, False)[self.assessments]

    def are_in_window(self, clock: ToxicityClock) -> Mask:
        """Returns which findings have an event on a day that counts."""
        event_on = self["event_on"]
        is_in_window: Mask = (clock.first_day[self.subjects] <= event_on) & (event_on <= clock.last_day[self.subjects])
        return is_in_window

    def are_related(self, snapshot: StudySnapshot) -> Mask:
        """Returns which findings are related to a course that had begun; one without attribution counts as related."""
        related, not_stated = snapshot.words.codes(("related", "not_stated"))
        relation = self["relation"]
        is_related: Mask = (relation == related) | (relation == not_stated)
        return is_related


def present_codes(codes: Column) -> list[int]:
    """Returns the distinct codes of a column of words, in order."""
    is_present = np.zeros(int(codes.max(initial=-1)) + 1, dtype=bool)
    is_present[codes] = True
    present: list[int] = np.flatnonzero(is_present).tolist()
    return present
