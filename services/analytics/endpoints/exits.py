"""The end of observation of each participant at a cut-off, by death or the last proof of life. Pure.

A participant who is known to live after the cut-off, or to have died after it, was alive on it. Nobody else is
censored later than the last proof of life, so that the living and the dead are treated alike, but for sites that the
protocol links to a registry: there, whoever is not known dead is alive on the last day that the registry reports on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from services.analytics.cohort.date_imputation import UNDATED
from services.analytics.endpoints.registry_links import BEFORE_EVERY_DAY, Link, last_reported_days, registry_links
from services.analytics.snapshot.columns import NEVER_NUMBER, Column
from services.analytics.snapshot.flow import DayColumn, last_days
from services.analytics.snapshot.snapshot import Mask, StudySnapshot
from services.analytics.statistics.risk_sets import CENSORED

Days = NDArray[np.int64]
DEATH = 1
"""The cause of an event that is a death."""


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

    A death without a date has no day. `withdrawn`: the day after which neither life nor death counts. `reports`: what
    the registries add at a cut-off; None where they add nothing.
    """

    alive: DayColumn
    died: DayColumn
    withdrawn: Days
    reports: RegistryReports | None = None

    @classmethod
    def of(cls, snapshot: StudySnapshot) -> Self:
        """Returns what is known of the participants of a snapshot, whenever it is dated."""
        stated, links = StatedLife.of(snapshot), registry_links(snapshot)
        alive, died = stated.known_until(stated.withdrawn)
        return cls(alive, died, stated.withdrawn, RegistryReports(snapshot, stated, links) if links else None)

    @property
    def proved(self) -> VitalStatus:
        """The same by proofs alone, as if no site were linked to a registry."""
        return replace(self, reports=None)

    def at(self, cut: int) -> VitalStatus:
        """Returns the same with what the registries report by a cut-off."""
        return self.reports.status(cut) if self.reports else self

    def exits(self, cut: int) -> Exits:
        """Returns the ends of observation at a cut-off: death on or before it, or else the last day known alive."""
        status = self.at(cut)
        alive, died = status.alive, status.died
        is_event = died.day <= cut
        has_died_later = ~is_event & (died.day < NEVER_NUMBER)
        is_at_cut = has_died_later | (alive.day >= cut)
        day = np.where(is_event, died.day, np.where(is_at_cut, cut, alive.day))
        precision = np.where(is_event, died.precision, np.where(is_at_cut, 0, alive.precision))
        return Exits(day, np.where(is_event, DEATH, CENSORED), precision)

    def without_deaths(self, mask: Mask) -> VitalStatus:
        """Returns the same without the deaths of these participants."""
        return self.with_deaths(np.where(mask, NEVER_NUMBER, self.died.day))

    def with_deaths(self, day: Days) -> VitalStatus:
        """Returns the same with other days of death; a day that no fact states has the precision 0."""
        precision = np.where(day == self.died.day, self.died.precision, 0)
        return replace(self, died=DayColumn(day, precision))


@dataclass(frozen=True, slots=True, eq=False)
class StatedLife:
    """The life of each participant as facts state it, whenever it is dated.

    `alive`: the last proof of life, of a registry after a withdrawal too. `alive_by_withdrawal`: the last one before
    it. `is_dead`: a death is stated, with or without a date. `may_be_asked`: the consent to registries stands, of
    those who withdrew.
    """

    alive: DayColumn
    alive_by_withdrawal: DayColumn
    died: DayColumn
    withdrawn: Days
    is_dead: Mask
    may_be_asked: Mask

    @classmethod
    def of(cls, snapshot: StudySnapshot) -> Self:
        subjects, days = snapshot.subjects, snapshot.tables["subject_day"]
        alive = subjects["alive_on"].astype(np.int64)
        is_undated = subjects["died_precision"] == UNDATED
        died_precision = np.where(is_undated, 0, subjects["died_precision"])
        consents = days.where(days["kind"] == snapshot.words.code("registry_consent_stands"))
        return cls(
            alive=DayColumn(np.where(alive == NEVER_NUMBER, BEFORE_EVERY_DAY, alive), subjects["alive_precision"]),
            alive_by_withdrawal=_life_by_withdrawal(snapshot),
            died=DayColumn(subjects["died_on"].astype(np.int64), died_precision),
            withdrawn=subjects["participation_ends_on"].astype(np.int64),
            is_dead=is_undated | (subjects["died_on"] < NEVER_NUMBER),
            may_be_asked=snapshot.subjects_with(consents),
        )

    def known_until(self, last: Days) -> tuple[DayColumn, DayColumn]:
        """Returns the last proof of life and the day of death of each participant that count up to a day.

        A participant who is known alive after a day that is later than the withdrawal was alive on it.
        """
        is_later = self.alive.day > last
        day = np.where(last > self.withdrawn, last, self.alive_by_withdrawal.day)
        precision = np.where(last > self.withdrawn, 0, self.alive_by_withdrawal.precision)
        alive = DayColumn(np.where(is_later, day, self.alive.day), np.where(is_later, precision, self.alive.precision))
        return alive, DayColumn(np.where(self.died.day <= last, self.died.day, NEVER_NUMBER), self.died.precision)


@dataclass(frozen=True, slots=True, eq=False)
class RegistryReports:
    """Reports of registries on the participants of their sites: life and death after a withdrawal, and who is alive.

    Of those who withdrew they report only where the consent to registries stands.
    """

    snapshot: StudySnapshot
    stated: StatedLife
    links: list[Link]

    def status(self, cut: int) -> VitalStatus:
        """Returns the vital status at a cut-off: whoever is not known dead is alive on the last day of the reports."""
        stated = self.stated
        may_be_asked = stated.may_be_asked | (stated.withdrawn == NEVER_NUMBER)
        last = np.where(may_be_asked, last_reported_days(self.snapshot, self.links, cut), BEFORE_EVERY_DAY)
        until = np.maximum(stated.withdrawn, last)
        alive, died = stated.known_until(until)
        is_assumed = (last > alive.day) & (
            ~stated.is_dead | (until < stated.died.day) & (stated.died.day < NEVER_NUMBER)
        )
        alive = DayColumn(np.where(is_assumed, last, alive.day), np.where(is_assumed, 0, alive.precision))
        return VitalStatus(alive, died, until)


def _life_by_withdrawal(snapshot: StudySnapshot) -> DayColumn:
    """Returns the last proof of life up to the withdrawal of those whom a registry has proved alive after it."""
    days = snapshot.tables["subject_day"]
    chosen = days.where(days["kind"] == snapshot.words.code("alive_by_withdrawal"))
    last = last_days(snapshot, chosen, "day_on", "day_precision")
    return DayColumn(np.where(last.day == NEVER_NUMBER, BEFORE_EVERY_DAY, last.day).astype(np.int64), last.precision)
