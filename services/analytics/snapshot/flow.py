"""The steps and states of participants on a data cut-off, after CONSORT. Pure.

Each is a mask over the participants of a snapshot. The figure of the participant flow counts them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from services.analytics.cohort.participation_status import END_STATUSES, FollowUpStatus
from services.analytics.snapshot.columns import NEVER_NUMBER, Column, Table, first_of_each
from services.analytics.snapshot.selection import Selection, stereotactic_targets
from services.analytics.snapshot.snapshot import Mask, StudySnapshot

_PRECISION_BITS, _MOST_PRECISION = 2, 3
"""A day and its precision are compared as one number: the precision has the last two bits."""


@dataclass(frozen=True, slots=True)
class DayColumn:
    """A day of each participant, `NEVER_NUMBER` where there is none, with the precision of its date."""

    day: Column
    precision: Column


@dataclass(frozen=True, slots=True)
class _Milestone:
    """A step: the participants who have reached it by the cut-off, and the dates that decide."""

    mask: Mask
    date: DayColumn


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortFlow:
    """The steps that the selected participants have reached by the cut-off, and the status of the enrolled ones.

    `statuses`: exclusive masks. `used_dates`: for each kind of date that fixed a count, whether it was imputed.
    """

    screened: Mask
    screen_failed: Mask
    consented: Mask
    enrolled: Mask
    treated: Mask
    stereotactic: Mask
    statuses: Mapping[FollowUpStatus, Mask]
    used_dates: tuple[Mask, ...]

    @classmethod
    def from_snapshot(cls, snapshot: StudySnapshot, selection: Selection) -> Self:
        """Returns the flow of a selection. A participant is treated who is enrolled and started the index course."""
        milestones = _milestones(snapshot, selection)
        steps = {name: milestone.mask for name, milestone in milestones.items()}
        dates_by_status = status_dates(snapshot, selection.cut_number)
        statuses = _statuses(dates_by_status, steps["enrolled"], steps["treated"], selection.cut_number)
        used_dates = _used_dates(milestones, statuses, dates_by_status)
        return cls(**steps, statuses=statuses, used_dates=used_dates)

    def count(self, mask: Mask) -> int:
        return int(np.sum(mask))

    def count_status(self, status: FollowUpStatus) -> int:
        return self.count(self.statuses[status])

    def count_imputed_dates(self) -> int:
        """Returns the number of imputed dates that fixed a step or a status of somebody, each once."""
        return sum(self.count(mask) for mask in self.used_dates)


def _milestones(snapshot: StudySnapshot, selection: Selection) -> dict[str, _Milestone]:
    """Returns the steps by the members of `CohortFlow` that count them."""
    subjects, chosen, cut = snapshot.subjects, selection.subjects(snapshot), selection.cut_number
    milestones = dict[str, _Milestone]()
    for name in ("screened", "screen_failed", "consented", "enrolled"):
        date = DayColumn(subjects[f"{name}_on"], subjects[f"{name}_precision"])
        milestones[name] = _Milestone(chosen & (date.day <= cut), date)
    targets = stereotactic_targets(snapshot, selection.cut_date)
    treatments = {
        "treated": DayColumn(subjects["index_started_on"], subjects["index_started_precision"]),
        "stereotactic": first_days(snapshot, targets, "valid_from", "prescribed_precision"),
    }
    enrolled = milestones["enrolled"].mask
    return milestones | {name: _Milestone(enrolled & (date.day <= cut), date) for name, date in treatments.items()}


def status_dates(snapshot: StudySnapshot, cut: int) -> dict[FollowUpStatus, DayColumn]:
    """Returns the dates that decide the statuses."""
    subjects = snapshot.subjects
    return {
        "died": DayColumn(subjects["dead_from"], subjects["died_precision"]),
        "withdrawn": DayColumn(subjects["participation_ends_on"], subjects["participation_ends_precision"]),
        "lost": _last_absence(snapshot, cut),
        "completed": completion_days(snapshot, cut),
    }


def _statuses(
    dates: Mapping[FollowUpStatus, DayColumn], enrolled: Mask, treated: Mask, cut: int
) -> dict[FollowUpStatus, Mask]:
    """Returns the enrolled participants of each status: of those that hold, the first."""
    statuses, remaining = dict[FollowUpStatus, Mask](), enrolled
    for status in END_STATUSES:
        statuses[status] = remaining & (dates[status].day <= cut)
        remaining = remaining & ~statuses[status]
    statuses["awaiting_treatment"] = remaining & ~treated
    statuses["completed"] = remaining & treated & (dates["completed"].day < cut)
    statuses["in_follow_up"] = remaining & treated & ~statuses["completed"]
    return statuses


def _used_dates(
    milestones: Mapping[str, _Milestone],
    statuses: Mapping[FollowUpStatus, Mask],
    dates_by_status: Mapping[FollowUpStatus, DayColumn],
) -> tuple[Mask, ...]:
    """Returns which participants have an imputed date of each kind that fixed a step or their status.

    The date of completion also keeps a participant in follow-up. A first stereotactic target that was prescribed when
    treatment started has the same date as that start.
    """
    treated, stereotactic = milestones["treated"], milestones["stereotactic"]
    used_dates = [(statuses[status], dates_by_status[status]) for status in END_STATUSES]
    used_dates.append((statuses["completed"] | statuses["in_follow_up"], dates_by_status["completed"]))
    used_dates += [(step.mask, step.date) for name, step in milestones.items() if name != "stereotactic"]
    used_dates.append((stereotactic.mask & (stereotactic.date.day != treated.date.day), stereotactic.date))
    return tuple(mask & (date.precision > 0) for mask, date in used_dates)


def first_days(snapshot: StudySnapshot, rows: Table, day: str, precision: str) -> DayColumn:
    """Returns the earliest day of the rows of each participant, of several on one day the most precise."""
    ranks = (rows[day].astype(np.int64) << _PRECISION_BITS) + rows[precision]
    earliest = _of_subjects(snapshot, rows, np.minimum, ranks, nobody=NEVER_NUMBER << _PRECISION_BITS)
    return DayColumn((earliest >> _PRECISION_BITS).astype(np.int32), (earliest & _MOST_PRECISION).astype(np.int32))


def last_days(snapshot: StudySnapshot, rows: Table, day: str, precision: str) -> DayColumn:
    """Returns the latest day of the rows of each participant, of several on one day the most precise."""
    ranks = (rows[day].astype(np.int64) << _PRECISION_BITS) + (_MOST_PRECISION - rows[precision])
    nobody = (NEVER_NUMBER << _PRECISION_BITS) + _MOST_PRECISION
    latest = _of_subjects(snapshot, rows, np.maximum, ranks, nobody)
    precisions = _MOST_PRECISION - (latest & _MOST_PRECISION)
    return DayColumn((latest >> _PRECISION_BITS).astype(np.int32), precisions.astype(np.int32))


def _of_subjects(
    snapshot: StudySnapshot, rows: Table, choose: np.ufunc, ranks: NDArray[np.int64], nobody: int
) -> NDArray[np.int64]:
    """Returns for each participant the chosen one of the ranks of their rows; `nobody` without rows."""
    chosen, subjects = np.full(len(snapshot.subjects), nobody, dtype=np.int64), snapshot.subject_indexes(rows)
    if len(rows):
        starts = first_of_each(subjects)
        chosen[subjects[starts]] = choose.reduceat(ranks, starts)
    return chosen


def _last_absence(snapshot: StudySnapshot, cut: int) -> DayColumn:
    """Returns the day of the loss of each participant who is lost on the cut-off."""
    absences = snapshot.tables["absence"]
    is_absent = (absences["lost_on"] <= cut) & (cut < absences["resumed_on"])
    return last_days(snapshot, absences.where(is_absent), "lost_on", "lost_precision")


def completion_days(snapshot: StudySnapshot, cut: int) -> DayColumn:
    """Returns the last day of the last slot of each participant, by the schedules that are valid on the cut-off.

    None completes follow-up before the index course has ended.
    """
    visits = snapshot.tables["visit"]
    is_valid = (visits["valid_from"] <= cut) & (cut <= visits["valid_to"])
    last = last_days(snapshot, visits.where(is_valid), "slot_ends", "anchor_precision")
    has_ended = snapshot.subjects["index_ended_on"] <= cut
    return DayColumn(
        np.where(has_ended, last.day, NEVER_NUMBER).astype(np.int32),
        np.where(has_ended, last.precision, 0).astype(np.int32),
    )
