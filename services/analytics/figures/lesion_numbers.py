"""The numbers of local control: curves of lesions, their status at the last imaging, and lesions not counted. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from services.analytics.disclosure.life_table import TimeAtRisk
from services.analytics.endpoints.local_control import DEATH, RETREATMENT, LesionTimes
from services.analytics.endpoints.sensitivity import SensitivityName
from services.analytics.endpoints.time_to_event import NotCountedReason
from services.analytics.figures.incidence_numbers import (
    IncidenceGroup,
    IncidenceLandmark,
    IncidencePlan,
    incidence_group,
    incidence_sensitivity,
)
from services.analytics.figures.incidence_publication import with_life_table
from services.analytics.figures.survival_numbers import Interval
from services.analytics.figures.survival_publication import EVENT
from services.analytics.statistics.risk_sets import Observations

COMPETING = ("death", "retreatment")
"""The causes that compete with the event of a lesion, in the order of their numbers from 2 on."""
_CAUSES: tuple[str | None, ...] = (None, EVENT, *COMPETING)


class LesionStatusCounts(BaseModel):
    """The counts of lesions by their status at the last imaging by the data cut-off."""

    model_config = ConfigDict(frozen=True)

    controlled: int
    indeterminate: int
    necrosis: int
    progressed: int
    never_imaged: int

    @classmethod
    def of(cls, times: LesionTimes) -> Self:
        """Counts every lesion once."""
        return cls.model_validate(
            {**dict.fromkeys(cls.model_fields, 0), **Counter(times.status[times.first_of_lesions])}
        )


class LesionsNotCounted(BaseModel):
    """Treated lesions that have no time at risk."""

    model_config = ConfigDict(frozen=True)

    reason: NotCountedReason
    lesions: int

    @classmethod
    def rows(cls, counts: Mapping[NotCountedReason, int]) -> Iterator[Self]:
        """Yields the reasons that concern a lesion."""
        yield from (cls(reason=reason, lesions=count) for reason, count in counts.items() if count)


class LesionSensitivityLine(BaseModel):
    """The figure by another reading of deaths, withdrawals or losses; a line stands where somebody is concerned.

    `events_by_cause` has the events of each competing cause.
    """

    model_config = ConfigDict(frozen=True)

    name: SensitivityName
    participants: int
    lesions: int
    events: int
    events_by_cause: dict[str, int]
    median: Interval
    landmarks: tuple[IncidenceLandmark, ...]


@dataclass(frozen=True, slots=True, eq=False)
class LesionTable:
    """The observations of a group of lesions with their participants, of which readers see a life table."""

    observations: Observations
    participants: NDArray[np.intp]

    @classmethod
    def of(cls, times: LesionTimes, name: str) -> Self:
        """Returns the observations of a group."""
        chosen = times.groups == name
        return cls(times.observations.select(chosen), times.subjects[chosen])

    def publish(self, group: IncidenceGroup, minimum: int) -> IncidenceGroup:
        """Returns the group with a life table as its curve. `minimum`: the smallest number of participants."""
        return with_life_table(group, self._times_at_risk(), minimum, self.participants.tolist())

    def _times_at_risk(self) -> list[TimeAtRisk]:
        entries = np.zeros_like(self.observations.exits)
        if self.observations.entries is not None:
            entries = np.maximum(self.observations.entries, 0)
        columns = (self.observations.exits, self.observations.causes, entries)
        return [
            TimeAtRisk(exit_day, _CAUSES[cause], entry)
            for exit_day, cause, entry in zip(*(column.tolist() for column in columns), strict=True)
        ]


def lesion_group(name: str, times: LesionTimes, months: Sequence[int], ticks: Sequence[float]) -> IncidenceGroup:
    """Returns the numbers of a group of lesions, with limits that know which lesions belong to one participant.

    The share of lesions with the event has no limits: exact ones would take the lesions as independent.
    """
    chosen = times.groups == name
    observations = times.observations.select(chosen)
    _, clusters = np.unique(times.subjects[chosen], return_inverse=True)
    group = incidence_group(name, observations, IncidencePlan(COMPETING, months, ticks), clusters)
    share = Interval(estimate=group.proportion.estimate, lower=None, upper=None)
    return group.model_copy(update={"proportion": share})


def lesion_sensitivity(name: SensitivityName, times: LesionTimes, months: Sequence[int]) -> LesionSensitivityLine:
    """Returns the undivided numbers of another reading."""
    _, clusters = np.unique(times.subjects, return_inverse=True)
    line = incidence_sensitivity(name, times, IncidencePlan(COMPETING, months, ()), clusters)
    causes = np.bincount(times.observations.causes, minlength=RETREATMENT + 1).tolist()
    return LesionSensitivityLine(
        **dict(line),
        lesions=len(times.observations),
        events_by_cause=dict(zip(COMPETING, causes[DEATH:], strict=True)),
    )
