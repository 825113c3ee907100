"""The parts of the cohort page that show figures: whole with their tables, or as a preview, with links and files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from services.analytics import urls
from services.analytics.figures.figure import FigureAnswer, Headline
from services.analytics.figures.order_links import order_links
from services.analytics.figures.page_content import DrawnFigure, PageContent, draw_figure
from services.analytics.figures.parameters import OWN_PARAMETERS, CohortParameters, format_pages
from services.analytics.figures.registry import FIGURES
from services.analytics.figures.row_pages import PAGE_SIZE, RowPage
from shared.ui.navigation import Link, NavLink
from shared.ui.pages import MAX_TABLE_ROWS

FILE_KINDS = {".json": "Numbers", ".csv": "Table", ".svg": "Picture", ".png": "Picture"}
_SIZE = re.compile(r'<svg [^>]*?width="([0-9]+)[0-9.]*" height="([0-9]+)[0-9.]*"')


@dataclass(frozen=True, slots=True)
class RowPagesPart:
    """The page of rows that a figure shows, with links to its neighbors. `is_chosen`: a link led to this page."""

    shown: RowPage
    previous: str | None
    next: str | None
    is_chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FigurePart:
    """A figure on a page: `version` is the position it shows, `source` the address of this figure alone.

    A figure that `is_live` follows the record by itself. A publication is replaced as a whole. One that is not
    `is_whole` is a preview: the browser gets its picture from `picture_url` when it scrolls into view, and then its
    table. `alternative`: a text in place of the picture. `size`: its width and height. `row_pages`: None for a figure
    whose rows fit one page. `orders`: of the lanes of a figure that has lanes.
    """

    name: str
    title: str
    source: str
    version: int
    recorded_at: datetime | None
    cut_date: str
    picture: str
    picture_url: str
    alternative: str
    caption: str
    definition: str
    headline: Sequence[tuple[str, str, str]]
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    downloads: Sequence[Link]
    is_live: bool
    row_pages: RowPagesPart | None
    orders: Sequence[NavLink] = ()
    is_whole: bool = True

    @property
    def rows_shown(self) -> Sequence[Sequence[str]]:
        return self.rows[:MAX_TABLE_ROWS]

    @property
    def size(self) -> tuple[str, ...]:
        size = _SIZE.match(self.picture)
        return size.groups() if size else ("640", "400")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadlinePart:
    """The first numbers of the cohort page. `version`, `source` and `is_live`: as those of a figure."""

    numbers: Headline
    source: str
    version: int
    recorded_at: datetime | None
    cut_date: str
    is_live: bool


def with_previews(parts: Sequence[FigurePart]) -> list[FigurePart]:
    """Returns the parts of a page: all but the first, and those of whose rows a page was chosen, as previews.

    The first figure, the flow, is as small for a large study as for a small one.
    """
    return [
        replace(part, is_whole=number == 0 or (part.row_pages is not None and part.row_pages.is_chosen))
        for number, part in enumerate(parts)
    ]


def build_figure_part(answer: FigureAnswer, query: Mapping[str, str] = urls.NO_QUERY) -> FigurePart:
    """Returns the part that shows a figure, with links that keep its `query`."""
    return build_drawn_part(draw_figure(answer), query)


def build_drawn_part(figure: DrawnFigure, query: Mapping[str, str]) -> FigurePart:
    """Returns what `build_figure_part` returns, of a figure that is drawn."""
    context = figure.answer.context
    return figure_part(context.study_id, figure.content, figure.picture, query, is_live=context.publication is None)


def figure_part(
    study: str, content: PageContent, picture: str, query: Mapping[str, str], *, is_live: bool
) -> FigurePart:
    """Returns the part that shows the words, the table and the picture of a figure."""
    return FigurePart(
        name=content.name,
        title=content.title,
        source=urls.figure_url(study, content.name, query),
        version=content.position,
        recorded_at=content.recorded_at,
        cut_date=content.cut_date.isoformat(),
        picture=picture,
        picture_url=_file_url(study, content, ".svg", query),
        alternative=content.alternative,
        caption=content.caption,
        definition=content.definition,
        headline=content.headline,
        header=content.header,
        rows=content.rows,
        downloads=[
            Link(_file_url(study, content, extension, query), f"{label} ({extension})")
            for extension, label in FILE_KINDS.items()
        ],
        is_live=is_live,
        row_pages=_row_pages(study, content, query),
        orders=order_links(study, content.name, query),
    )


def _file_url(study: str, content: PageContent, extension: str, query: Mapping[str, str]) -> str:
    """Returns the address of a file. It has the rows of the page that is shown, but a table those of all pages."""
    filters, number = _own_query(content.name, _without_pages(query)), _shown_page(content)
    has_page = number > 1 and extension != ".csv"
    return urls.figure_file_url(
        study, content.name, extension, {**filters, "page": str(number)} if has_page else filters
    )


def _own_query(name: str, query: Mapping[str, str]) -> dict[str, str]:
    """Returns the parameters of the cohort page that a figure has; its own address refuses those of other figures."""
    others = set(OWN_PARAMETERS) - FIGURES[name].PARAMETERS
    return {key: value for key, value in query.items() if key not in others}


def _row_pages(study: str, content: PageContent, query: Mapping[str, str]) -> RowPagesPart | None:
    row_page, number = content.row_page, _shown_page(content)
    if row_page is None or row_page.total <= PAGE_SIZE:
        return None
    chosen = CohortParameters(pages=query.get("pages", "")).page_numbers()

    def page_url(other: int) -> str:
        page_query = {**_without_pages(query), **format_pages({**chosen, content.name: other})}
        return f"{urls.cohort_url(study, page_query)}#{content.name}-table"

    return RowPagesPart(
        shown=row_page,
        previous=page_url(number - 1) if number > 1 else None,
        next=page_url(number + 1) if row_page.last < row_page.total else None,
        is_chosen=content.name in chosen,
    )


def _shown_page(content: PageContent) -> int:
    """Returns the number of the page that is shown: the last one, if a later one was chosen."""
    return content.row_page.first // PAGE_SIZE + 1 if content.row_page else 1


def _without_pages(query: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in query.items() if name != "pages"}
