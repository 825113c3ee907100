"""Other readings of what is uncertain about a death, a withdrawal or a loss: lines beside a survival figure. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np

from services.analytics.cohort.date_imputation import UNDATED
from services.analytics.endpoints.exits import Days, Exits, VitalStatus
from services.analytics.snapshot.columns import NEVER_NUMBER
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import Mask, StudySnapshot
from services.analytics.statistics.risk_sets import CENSORED

SensitivityName = Literal[
    "presumed_censored", "undated_as_event", "deaths_after_leaving", "lost_censored", "without_registry_links"
]


class SensitivityReading(NamedTuple):
    """Ends of observation by another reading. `applies`: the participants about whom there is something to read."""

    name: SensitivityName
    exits: Exits
    applies: Mask


def sensitivity_readings(snapshot: StudySnapshot, selection: Selection) -> Iterator[SensitivityReading]:
    """Yields every reading of the vital status at the cut-off, whether it applies to somebody or not."""
    cut, subjects, vital = selection.cut_number, snapshot.subjects, VitalStatus.of(snapshot)
    status = vital.at(cut)
    is_presumed = subjects["is_death_presumed"] & (status.died.day <= cut)
    yield SensitivityReading("presumed_censored", status.without_deaths(is_presumed).exits(cut), is_presumed)
    is_undated = (subjects["died_precision"] == UNDATED) & (subjects["dead_from"] <= cut)
    day_after = np.where(is_undated, status.alive.day + 1, status.died.day)
    yield SensitivityReading("undated_as_event", status.with_deaths(day_after).exits(cut), is_undated)
    died = subjects["died_on"].astype(np.int64)
    has_left = (status.withdrawn < died) & (died <= cut)
    every_death = status.with_deaths(np.where(status.withdrawn < died, died, status.died.day))
    yield SensitivityReading("deaths_after_leaving", every_death.exits(cut), has_left)
    yield _lost_censored(snapshot, status, cut)
    if vital.reports:
        exits, proved = status.exits(cut), vital.proved.exits(cut)
        yield SensitivityReading("without_registry_links", proved, exits.day != proved.day)


def _lost_censored(snapshot: StudySnapshot, status: VitalStatus, cut: int) -> SensitivityReading:
    """Returns the reading that follows nobody beyond the last proof of life before a loss that stands."""
    exits, alive_before = status.exits(cut), _alive_before_loss(snapshot, status, cut)
    is_earlier = alive_before < exits.day
    lost = Exits(
        day=np.where(is_earlier, alive_before, exits.day),
        cause=np.where(is_earlier, CENSORED, exits.cause),
        precision=np.where(is_earlier, 0, exits.precision),
    )
    return SensitivityReading("lost_censored", lost, alive_before < NEVER_NUMBER)


def _alive_before_loss(snapshot: StudySnapshot, status: VitalStatus, cut: int) -> Days:
    """Returns the last proof of life before a loss that stands at the cut-off; `NEVER_NUMBER` for those not lost.

    A loss after the death or the withdrawal is none.
    """
    absences = snapshot.tables["absence"]
    subjects = snapshot.subject_indexes(absences)
    end = np.minimum(status.died.day, status.withdrawn)[subjects]
    stands = (absences["lost_on"] <= cut) & (cut < absences["resumed_on"]) & (absences["lost_on"] <= end)
    alive_before = np.full(len(snapshot.subjects), NEVER_NUMBER, dtype=np.int64)
    np.minimum.at(alive_before, subjects[stands], absences["alive_before"][stands].astype(np.int64))
    return alive_before
