"""The picture of toxicity grades: a diverging stacked bar for each term, before to the left and after to the right.

The bars begin in the middle with the highest grade, so that severe toxicity before and after stands side by side. The
shade says the grade; a hollow end has the participants who were not assessed, and the ground those with grade 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.analytics.charts.svg import (
    AttributeValue,
    Element,
    document,
    element,
    group,
    line,
    secondary_text,
    svg_number,
    text,
)
from services.analytics.charts.theme import GROUND, MUTED, RULE, SECOND

MOST_TERMS = 25
"""A picture of more terms would be longer than a page."""
_WIDTH, _MIDDLE, _BAR_WIDTH, _GAP = 640, 405, 170, 3
_TOP, _ROW_HEIGHT, _BAR_HEIGHT = 66, 24, 14
_MOST_CHARACTERS = 30
_OPACITIES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""The shade of each grade."""


@dataclass(frozen=True, slots=True)
class GradeBar:
    """A term with its participants by grade from 0 to 5, and then those not assessed, before and after."""

    label: str
    before: Sequence[int]
    after: Sequence[int]


def draw_grades(name: str, title: str, caption: str, bars: Sequence[GradeBar], participants: int) -> str:
    """Returns the picture as SVG text."""
    if not bars:
        words = "No toxicity was found" if participants else "Nobody has been treated"
        return document(name, title, caption, (_WIDTH, 28), [secondary_text(0, 16, words, font_size=14)])
    height = _TOP + _ROW_HEIGHT * len(bars)
    body = [*_legend(), *_headings(), *_rows(bars, participants), _middle_line(height)]
    return document(name, title, caption, (_WIDTH, height), body)


def _legend() -> Iterator[Element]:
    x = 0.0
    for grade in (1, 2, 3, 4, 5):
        yield _segment(x + 1, 2, 14, grade)
        yield secondary_text(x + 20, 14, f"Grade {grade}")
        x += 82
    yield element("rect", x=x + 1, y=2, width=14, height=14, fill=GROUND, class_="ground")
    yield secondary_text(x + 20, 14, "Grade 0")
    yield _not_assessed(x + 83, 2, 14)
    yield secondary_text(x + 102, 14, "Not assessed")


def _headings() -> Iterator[Element]:
    yield secondary_text(_MIDDLE - _GAP, 44, "Before", "end", font_weight=600)
    yield secondary_text(_MIDDLE + _GAP, 44, "After", font_weight=600)
    yield secondary_text(_WIDTH, 44, "Grade 3 or more", "end")


def _rows(bars: Sequence[GradeBar], participants: int) -> Iterator[Element]:
    for index, bar in enumerate(bars):
        base = _TOP + 4 + index * _ROW_HEIGHT
        yield from _label(bar.label, base)
        for direction, counts in ((-1, bar.before), (1, bar.after)):
            yield from _bar(base - 11, direction, counts, participants)
        yield text(_WIDTH, base, f"{sum(bar.before[3:6])} → {sum(bar.after[3:6])}", "end", font_weight=600)


def _label(label: str, base: float) -> Iterator[Element]:
    """Yields a label that ends before the bars; a longer one is shown whole on request."""
    if len(label) <= _MOST_CHARACTERS:
        yield text(0, base, label)
    else:
        yield group(element("title", label), text(0, base, f"{label[: _MOST_CHARACTERS - 1].rstrip()}…"))


def _bar(top: float, direction: int, counts: Sequence[int], participants: int) -> Iterator[Element]:
    """Yields the segments of a bar from the middle outward: the grades from the highest, 0, and not assessed."""
    unit, offset = _BAR_WIDTH / participants, float(_GAP)
    for grade in (5, 4, 3, 2, 1, 0, 6):
        width = counts[grade] * unit
        x = _MIDDLE + offset if direction > 0 else _MIDDLE - offset - width
        if counts[grade]:
            yield _not_assessed(x, top, width) if grade == 6 else _segment(x, top, width, grade)
        offset += width


def _segment(x: float, y: float, width: float, grade: int) -> Element:
    size: dict[str, AttributeValue] = {"x": x, "y": y, "width": width, "height": _BAR_HEIGHT}
    if grade == 0:
        return element("rect", **size, fill=GROUND, class_="ground")
    return element("rect", **size, fill=SECOND, fill_opacity=_OPACITIES[grade], class_="second")


def _not_assessed(x: float, y: float, width: float) -> Element:
    size: dict[str, AttributeValue] = {"x": x, "y": y + 0.5, "width": width, "height": _BAR_HEIGHT - 1}
    return element("rect", **size, fill="none", stroke=RULE, class_="hollow stroke-rule")


def _middle_line(height: float) -> Element:
    return line(f"M{_MIDDLE} 52V{svg_number(height)}", stroke=MUTED, class_="stroke-muted")
