"""The parameters of a figure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from services.analytics.snapshot.as_of import LATEST, AsOf


@dataclass(frozen=True, slots=True)
class FigureRequest:
    """The parameters of a figure as a request gives them; None: not given.

    `as_of` selects the state of the study, `cut` the data cut-off, `site` and `subset` the participants; `by` divides
    the figure into groups.
    """

    cut: date | None = None
    as_of: AsOf = LATEST
    site: str | None = None
    subset: str = "all"
    by: str | None = None
