"""The answers of the figure endpoints, as OpenAPI describes them."""

from __future__ import annotations

from datetime import date, datetime
from functools import reduce
from operator import getitem, or_
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, create_model

from services.analytics.figures.figure import Figure, Publication
from services.analytics.figures.filters import FigureFilters
from services.analytics.figures.literature_marks import LiteratureMark
from services.analytics.figures.registry import FIGURES


class FigureName(BaseModel):
    name: str
    title: str
    by: Annotated[list[str], Field(description="parameters that can divide the figure")]


class FigureNames(BaseModel):
    rows: list[FigureName]
    parameters: list[str]


class FigureEnvelope(BaseModel):
    """The members that the answer of every figure has beside its numbers."""

    study_id: str
    position: int
    recorded_at: datetime | None = Field(description="when the last fact up to the position was recorded")
    cut: date = Field(description="data cut-off: the last day that is counted")
    parameters: FigureFilters
    publication: Publication | None = Field(
        default=None, description="only for readers: the data cut that was asked for, and the one that was published"
    )
    sealed: bool | None = Field(
        default=None, description="at named data cuts: whether the answer was stored with the cut, byte for byte"
    )
    sealed_later: bool | None = Field(
        default=None, description="true for a data cut that was taken under a version that did not seal"
    )
    excluded_since: int | None = Field(
        default=None,
        description="participants whom the sealed figures count, and who are in no analysis any more; absent if none",
    )
    literature: list[LiteratureMark] | None = Field(
        default=None, description="only with `literature=true`: estimates of publications, which are not of this study"
    )


def _answer_model(figure: type[Figure]) -> Any:
    """Returns the model of a figure's `.json` answer: the envelope and the figure's numbers, all on one level."""
    fields: dict[str, Any] = {"figure": (getitem(Literal, figure.NAME), ...)}
    return create_model(f"{figure.__name__}Answer", __base__=(figure, FigureEnvelope), __doc__=figure.__doc__, **fields)


ANY_FIGURE_ANSWER: Any = Annotated[reduce(or_, map(_answer_model, FIGURES.values())), Field(discriminator="figure")]
"""The answer of one of the figures; its member `figure` names which."""
