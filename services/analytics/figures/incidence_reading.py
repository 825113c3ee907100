"""One reading of an endpoint with competing causes: its groups, their test, its rate, and who is not counted. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from services.analytics.endpoints.time_to_event import EndpointTimes
from services.analytics.figures.hazard_ratio_numbers import HazardRatio, compare_hazards
from services.analytics.figures.incidence_numbers import (
    EVENT_CAUSE,
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

    `test` and `hazard_ratios`: null at a live position, with the reason `live`; they stand at named data cuts alone.
    Hazard ratios are also null where the groups may not be compared, which `test` then says.
    """

    model_config = ConfigDict(frozen=True)

    groups: tuple[IncidenceGroup, ...]
    not_counted: tuple[NotCounted, ...]
    rate: IncidenceRate | None = Field(default=None, description="events per person-month; not for readers")
    test: IncidenceComparison | None = Field(default=None, description="only with `by`, at named data cuts")
    hazard_ratios: tuple[HazardRatio, ...] | None = Field(
        default=None,
        description="only with `by`, at named data cuts: cause-specific, of each group against the largest",
    )
    reason: Literal["live"] | None = Field(default=None, description="the reason for neither")


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


def compare_groups(
    times: EndpointTimes, names: Sequence[str], *, is_named_cut: bool, is_pooled: bool = True
) -> dict[str, object]:
    """Returns the members that compare the groups of a division; they have no values at a live position.

    `is_pooled`: whether the groups may be compared. The hazard ratios are those of the event alone: whoever has a
    competing one is censored on its day.
    """
    if not is_named_cut:
        return {"test": None, "hazard_ratios": None, "reason": "live"}
    if not is_pooled:
        test = IncidenceComparison(name="Gray", statistic=None, df=0, p=None, reason="several_versions")
        return {"test": test, "hazard_ratios": None}
    numbers = {name: number for number, name in enumerate(names)}
    groups = np.array([numbers[name] for name in times.groups.tolist()], dtype=np.int64)
    event_alone = times.observations.with_causes(times.observations.causes == EVENT_CAUSE)
    return {
        "test": compare_incidences(times.observations, groups, len(numbers)),
        "hazard_ratios": compare_hazards(event_alone, times.groups, names),
    }
