"""The figures there are: what computes each, what draws it, who may read it, by what it can be divided."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from services.analytics.cohort.cohort import Cohort, Selection
from services.analytics.figures import accrual as draw_accrual
from services.analytics.figures import flow as draw_flow
from services.analytics.figures import treatments as draw_treatments
from services.analytics.statistics.accrual import STRATIFICATIONS, accrual
from services.analytics.statistics.flow import flow
from services.analytics.statistics.treatments import treatments

ComputeFigure = Callable[[Cohort, Selection], dict[str, Any]]


@dataclass(frozen=True)
class FigureDefinition:
    """`rows`: the member of the answer whose rows show single participants. Such a figure is read under row-level
    security, and each read of it is logged."""

    compute: ComputeFigure
    renderer: ModuleType
    stratifications: tuple[str, ...] = ()
    participant_rows: str = ""

    @property
    def participant_level(self) -> bool:
        return bool(self.participant_rows)


FIGURES: Mapping[str, FigureDefinition] = {
    "flow": FigureDefinition(flow, draw_flow),
    "accrual": FigureDefinition(accrual, draw_accrual, STRATIFICATIONS),
    "treatments": FigureDefinition(treatments, draw_treatments, participant_rows="targets"),
}
