"""Rows of a snapshot by kind, and distinct imputed dates among days of participants. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from services.analytics.snapshot.columns import Column, Table
from services.analytics.snapshot.snapshot import StudySnapshot

DatedRows = tuple[NDArray[np.intp], Column, Column]
"""Indexes of participants, with a day of each and the precision of its date."""


def days_of_kind(snapshot: StudySnapshot, kind: str, cut: int) -> Table:
    """Returns the days of a kind up to the cut-off."""
    days = snapshot.tables["subject_day"]
    return days.where((days["kind"] == snapshot.words.code(kind)) & (days["day_on"] <= cut))


def count_imputed_dates(dates: Iterable[DatedRows]) -> int:
    """Returns the number of distinct imputed days of each participant."""
    imputed = [
        np.stack([subjects[precision > 0], day[precision > 0].astype(np.int64)]) for subjects, day, precision in dates
    ]
    return int(np.unique(np.concatenate(imputed, axis=1), axis=1).shape[1]) if imputed else 0
