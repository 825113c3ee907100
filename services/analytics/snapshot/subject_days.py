"""Rows of a snapshot by kind, and distinct imputed dates among days of participants. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from services.analytics.snapshot.columns import Column, Table
from services.analytics.snapshot.snapshot import StudySnapshot

DatedRows = tuple[NDArray[np.intp], Column, Column]
"""Indexes of participants, with a day of each and the precision of its date."""
ImputedDays = NDArray[np.int64]
"""One number for each pair of a participant and a day."""
_DAY_BITS = 32


def days_of_kind(snapshot: StudySnapshot, kind: str, cut: int) -> Table:
    """Returns the days of a kind up to the cut-off."""
    days = snapshot.tables["subject_day"]
    return days.where((days["kind"] == snapshot.words.code(kind)) & (days["day_on"] <= cut))


def imputed_days(dates: Iterable[DatedRows]) -> ImputedDays:
    """Returns the distinct imputed days of each participant."""
    return distinct_days(
        _pair_keys(subjects[mask], day[mask]) for subjects, day, precision in dates for mask in [precision > 0]
    )


def distinct_days(parts: Iterable[ImputedDays]) -> ImputedDays:
    """Returns the days of several parts, each day of a participant once."""
    return np.unique(np.concatenate([np.empty(0, dtype=np.int64), *parts]))


def count_imputed_dates(dates: Iterable[DatedRows]) -> int:
    """Returns the number of distinct imputed days of each participant."""
    return len(imputed_days(dates))


def _pair_keys(subjects: NDArray[np.intp], day: Column) -> NDArray[np.int64]:
    """Returns one number for each pair of a participant and a day, which has 32 bits."""
    return (subjects.astype(np.int64) << _DAY_BITS) + day
