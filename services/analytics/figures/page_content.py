"""The words and the table that the cohort page shows beside a figure's picture, as JSON that can be kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from pydantic import BaseModel

from services.analytics.figures.curve_support import LIFE_TABLE_WORDS, CurveFigure
from services.analytics.figures.figure import FigureAnswer
from services.analytics.figures.person_level import PersonLevelFigure
from services.analytics.figures.row_pages import RowPage
from services.analytics.wording.phrasing import join_words


class PageContent(BaseModel):
    """The words and the table of a figure on a page. `row_page`: None for a figure without pages of rows."""

    name: str
    title: str
    position: int
    recorded_at: datetime | None
    cut_date: date
    caption: str
    headline: list[tuple[str, str, str]]
    header: list[str]
    rows: list[list[str]]
    row_page: RowPage | None
    definition: str = ""

    @property
    def glance(self) -> str:
        """The numbers that are read first, in words."""
        return join_words([f"{value} {words}" for _, value, words in self.headline], "; ")

    @property
    def alternative(self) -> str:
        """A text in place of the picture, which says what it shows."""
        return f"{self.title}: {self.glance}." if self.headline else f"{self.title}. {self.caption}"


def page_content(answer: FigureAnswer) -> PageContent:
    """Returns the words and the table of a figure."""
    figure, context = answer.figure, answer.context
    header, rows = figure.table()
    return PageContent(
        name=answer.name,
        title=figure.TITLE,
        position=context.position,
        recorded_at=context.recorded_at,
        cut_date=context.cut_date,
        caption=figure.caption(context),
        headline=figure.headline(context),
        header=[figure.COLUMN_HEADINGS.get(column, column) for column in header],
        rows=rows,
        row_page=figure.page if isinstance(figure, PersonLevelFigure) else None,
        definition=_describe_definition(answer),
    )


def _describe_definition(answer: FigureAnswer) -> str:
    """Returns the definition of a figure in words, with its version if it has one."""
    figure, definition = answer.figure, getattr(answer.figure, "definition", None)
    form = f" {LIFE_TABLE_WORDS}" if answer.context.publication and isinstance(figure, CurveFigure) else ""
    version = f" Definition {definition.id}, version {definition.version}." if definition else ""
    return f"{figure.EXPLANATION}{form}{version}"


def render_page_content(answer: FigureAnswer) -> bytes:
    """Returns the words and the table of a figure as JSON."""
    return page_content(answer).model_dump_json().encode()


@dataclass(frozen=True, slots=True, eq=False)
class DrawnFigure:
    """A figure with all that takes time to show it on a page."""

    answer: FigureAnswer
    picture: str
    content: PageContent


def draw_figure(answer: FigureAnswer) -> DrawnFigure:
    """Returns a figure with its picture, words and table."""
    return DrawnFigure(answer, answer.figure.draw(answer.context), page_content(answer))
