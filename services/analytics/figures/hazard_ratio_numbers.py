"""Hazard ratios of the groups of a division: each against the largest one, by Cox's model with Efron's ties. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from services.analytics.figures.survival_numbers import Interval
from services.analytics.snapshot.groups import GroupNames
from services.analytics.statistics.cox import fit_cox
from services.analytics.statistics.intervals import UNDEFINED, Estimate
from services.analytics.statistics.risk_sets import Observations

HazardRatioReason = Literal[
    "live", "reference", "one_group", "nobody", "no_events", "no_variance", "monotone_likelihood"
]
"""The reason for no hazard ratio of a group.

The position is a live one; it is the reference, or the only group; nobody is in it; neither of the two groups has an
event; no event happens while both are at risk; or every event that does happens in the same one, so that no estimate is
finite.
"""

Characteristic = Literal["sex", "stage", "performance", "age", "delivery"]
"""The divisions of a forest."""


class HazardRatio(Interval):
    """The hazard of one group divided by that of the reference, the largest group, and at a tie the first by name.

    The two groups alone are compared, so that no other group changes the estimate.
    """

    group: str
    reference: str
    reason: HazardRatioReason | None = Field(default=None, description="the reason for no estimate")


class ForestRow(HazardRatio):
    """The hazard ratio of a group of participants by one characteristic; `n` and `events` are those of the group."""

    by: Characteristic
    n: int
    events: int


def compare_hazards(
    observations: Observations, groups: GroupNames, names: Sequence[str], *, is_named_cut: bool = True
) -> tuple[HazardRatio, ...]:
    """Returns a row for each group, in the order of `names`. `groups`: the name of the group of each observation.

    An event of any cause counts. Nothing is estimated unless the cut-off is that of a named data cut.
    """
    sizes = {name: int(np.count_nonzero(groups == name)) for name in names}
    if not names:
        return ()
    reference = min(names, key=lambda name: (-sizes[name], name))
    if not is_named_cut:
        return tuple(_row(name, reference, UNDEFINED, "reference" if name == reference else "live") for name in names)
    return tuple(_compare(observations, groups, name, reference, sizes) for name in names)


def _compare(
    observations: Observations, groups: GroupNames, name: str, reference: str, sizes: dict[str, int]
) -> HazardRatio:
    if name == reference:
        return _row(name, reference, UNDEFINED, "one_group" if len(sizes) == 1 else "reference")
    if not sizes[name]:
        return _row(name, reference, UNDEFINED, "nobody")
    chosen = (groups == name) | (groups == reference)
    model = fit_cox(observations.select(chosen), (groups == name)[chosen])
    return _row(name, reference, model.hazard_ratio, model.reason)


def _row(name: str, reference: str, ratio: Estimate, reason: HazardRatioReason | None) -> HazardRatio:
    return HazardRatio(
        group=name,
        reference=reference,
        estimate=ratio.value,
        lower=ratio.lower,
        upper=ratio.upper,
        reason=reason,
    )
