"""The definition of a figure: typed numbers with a caption, a headline, a table and a picture.

A figure is one module with one subclass of `Figure`, and one line in `registry.py`. The page, the files, the limits on
what readers see and the schema in OpenAPI follow from the class.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from services.analytics.figures.disclosure import OtherNumber, ParticipantCount, require_disclosure_marks
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import StudySnapshot
from services.analytics.wording.phrasing import count_noun, humanize
from shared.kernel.errors import Forbidden

FigureTable = tuple[list[str], list[list[str]]]
"""A header, and rows of as many cells."""
Headline = list[tuple[str, str, str]]
"""The numbers that are read first: name, value, words."""


class FigureFilters(BaseModel):
    """The filters and the division of a figure: those that the request asked for, and the limits of the caller."""

    model_config = ConfigDict(frozen=True)

    site: str | None = Field(default=None, description="enrolling sites, separated by commas")
    followed_at: str | None = Field(default=None, description="sites that follow the participants now")
    subset: str = "all"
    by: str | None = Field(default=None, description="what divides the figure into groups")

    def active(self) -> dict[str, str]:
        """Returns the filters that are set, in the order of their names; the default subset is not one."""
        values = sorted((name, value) for name, value in self if value is not None)
        return {name: value for name, value in values if (name, value) != ("subset", "all")}

    def to_json(self) -> dict[str, JsonValue]:
        """Returns the members of the `.json` answer: those that are set."""
        return self.model_dump(mode="json", exclude_none=True)


@dataclass(frozen=True, slots=True)
class FigureContext:
    """The state of the study that a figure shows. `cut_date`: the last day that it counts."""

    study_id: str
    position: int
    recorded_at: datetime | None
    cut_date: date
    filters: FigureFilters


class Figure(BaseModel, ABC):
    """The numbers of one figure.

    A subclass declares its numbers as members. Members that count participants are `ParticipantCount`, so that small
    ones can be withheld from readers; other whole numbers are `OtherNumber`. A whole number that is neither, at any
    depth, is a TypeError when the class is defined. A member that is not set is left out of the `.json` answer.
    """

    model_config = ConfigDict(frozen=True)

    NAME: ClassVar[str]
    TITLE: ClassVar[str]
    STRATIFICATIONS: ClassVar[tuple[str, ...]] = ()
    """Values of the parameter `by`, which divides the figure into groups."""
    PARTICIPANT_LEVEL: ClassVar[bool] = False
    """Its rows show single participants: it is read under row-level security, and each read is logged."""
    TABLES: ClassVar[tuple[str, ...]] = ()
    """The tables of derived rows that it is computed from, beside that of the participants and their targets."""
    COLUMN_HEADINGS: ClassVar[Mapping[str, str]] = {}
    """Words for the columns of its table whose names are for programs."""

    imputed_dates: OtherNumber
    left_out: ParticipantCount

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        super().__pydantic_init_subclass__(**options)
        require_disclosure_marks(cls, is_read_by_readers=not cls.PARTICIPANT_LEVEL)

    @classmethod
    @abstractmethod
    def compute(cls, snapshot: StudySnapshot, selection: Selection) -> Self:
        """Returns the numbers of the selected participants of a snapshot."""

    @abstractmethod
    def caption(self, context: FigureContext) -> str:
        """Returns one paragraph that can be pasted into a text; it ends with `provenance`."""

    @abstractmethod
    def headline(self, context: FigureContext) -> Headline:
        """Returns the numbers that are read first."""

    @abstractmethod
    def table(self) -> FigureTable:
        """Returns the header and the rows of the `.csv` file."""

    @abstractmethod
    def draw(self, context: FigureContext) -> str:
        """Returns the picture as SVG text."""

    def count_participant_rows(self) -> int:
        """Returns how many of the rows show a single participant."""
        return 0

    def to_json(self) -> dict[str, JsonValue]:
        """Returns the members of the `.json` answer; those that every figure has come last."""
        members = self.model_dump(mode="json", exclude_unset=True)
        common = {name: members.pop(name) for name in Figure.model_fields}
        return {**members, **common}

    def provenance(self, context: FigureContext) -> str:
        """Returns the last sentence of a caption: the state of the study, imputed dates, excluded participants."""
        imputed = count_noun(self.imputed_dates, "imputed date")
        excluded = f"{count_noun(self.left_out, 'participant')} excluded"
        reason = " (voided, or consent to data use withdrawn)" if self.left_out else ""
        filters = "".join(f", {humanize(name)} {value}" for name, value in context.filters.active().items())
        return f"Data cut-off {context.cut_date}, position {context.position}{filters}; {imputed}, {excluded}{reason}."


@dataclass(frozen=True, slots=True)
class FigureAnswer:
    """A figure as one caller may see it.

    `numbers`: the members of the `.json` answer beyond the context, without what is withheld. `figure`: None if
    anything is withheld, because captions, tables and pictures are made of whole figures.
    """

    name: str
    context: FigureContext
    numbers: dict[str, JsonValue]
    participant_rows: int
    figure: Figure | None

    def require_figure(self) -> Figure:
        """Returns the whole figure. Raises Forbidden if anything is withheld from the caller."""
        if self.figure is None:
            raise Forbidden(
                "Readers do not see small counts, so they get no table and no picture. The .json has the other counts."
            )
        return self.figure

    def to_json(self) -> dict[str, JsonValue]:
        """Returns the `.json` answer."""
        context = self.context
        return {
            "figure": self.name,
            "study_id": context.study_id,
            "position": context.position,
            "recorded_at": context.recorded_at.isoformat() if context.recorded_at else None,
            "cut": context.cut_date.isoformat(),
            "parameters": context.filters.to_json(),
            **self.numbers,
        }
