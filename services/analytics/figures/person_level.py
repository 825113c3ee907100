"""The definition of a figure with rows of single participants, which come in pages."""

from __future__ import annotations

from abc import abstractmethod
from datetime import date
from typing import ClassVar, Self

from pydantic import Field

from services.analytics.disclosure.declaration import Disclosure
from services.analytics.figures.figure import Figure
from services.analytics.figures.row_pages import ALL_ROWS, PageSelector, RowPage
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import StudySnapshot
from shared.kernel.errors import ReadersSeeCuts


class PersonLevelFigure(Figure):
    """The numbers of one figure, with a page of its rows of single participants.

    Rows come in the order of the participants' numbers, or of keys and then of these. All other numbers are those of
    all selected participants. A subclass has a member for its rows and makes them in `_compute_page`; its `.csv` file
    has the rows of all pages.
    """

    DISCLOSURE: ClassVar[Disclosure] = Disclosure(counts=frozenset(), divisible=False, person_level=True)

    page: RowPage
    next: str | None = Field(description="`after` for the next page of the same list; null on the last page")

    @classmethod
    def compute(cls, snapshot: StudySnapshot, selection: Selection, rows: PageSelector = ALL_ROWS) -> Self:
        return cls._compute_page(cls.limit_tables(snapshot), selection, rows)

    @classmethod
    def _compute(cls, snapshot: StudySnapshot, selection: Selection) -> Self:
        return cls._compute_page(snapshot, selection, ALL_ROWS)

    @classmethod
    @abstractmethod
    def _compute_page(cls, snapshot: StudySnapshot, selection: Selection, rows: PageSelector) -> Self:
        """Returns the figure with the rows that `rows.select` chooses, and numbers of all selected participants."""

    def published(self, minimum: int, cut_date: date) -> Self:
        raise ReadersSeeCuts

    def count_participant_rows(self) -> int:
        return self.page.rows
