"""The definition of a figure: typed numbers with a caption, a headline, a table and a picture.

A figure is one module with one subclass of `Figure`, and one line in `registry.py`. The page, the files, what readers
see and the schema in OpenAPI follow from the class.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, ClassVar, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from services.analytics.disclosure.declaration import Disclosure, require_declared_numbers
from services.analytics.disclosure.editions import DividedCut, Edition, Members
from services.analytics.figures.filters import FigureFilters
from services.analytics.figures.literature_marks import LiteratureMark
from services.analytics.figures.row_pages import ALL_ROWS, PageSelector
from services.analytics.figures.seal_state import SealState
from services.analytics.snapshot.selection import Origin, Selection
from services.analytics.snapshot.snapshot import DataCut, StudySnapshot
from services.analytics.wording.phrasing import count_noun, humanize
from shared.kernel.errors import SmallGroups
from shared.kernel.record import Record

FigureTable = tuple[list[str], list[list[str]]]
"""A header, and rows of as many cells."""
Headline = list[tuple[str, str, str]]
"""The numbers that are read first: name, value, words."""
_COMMON_NUMBERS = frozenset({"imputed_dates", "left_out", "position", "excluded_since", "parameters.late_after"})
"""Whole numbers of every answer. `left_out` and `excluded_since` count participants, for readers of the whole study."""
_COMMON_TABLES = frozenset({"subject", "target"})
"""The tables that a selection of participants needs."""


class Publication(BaseModel):
    """The publication that a reader sees: the data cut that was asked for, and the one that the numbers are of.

    They differ for a division that was not published anew with the data cut. `edition` then names the cut that it was
    last published with.
    """

    model_config = ConfigDict(frozen=True)

    cut: str
    edition: str


@dataclass(frozen=True, slots=True)
class FigureContext:
    """The state of the study that a figure shows.

    `cut_date`: the last day that it counts. `publication`: the publication that a reader sees, with the data cut
    that was asked for in `requested_cut`; both are None for all others. `seal`: None but at a named data cut.
    `literature`: marks of publications; None but at request."""

    study_id: str
    position: int
    recorded_at: datetime | None
    cut_date: date
    filters: FigureFilters
    publication: Publication | None = None
    requested_cut: DataCut | None = None
    seal: SealState | None = None
    literature: tuple[LiteratureMark, ...] | None = None


class Figure(BaseModel, ABC):
    """The numbers of one figure.

    A subclass declares its numbers as members, and its `DISCLOSURE` to readers. A class without that declaration, or
    with a whole number that it does not name, is a TypeError when it is defined. A member that is not set is left out
    of the `.json` answer. A figure with rows of single participants is a `PersonLevelFigure`.
    """

    model_config = ConfigDict(frozen=True)

    NAME: ClassVar[str]
    TITLE: ClassVar[str]
    EXPLANATION: ClassVar[str] = ""
    """The definition in words, whatever the parameters."""
    STRATIFICATIONS: ClassVar[tuple[str, ...]] = ()
    """Values of the parameter `by`, which divides the figure into groups."""
    DISCLOSURE: ClassVar[Disclosure]
    """The declaration to readers. A person-level figure is read under row-level security, and each read is logged."""
    PARAMETERS: ClassVar[frozenset[str]] = frozenset()
    """Parameters that it has beside those of every figure, such as `origin`."""
    ORIGINS: ClassVar[tuple[Origin, ...]] = get_args(Origin)
    """Values of the parameter `origin` in a figure that has it."""
    TABLES: ClassVar[tuple[str, ...]] = ()
    """The tables of derived rows that it is computed from, beside that of the participants and their targets.

    It gets no others: the newest snapshot has only the tables that some figure declares.
    """
    COLUMN_HEADINGS: ClassVar[Mapping[str, str]] = {}
    """Words for the columns of its table whose names are for programs."""

    imputed_dates: int
    left_out: int = Field(description="participants excluded from every analysis")

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        super().__pydantic_init_subclass__(**options)
        if not isinstance(getattr(cls, "DISCLOSURE", None), Disclosure):
            raise TypeError(f"{cls.__name__} does not declare its disclosure to readers")
        if cls.DISCLOSURE.person_level is not cls.has_pages():
            raise TypeError(f"{cls.__name__} is person-level exactly if it derives from PersonLevelFigure")
        require_declared_numbers(cls, cls.DISCLOSURE, _COMMON_NUMBERS)

    @classmethod
    def has_pages(cls) -> bool:
        """Returns whether the figure has rows of single participants, which come in pages."""
        return "page" in cls.model_fields

    @classmethod
    def tables(cls) -> frozenset[str]:
        """Returns the tables of derived rows that the figure reads."""
        return _COMMON_TABLES | frozenset(cls.TABLES)

    @classmethod
    def compute(cls, snapshot: StudySnapshot, selection: Selection, rows: PageSelector = ALL_ROWS) -> Self:
        """Returns the numbers of the selected participants of a snapshot, from the tables of the figure.

        `rows`: the page of a figure that has pages.
        """
        return cls._compute(cls.limit_tables(snapshot), selection)

    @classmethod
    @abstractmethod
    def _compute(cls, snapshot: StudySnapshot, selection: Selection) -> Self:
        """Returns the numbers of the selected participants of a snapshot, which has the tables of the figure."""

    @classmethod
    def members(cls, snapshot: StudySnapshot, selection: Selection) -> Members:
        """Returns the participants that a divided figure counts, with their groups. Raises SmallGroups if undivided."""
        return cls._members(cls.limit_tables(snapshot), selection)

    @classmethod
    def _members(cls, snapshot: StudySnapshot, selection: Selection) -> Members:
        raise SmallGroups

    @classmethod
    def edition_days(cls, cut: DividedCut, editions: Sequence[Edition]) -> tuple[date, ...] | None:
        """Returns the days at whose end a published division shows counts, of a figure that shows them over time.

        `editions`: the earlier editions, which readers compare it with. None: the division cannot be published anew.
        """
        return ()

    @classmethod
    def limit_tables(cls, snapshot: StudySnapshot) -> StudySnapshot:
        """Returns the snapshot with the tables of the figure alone."""
        tables = {name: table for name, table in snapshot.tables.items() if name in cls.tables()}
        return replace(snapshot, tables=tables)

    @abstractmethod
    def published(self, minimum: int, cut_date: date) -> Self:
        """Returns the figure as readers see it: without a day of an event, or a time in which few had one.

        `minimum`: the smallest group. `cut_date`: the data cut-off. Raises ReadersSeeCuts for a person-level figure.
        """

    def published_on(self, days: Sequence[date]) -> Self:
        """Returns a divided figure as readers see it, with counts at the ends of its `edition_days` alone.

        Raises SmallGroups for a figure without groups.
        """
        raise SmallGroups

    def narrowed_to(self, group: str) -> Self:
        """Returns the figure of one group of a divided figure. Raises SmallGroups for a figure without groups."""
        raise SmallGroups

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

    def literature_marks(self, study: Record) -> tuple[LiteratureMark, ...]:
        """Returns the marks of the publications beside the study. `study`: the study's own facts."""
        return ()

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
        reason = " (voided, or without consent to the use of data)" if self.left_out else ""
        filters = "".join(f", {_filter_words(name, value)}" for name, value in context.filters.active().items())
        state = f"Data cut-off {context.cut_date}, position {context.position}{_publication_words(context)}{filters}"
        return f"{state}; {_scope_words(context)}{imputed}, {excluded}{reason}{_seal_words(context)}."


def _filter_words(name: str, value: str) -> str:
    note = " (Karnofsky converted to ECOG by the Oken table)" if (name, value) == ("by", "performance") else ""
    return f"{humanize(name)} {value}{note}"


def _publication_words(context: FigureContext) -> str:
    publication = context.publication
    if publication is None:
        return ""
    if publication.edition == publication.cut:
        return f", publication {publication.cut}"
    return f", publication {publication.edition} (this division was not published anew with {publication.cut})"


def _seal_words(context: FigureContext) -> str:
    """Returns how many participants of the sealed figures are not in this one."""
    left = context.seal.excluded_since if context.seal else 0
    return f", {count_noun(left, 'participant')} of the sealed data cut excluded since" if left else ""


def _scope_words(context: FigureContext) -> str:
    """Returns that what follows is of the whole study: readers see neither number for a part of it."""
    is_part = bool({"site", "subset"} & context.filters.active().keys())
    return "in the whole study " if context.publication and is_part else ""


@dataclass(frozen=True, slots=True)
class FigureAnswer:
    """A figure as one caller may see it: its numbers, caption, table and picture are all made of `figure`."""

    figure: Figure
    context: FigureContext

    @property
    def name(self) -> str:
        return self.figure.NAME

    def with_seal(self, seal: SealState) -> FigureAnswer:
        """Returns the answer with its relation to the seal of its data cut."""
        return replace(self, context=replace(self.context, seal=seal))

    def with_literature(self, study: Record) -> FigureAnswer:
        """Returns the answer with marks of the publications beside the study; its numbers stay as they are."""
        return replace(self, context=replace(self.context, literature=self.figure.literature_marks(study)))

    def to_json(self) -> dict[str, JsonValue]:
        """Returns the `.json` answer."""
        context, publication, literature = self.context, self.context.publication, self.context.literature
        return {
            "figure": self.name,
            "study_id": context.study_id,
            "position": context.position,
            "recorded_at": context.recorded_at.isoformat() if context.recorded_at else None,
            "cut": context.cut_date.isoformat(),
            "parameters": context.filters.to_json(),
            **({"publication": publication.model_dump(mode="json")} if publication else {}),
            **(context.seal.to_json() if context.seal else {}),
            **({} if literature is None else {"literature": [mark.model_dump(mode="json") for mark in literature]}),
            **self.figure.to_json(),
        }
