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
MAX_LEGEND_CHARACTERS = 100
_ROW_HEIGHT, _SIZE, _LETTER_SIZE = 17, 5.5, 13
_LEGEND_HEADING = "From publications, not from this study:"
_LETTER_OFFSETS = (-7, 17, -21, 31, -35, 45)
"""Distances of a letter below its mark, of which the first is taken that is free."""
Point = tuple[float, float]


def draw_literature(axes: CurveAxes, marks: Sequence[LiteratureMark], height: float) -> tuple[list[Element], float]:
    """Returns the marks with their legend, and the height of the picture with it. `height`: without it."""
    if not marks:
        return [], height
    elements, letters = list[Element](), list[Point]()
    rows = [_LEGEND_HEADING]
    for letter, mark in zip(ascii_uppercase, marks[:MAX_MARKS], strict=False):
        is_drawn = _first_day(mark) <= axes.days.end
        rows.append(_legend(f"{letter}  {mark.describe()}", "" if is_drawn else " (beyond the axis)"))
        if is_drawn:
            elements += _draw_mark(axes, mark)
            x, y = _place_letter(axes, mark, letters)
            letters.append((x, y))
            elements.append(text(x, y, letter, "start", font_weight=600, **HALO))
    if len(marks) > MAX_MARKS:
        rows.append(f"and {len(marks) - MAX_MARKS} more, which the page of the literature lists")
    for number, words in enumerate(rows, 1):
        elements.append(secondary_text(0, height + number * _ROW_HEIGHT, words))
    return elements, height + len(rows) * _ROW_HEIGHT + 8


def _first_day(mark: LiteratureMark) -> float:
    """Returns the day of the estimate, or else that on which its range begins."""
    days = (mark.time.estimate, mark.time.lower)
    return next(day for day in days if day is not None)


def _share(mark: LiteratureMark) -> float:
    """Returns the share of the estimate, or else that at which its range begins."""
    shares = (mark.share.estimate, mark.share.lower)
    return next(share for share in shares if share is not None)


def _legend(words: str, ending: str) -> str:
    """Returns a line of the legend that fits the picture; the caption has the whole of it."""
    room = MAX_LEGEND_CHARACTERS - len(ending)
    return f"{words if len(words) <= room else f'{words[: room - 1].rstrip()}…'}{ending}"


def _draw_mark(axes: CurveAxes, mark: LiteratureMark) -> Iterator[Element]:
    """Yields the interval, and the shape at the estimate if there is one."""
    x, y = axes.point(_first_day(mark), _share(mark))
    if mark.time.lower is not None and mark.time.upper is not None:
        is_whole = mark.time.upper <= axes.days.end
        right = axes.days.at(mark.time.upper if is_whole else axes.days.end)
        cap = "m0 -4v8" if is_whole else ""
        left = f"M{svg_number(axes.days.at(mark.time.lower))} {svg_number(y - 4)}v8m0 -4"
        yield line(f"{left}H{svg_number(right)}{cap}", stroke_width=1.5)
    if mark.share.lower is not None and mark.share.upper is not None:
        bottom, top = axes.shares.at(mark.share.lower), axes.shares.at(mark.share.upper)
        yield line(f"M{svg_number(x - 4)} {svg_number(bottom)}h8m-4 0V{svg_number(top)}m-4 0h8", stroke_width=1.5)
    if mark.time.estimate is not None and mark.share.estimate is not None:
        yield _shape(mark, x, y)


def _place_letter(axes: CurveAxes, mark: LiteratureMark, letters: Sequence[Point]) -> Point:
    """Returns the place of a letter beside its mark, away from the letters that are placed already."""
    x, y = axes.point(_first_day(mark), _share(mark))
    points = [(x + 8, y + offset) for offset in _LETTER_OFFSETS]
    return next((point for point in points if not any(_touch(point, other) for other in letters)), points[0])


def _touch(point: Point, other: Point) -> bool:
    return abs(point[0] - other[0]) < _LETTER_SIZE and abs(point[1] - other[1]) < _LETTER_SIZE


def _shape(mark: LiteratureMark, x: float, y: float) -> Element:
    """Returns a diamond for a median, and a square for the survival at one year."""
    size = svg_number(_SIZE)
    diamond = f"M{svg_number(x)} {svg_number(y - _SIZE)}l{size} {size}l-{size} {size}l-{size} -{size}Z"
    square = f"M{svg_number(x - _SIZE + 1)} {svg_number(y - _SIZE + 1)}h9v9h-9Z"
    path = diamond if mark.measure == "median" else square
    return element("path", d=path, fill="none", stroke=INK, stroke_width=1.5, class_="hollow stroke-ink")
