"""The parameters of a figure: as a query string, and as the service reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Annotated, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, field_validator

from services.analytics.figures.figure import Figure
from services.analytics.figures.row_pages import FIRST_PAGE, MAX_PAGE_NUMBER, MAX_PAGE_SIZE, PAGE_SIZE, PageRequest
from services.analytics.snapshot.as_of import LATEST, AsOf
from services.analytics.snapshot.as_of_parameters import AsOfParameter, AtParameter, EpochParameter
from services.analytics.snapshot.selection import (
    ALL_TOXICITY,
    LaneOrder,
    LateFrom,
    LesionEvent,
    Origin,
    ToxicitySelection,
    ToxicityWindow,
)
from shared.kernel.ids import SiteId
from shared.kernel.partial_date import Day
from shared.kernel.patterns import NEXT_SENTENCE, explain_pattern

_CURSOR_PATTERN = explain_pattern(r"^([0-9A-Z-]{1,11}\.[0-9]{1,9}(\.-?[0-9]{1,9})?\.[0-9a-f]{16})?$", NEXT_SENTENCE)
_PAGES_PATTERN = explain_pattern(
    r"^([a-z-]{1,32}\.[1-9][0-9]{0,5}(,[a-z-]{1,32}\.[1-9][0-9]{0,5}){0,15})?$",
    "Give figures and numbers of pages, such as treatments.2, separated by commas.",
)
_LANDMARKS_PATTERN = explain_pattern(
    r"^[1-9][0-9]{0,2}(,[1-9][0-9]{0,2}){0,9}$", "Give up to ten whole months such as 6,12,24, separated by commas."
)


OWN_PARAMETERS = ("origin", "landmarks", "event", "window", "late_after", "late_from", "emergent", "sort", "literature")
"""Parameters that some figures have and others do not."""


@dataclass(frozen=True, slots=True)
class FigureRequest:
    """The parameters of a request for a figure; None: not given.

    `as_of` selects the state of the study, `cut_date` is the data cut-off, `site` and `subset` select participants, and
    `by` divides the figure into groups. `origin` and `landmarks`, in months, are of figures of times to events, and
    `event` of local control, `window`, `late_after`, in days, `late_from` and `emergent` of those of toxicity. `sort`
    is the order of lanes. `literature` asks for marks of publications: true or None. `page` selects rows of a figure
    that has pages.
    """

    cut_date: date | None = None
    as_of: AsOf = LATEST
    site: str | None = None
    subset: str = "all"
    by: str | None = None
    origin: Origin | None = None
    landmarks: tuple[int, ...] | None = None
    event: LesionEvent | None = None
    window: ToxicityWindow | None = None
    late_after: int | None = None
    late_from: LateFrom | None = None
    emergent: bool | None = None
    sort: LaneOrder | None = None
    literature: bool | None = None
    page: PageRequest = FIRST_PAGE

    def for_figure(self, figure: type[Figure]) -> FigureRequest:
        """Returns the request of a figure: without parameters that some figures have and this one does not."""
        own = figure.PARAMETERS
        return replace(
            self,
            origin=self.origin if "origin" in own and self.origin in figure.ORIGINS else None,
            landmarks=self.landmarks if "landmarks" in own else None,
            event=self.event if "event" in own else None,
            window=self.window if "window" in own else None,
            late_after=self.late_after if "late_after" in own else None,
            late_from=self.late_from if "late_from" in own else None,
            emergent=self.emergent if "emergent" in own else None,
            sort=self.sort if "sort" in own else None,
            literature=self.literature if "literature" in own else None,
        )

    @property
    def toxicity(self) -> ToxicitySelection:
        """The toxicity that the request selects."""
        default = ALL_TOXICITY
        return ToxicitySelection(
            window=self.window or default.window,
            late_after=default.late_after if self.late_after is None else self.late_after,
            late_from=self.late_from or default.late_from,
            emergent=default.emergent if self.emergent is None else self.emergent,
        )


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
    by: Annotated[
        Literal["site", "sex", "stage", "performance", "subset"] | None, Field(description="divide the figure by this")
    ] = None
    origin: Annotated[Origin | None, Field(description="time 0 of times to events; default: that of the protocol")] = (
        None
    )
    landmarks: Annotated[
        str | None,
        Field(pattern=_LANDMARKS_PATTERN, description="months at which times to events have an estimate, at most ten"),
    ] = None
    event: Annotated[LesionEvent | None, Field(description="event of local control; default: failure")] = None
    window: Annotated[
        ToxicityWindow | None, Field(description="toxicity up to `late_after`, or later; default: all")
    ] = None
    late_after: Annotated[
        int | None, Field(ge=0, le=3660, description="days from the course to late toxicity; default: 90")
    ] = None
    late_from: Annotated[
        LateFrom | None, Field(description="the day of the course that these days are counted from; default: its start")
    ] = None
    emergent: Annotated[
        bool | None,
        Field(description="only severe toxicity above the term's own grade at baseline, of everybody"),
    ] = None
    sort: Annotated[
        LaneOrder | None,
        Field(
            description="order of lanes: the longest first, by day of the origin, by number, by site; default: first"
        ),
    ] = None
    literature: Annotated[
        bool | None,
        Field(description="mark overall survival as published, of publications that count from the same day"),
    ] = None
    epoch: EpochParameter = None

    def to_request(self) -> FigureRequest:
        return FigureRequest(
            origin=self.origin,
            window=self.window,
            late_after=self.late_after,
            late_from=self.late_from,
            emergent=self.emergent,
            sort=self.sort,
            literature=self.literature or None,
            landmarks=tuple(sorted({int(month) for month in self.landmarks.split(",")})) if self.landmarks else None,
            event=self.event,
            cut_date=self.cut,
            as_of=AsOf(at=self.at, recorded_until=self.as_of, epoch=self.epoch),
            site=self.site,
            subset=self.subset,
            by=self.by,
        )


class FigureFileParameters(FigureParameters):
    """Parameters of one figure as a file: those of every figure, and the page of rows of single participants."""

    after: Annotated[str, Field(pattern=_CURSOR_PATTERN, description="`next` of the page before")] = ""
    page: Annotated[int, Field(ge=1, le=MAX_PAGE_NUMBER, description="number of the page, in place of `after`")] = 1
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE_SIZE, description="rows of a page")] = PAGE_SIZE

    def to_request(self) -> FigureRequest:
        return replace(super().to_request(), page=PageRequest(self.after, self.page, self.limit))


class CohortParameters(FigureParameters):
    """Parameters of the cohort page: those of every figure, and the page that each figure with pages shows."""

    pages: Annotated[
        str, Field(pattern=_PAGES_PATTERN, description="figures and their pages: `treatments.2`, separated by commas")
    ] = ""

    @field_validator("at", mode="before")
    @classmethod
    def _read_no_choice(cls, at: object) -> object:
        """Reads the choice of the latest state, which a form sends as an empty text, as none."""
        return at or None

    def page_numbers(self) -> dict[str, int]:
        """Returns the chosen page of each figure by name."""
        parts = (part.split(".") for part in self.pages.split(",") if part)
        return {name: int(number) for name, number in parts}


def format_pages(page_numbers: Mapping[str, int]) -> dict[str, str]:
    """Returns the parameter `pages` of the cohort page."""
    return {"pages": ",".join(f"{name}.{number}" for name, number in sorted(page_numbers.items()))}


FigureFileQuery = Annotated[FigureFileParameters, Query()]
CohortQuery = Annotated[CohortParameters, Query()]
