"""The end of observation of each participant at a cut-off, by death or the last proof of life. Pure.

A participant who is known to live after the cut-off, or to have died after it, was alive on it. Nobody else is
censored later than the last proof of life, so that the living and the dead are treated alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from services.analytics.cohort.date_imputation import UNDATED
from services.analytics.snapshot.columns import NEVER_NUMBER, Column
from services.analytics.snapshot.flow import DayColumn, last_days
from services.analytics.snapshot.snapshot import Mask, StudySnapshot
from services.analytics.statistics.risk_sets import CENSORED

Days = NDArray[np.int64]
DEATH = 1
"""The cause of an event that is a death."""
_BEFORE_EVERY_DAY = -(2**31)


@dataclass(frozen=True, slots=True, eq=False)
class Exits:
    """The day on which the observation of each participant ends, and the cause: 0 for censored.

    `precision`: that of the date that is the day; 0 for the cut-off, which is no date of a participant.
    """

    day: Days
    cause: Days
    precision: Column


@dataclass(frozen=True, slots=True, eq=False)
class VitalStatus:
    """The last proof of life and the day of death of each participant, as far as they count.

    A death without a date has no day. `withdrawn`: the day after which neither life nor death counts.
    """

    alive: DayColumn
    died: DayColumn
    withdrawn: Days

    @classmethod
    def of(cls, snapshot: StudySnapshot) -> Self:
        """Returns what is known of the participants of a snapshot, whenever it is dated."""
        subjects = snapshot.subjects
        withdrawn = subjects["participation_ends_on"].astype(np.int64)
        alive, died = subjects["alive_on"].astype(np.int64), subjects["died_on"].astype(np.int64)
        by_withdrawal = _life_by_withdrawal(snapshot)
        alive = np.where(alive == NEVER_NUMBER, _BEFORE_EVERY_DAY, alive)
        precision = np.where(alive > withdrawn, by_withdrawal.precision, subjects["alive_precision"])
        alive = np.where(alive > withdrawn, by_withdrawal.day, alive)
        died_precision = np.where(subjects["died_precision"] == UNDATED, 0, subjects["died_precision"])
        return cls(
            alive=DayColumn(alive, precision),
            died=DayColumn(np.where(died <= withdrawn, died, NEVER_NUMBER), died_precision),
            withdrawn=withdrawn,
        )

    def exits(self, cut: int) -> Exits:
        """Returns the ends of observation at a cut-off: death on or before it, or else the last day known alive."""
        is_event = self.died.day <= cut
        has_died_later = ~is_event & (self.died.day < NEVER_NUMBER)
        is_at_cut = has_died_later | (self.alive.day >= cut)
        day = np.where(is_event, self.died.day, np.where(is_at_cut, cut, self.alive.day))
        precision = np.where(is_event, self.died.precision, np.where(is_at_cut, 0, self.alive.precision))
        return Exits(day, np.where(is_event, DEATH, CENSORED), precision)

    def without_deaths(self, mask: Mask) -> VitalStatus:
        """Returns the same without the deaths of these participants."""
        return self.with_deaths(np.where(mask, NEVER_NUMBER, self.died.day))

    def with_deaths(self, day: Days) -> VitalStatus:
        """Returns the same with other days of death; a day that no fact states has the precision 0."""
        precision = np.where(day == self.died.day, self.died.precision, 0)
        return VitalStatus(self.alive, DayColumn(day, precision), self.withdrawn)


def _life_by_withdrawal(snapshot: StudySnapshot) -> DayColumn:
    """Returns the last proof of life up to the withdrawal of those whom a registry has proved alive after it."""
    days = snapshot.tables["subject_day"]
    chosen = days.where(days["kind"] == snapshot.words.code("alive_by_withdrawal"))
    last = last_days(snapshot, chosen, "day_on", "day_precision")
    return DayColumn(np.where(last.day == NEVER_NUMBER, _BEFORE_EVERY_DAY, last.day).astype(np.int64), last.precision)
