"""Marks of publications on a picture of curves: a shape and a letter each, and a legend of the letters below."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from string import ascii_uppercase

from services.analytics.charts.svg import HALO, Element, element, line, secondary_text, svg_number, text
from services.analytics.charts.theme import INK
from services.analytics.figures.curve_frame import CurveAxes
from services.analytics.figures.literature_marks import LiteratureMark

MAX_MARKS = 12
"""Marks that a picture shows. The page of the literature has all of them."""
_ROW_HEIGHT, _SIZE = 17, 5.5
_LEGEND_HEADING = "From publications, not from this study:"


def draw_literature(axes: CurveAxes, marks: Sequence[LiteratureMark], height: float) -> tuple[list[Element], float]:
    """Returns the marks with their legend, and the height of the picture with it. `height`: without it."""
    if not marks:
        return [], height
    elements, shown = list[Element](), list(zip(ascii_uppercase, marks[:MAX_MARKS], strict=False))
    for letter, mark in shown:
        if _is_on_axis(axes, mark):
            elements += _draw_mark(axes, letter, mark)
    rows = [_LEGEND_HEADING, *(_legend(axes, letter, mark) for letter, mark in shown)]
    if len(marks) > MAX_MARKS:
        rows.append(f"and {len(marks) - MAX_MARKS} more, which the page of the literature lists")
    for number, words in enumerate(rows, 1):
        elements.append(secondary_text(0, height + number * _ROW_HEIGHT, words))
    return elements, height + len(rows) * _ROW_HEIGHT + 8


def _is_on_axis(axes: CurveAxes, mark: LiteratureMark) -> bool:
    last_day = mark.time.estimate if mark.time.estimate is not None else mark.time.upper
    return last_day is not None and last_day <= axes.days.end


def _legend(axes: CurveAxes, letter: str, mark: LiteratureMark) -> str:
    beyond = "" if _is_on_axis(axes, mark) else " (beyond the axis)"
    return f"{letter}  {mark.describe()}{beyond}"


def _draw_mark(axes: CurveAxes, letter: str, mark: LiteratureMark) -> Iterator[Element]:
    """Yields the interval, the shape at the estimate if there is one, and the letter."""
    day = mark.time.estimate if mark.time.estimate is not None else mark.time.upper
    share = mark.share.estimate if mark.share.estimate is not None else mark.share.upper
    x, y = axes.point(day or 0, share or 0)
    if mark.time.lower is not None and mark.time.upper is not None:
        left, right = (axes.days.at(min(limit, axes.days.end)) for limit in (mark.time.lower, mark.time.upper))
        path = f"M{svg_number(left)} {svg_number(y - 4)}v8m0 -4H{svg_number(right)}m0 -4v8"
        yield line(path, stroke_width=1.5)
    if mark.share.lower is not None and mark.share.upper is not None:
        bottom, top = axes.shares.at(mark.share.lower), axes.shares.at(mark.share.upper)
        yield line(f"M{svg_number(x - 4)} {svg_number(bottom)}h8m-4 0V{svg_number(top)}m-4 0h8", stroke_width=1.5)
    if mark.time.estimate is not None and mark.share.estimate is not None:
        yield _shape(mark, x, y)
    yield text(x + 9, y - 7, letter, "start", font_weight=600, **HALO)


def _shape(mark: LiteratureMark, x: float, y: float) -> Element:
    """Returns a diamond for a median, and a square for the survival at one year."""
    size = svg_number(_SIZE)
    diamond = f"M{svg_number(x)} {svg_number(y - _SIZE)}l{size} {size}l-{size} {size}l-{size} -{size}Z"
    square = f"M{svg_number(x - _SIZE + 1)} {svg_number(y - _SIZE + 1)}h9v9h-9Z"
    path = diamond if mark.measure == "median" else square
    return element("path", d=path, fill="none", stroke=INK, stroke_width=1.5, class_="hollow stroke-ink")
