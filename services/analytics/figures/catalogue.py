"""The figures there are: what computes each, what draws it, who may read it, by what it can be divided."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from services.analytics.cohort import Cohort, Selection
from services.analytics.figures import accrual as draw_accrual
from services.analytics.figures import flow as draw_flow
from services.analytics.figures import treatments as draw_treatments
from services.analytics.statistics.accrual import BY, accrual
from services.analytics.statistics.flow import flow
from services.analytics.statistics.treatments import treatments

Compute = Callable[[Cohort, Selection], dict[str, Any]]


@dataclass(frozen=True)
class FigureKind:
    """`rows`: the member of the answer whose rows show single participants. Such a figure is read under row-level
    security, and each read of it is logged."""

    compute: Compute
    drawn: ModuleType
    by: tuple[str, ...] = ()
    rows: str = ""

    @property
    def of_participants(self) -> bool:
        return bool(self.rows)


FIGURES: Mapping[str, FigureKind] = {
    "flow": FigureKind(flow, draw_flow),
    "accrual": FigureKind(accrual, draw_accrual, BY),
    "treatments": FigureKind(treatments, draw_treatments, rows="targets"),
}
