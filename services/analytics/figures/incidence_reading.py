"""One reading of an endpoint with competing causes: its groups, their test, its rate, and who is not counted. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from services.analytics.endpoints.time_to_event import EndpointTimes
from services.analytics.figures.incidence_numbers import (
    IncidenceComparison,
    IncidenceGroup,
    IncidencePlan,
    IncidenceRate,
    compare_incidences,
    incidence_group,
    rate_of,
)
from services.analytics.figures.survival_numbers import NotCounted
from services.analytics.statistics.risk_sets import Observations


class IncidenceReading(BaseModel):
    """The incidence of an event in each group. `rate` is that of all groups; null where they are never pooled.

    `test`: null at a live position, with the reason `live`; it stands at named data cuts alone.
    """

    model_config = ConfigDict(frozen=True)

    groups: tuple[IncidenceGroup, ...]
    not_counted: tuple[NotCounted, ...]
    rate: IncidenceRate | None = Field(default=None, description="events per person-month; not for readers")
    test: IncidenceComparison | None = Field(default=None, description="only with `by`, at named data cuts")
    reason: Literal["live"] | None = Field(default=None, description="the reason for no test")


def read_incidence(
    times: EndpointTimes, names: Sequence[str], plan: IncidencePlan, *, is_pooled: bool
) -> IncidenceReading:
    """Returns the numbers of an endpoint by group. `is_pooled`: whether the groups may have a rate together."""
    parts = {name: times.of_group(name) for name in names}
    return IncidenceReading(
        groups=tuple(_group(name, part, plan) for name, part in parts.items()),
        not_counted=tuple(
            NotCounted(reason=reason, participants=count) for reason, count in times.not_counted.items() if count
        ),
        rate=rate_of(times.observations) if is_pooled else None,
    )


def _group(name: str, observations: Observations, plan: IncidencePlan) -> IncidenceGroup:
    return incidence_group(name, observations, plan).model_copy(update={"rate": rate_of(observations)})


def with_test(
    reading: IncidenceReading, times: EndpointTimes, *, is_named_cut: bool, is_pooled: bool
) -> IncidenceReading:
    """Returns the reading of a division with Gray's test of its groups, or with the reason for none."""
    if not is_named_cut:
        return reading.model_copy(update={"test": None, "reason": "live"})
    if not is_pooled:
        test = IncidenceComparison(name="Gray", statistic=None, df=0, p=None, reason="several_versions")
        return reading.model_copy(update={"test": test})
    numbers = {group.name: number for number, group in enumerate(reading.groups)}
    groups = np.array([numbers[name] for name in times.groups.tolist()], dtype=np.int64)
    return reading.model_copy(update={"test": compare_incidences(times.observations, groups, len(numbers))})
