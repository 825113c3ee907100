"""The parameters of a figure: as a query string, and as the service reads them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from services.analytics.snapshot.as_of import LATEST, AsOf
from services.analytics.snapshot.as_of_parameters import AsOfParameter, AtParameter, EpochParameter
from shared.kernel.ids import SiteId
from shared.kernel.partial_date import Day


@dataclass(frozen=True, slots=True)
class FigureRequest:
    """The parameters of a request for a figure; None: not given.

    `as_of` selects the state of the study, `cut_date` is the data cut-off, `site` and `subset` select participants, and
    `by` divides the figure into groups.
    """

    cut_date: date | None = None
    as_of: AsOf = LATEST
    site: str | None = None
    subset: str = "all"
    by: str | None = None


class FigureParameters(BaseModel):
    """Parameters that filter, date or divide a figure. Unknown parameters are refused."""

    model_config = ConfigDict(extra="forbid")

    cut: Annotated[
        Day | None, Field(description="data cut-off: the last day that is counted; default: the study's today")
    ] = None
    at: AtParameter = None
    as_of: AsOfParameter = None
    site: Annotated[SiteId | None, Field(description="only participants enrolled at this site")] = None
    subset: Literal["all", "stereotactic"] = "all"
    by: Annotated[Literal["site", "sex", "subset"] | None, Field(description="divide the figure by this")] = None
    epoch: EpochParameter = None

    def to_request(self) -> FigureRequest:
        return FigureRequest(
            cut_date=self.cut,
            as_of=AsOf(at=self.at, recorded_until=self.as_of, epoch=self.epoch),
            site=self.site,
            subset=self.subset,
            by=self.by,
        )


FigureQuery = Annotated[FigureParameters, Query()]
