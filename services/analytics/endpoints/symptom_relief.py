"""Symptoms that are present at baseline, and what becomes of them: relief, worsening, or death without a contact. Pure.

A change is against baseline. Relief is a change to improved or resolved; the time to the first one is counted from the
start of the index course, and death without relief competes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from services.analytics.endpoints.baseline_findings import ABSENT, symptoms
from services.analytics.endpoints.enrolled import Characteristic, EnrolledRows
from services.analytics.endpoints.exits import Exits, VitalStatus
from services.analytics.endpoints.origins import origin_days
from services.analytics.endpoints.stereotactic import STEREOTACTIC, stereotactic_days
from services.analytics.endpoints.time_to_event import EndpointTimes, observe_endpoint
from services.analytics.snapshot.columns import NEVER_NUMBER, Column, Table
from services.analytics.snapshot.flow import DayColumn, first_days, last_days
from services.analytics.snapshot.snapshot import Mask, StudySnapshot
from services.analytics.snapshot.subject_days import DatedRows, count_imputed_dates, days_of_kind
from services.analytics.statistics.risk_sets import CENSORED

RELIEF, DEATH_WITHOUT_RELIEF = 1, 2
"""The causes of an event."""
_RELIEVED = ("improved", "resolved")


@dataclass(frozen=True, slots=True, eq=False)
class SymptomCourse:
    """A symptom in the enrolled participants. All masks but `absent` and `not_evaluable` are parts of `present`.

    `present`, `absent`: at baseline. `not_evaluable`: no baseline by the cut-off says. `assessed`: with a change at a
    contact after it. `relieved`: ever. `relieved_at_last`, `worse_at_last`: at the last contact that assessed the
    symptom. `died_before_contact`: dead on the cut-off without a contact after baseline. `times`: from the start of the
    index course to the first relief. `dates`: the dates that fixed any of these.
    """

    symptom: str
    present: Mask
    absent: Mask
    not_evaluable: Mask
    assessed: Mask
    relieved: Mask
    relieved_at_last: Mask
    worse_at_last: Mask
    died_before_contact: Mask
    times: EndpointTimes
    dates: tuple[DatedRows, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Changes:
    """Changes of symptoms at contacts, each of the participant at the index `subjects`."""

    rows: Table
    subjects: NDArray[np.intp]

    def where(self, mask: Mask) -> _Changes:
        return _Changes(self.rows.where(mask), self.subjects[mask])


@dataclass(frozen=True, eq=False)
class SymptomRelief:
    """The symptoms of the enrolled participants of a selection, by the cut-off."""

    rows: EnrolledRows

    def courses(self) -> Iterator[SymptomCourse]:
        """Yields each symptom: those of the protocol, and others that a baseline states."""
        for severity in symptoms(self.rows):
            yield self._course(severity)

    def imputed_dates(self, courses: Sequence[SymptomCourse]) -> int:
        """Returns the number of imputed dates of enrollments, baselines, and whatever fixed the courses."""
        rows = self.rows
        enrolled, baseline = (
            _dated(mask, DayColumn(rows.column(f"{name}_on"), rows.column(f"{name}_precision")))
            for name, mask in (("enrolled", rows.counted), ("baseline", rows.has_baseline))
        )
        return count_imputed_dates([enrolled, baseline, *(dates for course in courses for dates in course.dates)])

    @cached_property
    def _counts_after(self) -> Column:
        """The day after which contacts count: baseline, or in the stereotactic subset a later day of reaching it."""
        baseline = self.rows.column("baseline_on")
        if self.rows.selection.subset != STEREOTACTIC:
            return baseline
        reached = stereotactic_days(self.rows.snapshot, self.rows.selection.cut_date).reached.day
        return np.maximum(baseline, reached)

    @cached_property
    def _life(self) -> Exits:
        return VitalStatus.of(self.rows.snapshot).exits(self.rows.cut)

    @cached_property
    def _origin(self) -> DayColumn:
        """The start of the index course."""
        return origin_days(self.rows.snapshot, replace(self.rows.selection, origin="rt_start"))

    @cached_property
    def _died_before_contact(self) -> Mask:
        contacts = days_of_kind(self.rows.snapshot, "contact", self.rows.cut)
        subjects = self.rows.snapshot.subject_indexes(contacts)
        is_contact = contacts["code"] != self.rows.code("registry")
        is_later = contacts["day_on"] > self._counts_after[subjects]
        was_seen = self.rows.with_rows(subjects[is_contact & is_later])
        died: Mask = (self.rows.column("dead_from") <= self.rows.cut) & ~was_seen
        return died

    def _course(self, severity: Characteristic) -> SymptomCourse:
        rows = self.rows
        absent = severity.values[ABSENT]
        present: Mask = rows.counted & severity.is_known & ~absent
        changes = self._changes.where(
            (self._changes.rows["symptom"] == rows.code(severity.item)) & present[self._changes.subjects]
        )
        subjects, change = changes.subjects, changes.rows["change"]
        is_relief = np.isin(change, [rows.code(name) for name in _RELIEVED])
        last = last_days(rows.snapshot, changes.rows, "day_on", "day_precision")
        is_last = changes.rows["day_on"] == last.day[subjects]
        is_worse = change == rows.code("worse")
        assessed, relieved = rows.with_rows(subjects), changes.where(is_relief)
        died = present & self._died_before_contact & ~assessed
        first_relief = first_days(rows.snapshot, relieved.rows, "day_on", "day_precision")
        exits = self._exits(changes, relieved)
        times = _observe_present(rows, present, exits)
        return SymptomCourse(
            symptom=severity.item,
            present=present,
            absent=absent,
            not_evaluable=rows.counted & ~severity.is_known,
            assessed=assessed,
            relieved=rows.with_rows(subjects[is_relief]),
            relieved_at_last=rows.with_rows(subjects[is_last & is_relief])
            & ~rows.with_rows(subjects[is_last & ~is_relief]),
            worse_at_last=rows.with_rows(subjects[is_last & is_worse]),
            died_before_contact=died,
            times=times,
            dates=(
                _dated(assessed, last),
                _dated(rows.with_rows(subjects[is_relief]), first_relief),
                _dated(died, DayColumn(rows.column("dead_from"), rows.column("died_precision"))),
                _dated(rows.with_rows(times.subjects), self._origin),
                _dated(rows.with_rows(times.subjects), DayColumn(exits.day, exits.precision)),
            ),
        )

    @cached_property
    def _changes(self) -> _Changes:
        """The changes at contacts that count by the cut-off, of all symptoms and participants."""
        table = self.rows.snapshot.tables["symptom"]
        subjects = self.rows.snapshot.subject_indexes(table)
        is_later = (table["day_on"] > self._counts_after[subjects]) & (table["day_on"] <= self.rows.cut)
        return _Changes(table, subjects).where(is_later & (table["change"] != self.rows.code("")))

    def _exits(self, changes: _Changes, relieved: _Changes) -> Exits:
        """Returns the ends of observation: the first relief after the origin, death, or the last assessment.

        Without an event time ends on the last contact that assessed the symptom after the origin; on the origin if
        there is none. A relief and a death on one day are a relief.
        """
        snapshot, origin, life = self.rows.snapshot, self._origin, self._life
        is_event = relieved.rows["day_on"] > origin.day[relieved.subjects]
        relief = first_days(snapshot, relieved.where(is_event).rows, "day_on", "day_precision")
        day, subjects = changes.rows["day_on"], changes.subjects
        is_observed = (day > origin.day[subjects]) & (day <= life.day[subjects])
        assessed = last_days(snapshot, changes.where(is_observed).rows, "day_on", "day_precision")
        has_relief, has_died = relief.day <= life.day, life.cause != CENSORED
        is_assessed = assessed.day < NEVER_NUMBER
        censored_on = np.where(is_assessed, assessed.day, np.minimum(origin.day, life.day))
        censored_precision = np.where(is_assessed, assessed.precision, origin.precision)
        return Exits(
            day=np.where(has_relief, relief.day, np.where(has_died, life.day, censored_on)).astype(np.int64),
            cause=np.where(has_relief, RELIEF, np.where(has_died, DEATH_WITHOUT_RELIEF, CENSORED)).astype(np.int64),
            precision=np.where(has_relief, relief.precision, np.where(has_died, life.precision, censored_precision)),
        )


def _observe_present(rows: EnrolledRows, present: Mask, exits: Exits) -> EndpointTimes:
    """Returns the times of the participants in whom the symptom is present."""
    subjects = rows.snapshot.subjects
    limited = Table({**subjects.columns, "is_screened": subjects["is_screened"] & present})
    snapshot: StudySnapshot = replace(rows.snapshot, tables={**rows.snapshot.tables, "subject": limited})
    return observe_endpoint(snapshot, replace(rows.selection, origin="rt_start"), exits)


def _dated(mask: Mask, date: DayColumn) -> DatedRows:
    chosen: NDArray[np.intp] = np.flatnonzero(mask)
    return chosen, date.day[chosen], date.precision[chosen]
