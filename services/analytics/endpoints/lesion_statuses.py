"""The status of treated lesions at their last imaging, and the first necrosis of each. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from services.analytics.endpoints.exits import Days
from services.analytics.endpoints.treated_lesions import (
    Indexes,
    TreatedLesions,
    days_of_ranks,
    least_ranks,
    rank_days,
)
from services.analytics.snapshot.columns import NEVER_NUMBER, Column, Table
from services.analytics.snapshot.flow import DayColumn
from services.analytics.snapshot.groups import GroupNames
from services.analytics.snapshot.snapshot import Mask, StudySnapshot

LesionStatus = Literal["controlled", "indeterminate", "necrosis", "progressed", "never_imaged"]
LESION_STATUSES: tuple[LesionStatus, ...] = get_args(LesionStatus)
_SEEN = LESION_STATUSES[:-1]
"""Statuses that imaging shows; of several on one day, the last one counts."""


@dataclass(frozen=True, slots=True, eq=False)
class LastImaging:
    """The last imaging of each lesion after the day on which its time begins, and the status that it showed.

    Without one, `on.day` is `NEVER_NUMBER` and `status` is `never_imaged`.
    """

    on: DayColumn
    status: GroupNames


def last_imaging(snapshot: StudySnapshot, lesions: TreatedLesions, until: Days) -> LastImaging:
    """Returns the last imaging of each lesion. `until`: the last day that counts, of each participant.

    A local progression that is stated on the basis of imaging is an imaging that shows it.
    """
    codes = np.array(snapshot.words.codes(_SEEN))
    rows, places = _after_naming(snapshot, lesions, _is_imaging(snapshot))
    is_counted = rows["assessed_on"] <= until[lesions.subjects[places]]
    rows, places = rows.where(is_counted), places[is_counted]
    severity = np.argmax(rows["status"][:, None] == codes, axis=1)
    mildness = _latest(lesions, places, rows["assessed_on"], len(_SEEN) - 1 - severity)
    is_seen = mildness.day < NEVER_NUMBER
    return LastImaging(
        on=_latest(lesions, places, rows["assessed_on"], rows["assessed_precision"]),
        status=np.array(LESION_STATUSES, dtype=object)[
            np.where(is_seen, len(_SEEN) - 1 - mildness.precision, len(_SEEN))
        ],
    )


def imaged_within(snapshot: StudySnapshot, lesions: TreatedLesions, until: Days, days: int) -> Mask:
    """Returns which lesions had imaging in so many days before a day of each, that day included; before naming too."""
    rows = snapshot.tables["lesion_status"].where(_is_imaging(snapshot))
    places = lesions.places_of(snapshot, rows)
    rows, places = rows.where(places >= 0), places[places >= 0]
    days_before = until[places] - rows["assessed_on"]
    was_imaged = np.zeros(len(lesions), dtype=bool)
    was_imaged[places[(days_before >= 0) & (days_before <= days)]] = True
    return was_imaged


def _is_imaging(snapshot: StudySnapshot) -> Mask:
    """Returns which statuses imaging shows."""
    statuses = snapshot.tables["lesion_status"]
    mask: Mask = (statuses["basis"] == snapshot.words.code("imaging")) & np.isin(
        statuses["status"], snapshot.words.codes(_SEEN)
    )
    return mask


def first_necrosis(snapshot: StudySnapshot, lesions: TreatedLesions) -> DayColumn:
    """Returns the first day after `named` on which a contact finds each lesion necrotic, on any basis."""
    is_necrosis = snapshot.tables["lesion_status"]["status"] == snapshot.words.code("necrosis")
    rows, places = _after_naming(snapshot, lesions, is_necrosis)
    return days_of_ranks(least_ranks(places, rank_days(rows["assessed_on"], rows["assessed_precision"]), len(lesions)))


def _after_naming(snapshot: StudySnapshot, lesions: TreatedLesions, mask: Mask) -> tuple[Table, Indexes]:
    """Returns the statuses of the mask that are later than `named` of their lesion, and the index of it."""
    rows = snapshot.tables["lesion_status"].where(mask)
    places = lesions.places_of(snapshot, rows)
    if not len(lesions):
        return rows.where(places >= 0), places[places >= 0]
    is_after = (places >= 0) & (rows["assessed_on"] > lesions.named.day[places])
    return rows.where(is_after), places[is_after]


def _latest(lesions: TreatedLesions, places: Indexes, day: Column, number: Column) -> DayColumn:
    """Returns the latest day of each lesion, with the least number on it as the precision; `NEVER_NUMBER` without."""
    latest = days_of_ranks(least_ranks(places, rank_days(-day.astype(np.int64), number), len(lesions)))
    return DayColumn(np.where(latest.day == NEVER_NUMBER, NEVER_NUMBER, -latest.day), latest.precision)
