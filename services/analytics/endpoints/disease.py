"""Progression and assessment of the disease after time 0, as endpoints of progression count them. Pure.

Evidence is a stated progression, or a contact that sees a lesion, a region or distant disease progressed. The day is
that of the first evidence after the origin, so it never moves as the cut-off grows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from services.analytics.endpoints.exits import Exits
from services.analytics.endpoints.origins import origin_days
from services.analytics.snapshot.columns import NEVER_NUMBER, Table
from services.analytics.snapshot.flow import DayColumn, first_days, last_days
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import Mask, StudySnapshot
from services.analytics.statistics.risk_sets import CENSORED

LONG_WITHOUT_ASSESSMENT = 183
"""Days before a death. A death with no disease assessment in them came long after the last one."""


def first_progressions(snapshot: StudySnapshot, selection: Selection, codes: Sequence[str] | None = None) -> DayColumn:
    """Returns the first progression of each participant after the origin. `codes`: its kinds; None: of any kind."""
    rows = _of_kind(snapshot, "progression")
    if codes is not None:
        rows = rows.where(np.isin(rows["code"], snapshot.words.codes(codes)))
    origin = origin_days(snapshot, selection).day
    return first_days(
        snapshot, rows.where(rows["day_on"] > origin[snapshot.subject_indexes(rows)]), "day_on", "day_precision"
    )


def last_assessments(snapshot: StudySnapshot, selection: Selection, life: Exits) -> DayColumn:
    """Returns the last disease assessment of each participant after the origin, and by the end of observation."""
    rows, origin = _of_kind(snapshot, "disease_assessment"), origin_days(snapshot, selection).day
    subjects = snapshot.subject_indexes(rows)
    is_observed = (rows["day_on"] > origin[subjects]) & (rows["day_on"] <= life.day[subjects])
    return last_days(snapshot, rows.where(is_observed), "day_on", "day_precision")


def censored_days(snapshot: StudySnapshot, selection: Selection, life: Exits) -> DayColumn:
    """Returns the day on which time ends without an event: the last disease assessment, or else the origin.

    An end before the origin stays there: nobody is counted by an endpoint of progression who is not counted in overall
    survival for it.
    """
    assessed, origin = last_assessments(snapshot, selection, life), origin_days(snapshot, selection)
    is_assessed = assessed.day < NEVER_NUMBER
    return DayColumn(
        np.where(is_assessed, assessed.day, np.minimum(origin.day, life.day)),
        np.where(is_assessed, assessed.precision, origin.precision),
    )


def deaths_after_gap(snapshot: StudySnapshot, life: Exits) -> Mask:
    """Returns which participants died without a disease assessment in the 183 days before.

    One before the origin is an assessment; the origin itself is none.
    """
    rows = _of_kind(snapshot, "disease_assessment")
    days_before = life.day[snapshot.subject_indexes(rows)] - rows["day_on"]
    is_recent = (days_before >= 0) & (days_before <= LONG_WITHOUT_ASSESSMENT)
    is_after_gap: Mask = (life.cause != CENSORED) & ~snapshot.subjects_with(rows.where(is_recent))
    return is_after_gap


def deaths_after_missed_intervals(snapshot: StudySnapshot, selection: Selection, life: Exits) -> Mask:
    """Returns which participants died after more than one planned visit without a disease assessment.

    Visits count whose window opened after the last assessment, or else after the origin, and closed before the death.
    """
    visits, assessed = snapshot.tables["visit"], censored_days(snapshot, selection, life).day
    subjects, cut = snapshot.subject_indexes(visits), selection.cut_number
    is_valid = (visits["valid_from"] <= cut) & (cut <= visits["valid_to"])
    is_missed = is_valid & (visits["opens"] > assessed[subjects]) & (visits["closes"] < life.day[subjects])
    schedules = (subjects[is_missed].astype(np.int64) << 32) + visits["schedule"][is_missed]
    of_schedule, missed = np.unique(schedules, return_counts=True)
    are_many = np.zeros(len(snapshot.subjects), dtype=bool)
    are_many[of_schedule[missed > 1] >> 32] = True
    has_died: Mask = life.cause != CENSORED
    return has_died & are_many


def _of_kind(snapshot: StudySnapshot, kind: str) -> Table:
    days = snapshot.tables["subject_day"]
    return days.where(days["kind"] == snapshot.words.code(kind))
