"""The files of a figure as bytes: numbers (.json), a table (.csv) and a picture (.svg). Pure.

The picture is also drawn from its SVG text as .png, which is not pure: see `png.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from services.analytics.figures.figure import FigureAnswer
from services.analytics.figures.person_level import PersonLevelFigure
from shared.ui.csv import to_csv

MEDIA_TYPES = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
}


TEXT_FORMATS = ("json", "csv", "svg")


def render_file(answer: FigureAnswer, file_format: str) -> bytes:
    """Returns the bytes of a `json`, `csv` or `svg` file, in UTF-8."""
    if file_format == "json":
        return json.dumps(answer.to_json(), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    text = to_csv(*answer.figure.table()) if file_format == "csv" else answer.figure.draw(answer.context)
    return text.encode()


def file_name_parts(answer: FigureAnswer) -> Iterator[str]:
    """Yields the parts of the name of a figure's file: study, figure, filters, rows of a page and data cut-off."""
    figure, context = answer.figure, answer.context
    yield from (context.study_id, answer.name)
    yield from (f"{key}-{value}" for key, value in context.filters.active().items())
    if isinstance(figure, PersonLevelFigure) and figure.page.rows < figure.page.total:
        yield f"rows-{figure.page.first}-{figure.page.last}"
    yield f"cut-{context.cut_date}"
