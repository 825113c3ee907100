"""The marks of a swim lane: kinds of fact differ in shape, not in color alone. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from services.analytics.charts.svg import (
    AttributeValue,
    Element,
    element,
    line,
    svg_number,
    text,
)
from services.analytics.charts.theme import ACCENT, INK, MUTED, SECOND
from services.analytics.timeline.answers import TimelineEntry

_BY_TYPE = {
    "disease.progressed": "diamond",
    "participant.died": "square",
    "lesion.registered": "lesion",
    "followup.visit_missed": "cross",
}
_BY_LANE = {"toxicity": "grade", "procedures": "triangle", "contacts": "contact"}
_SEVERE_GRADE = 3
_HALF_SIZE = 5.0


def shape(entry: TimelineEntry) -> str:
    """Returns the name of the shape that shows an entry. Overlapping entries of one shape are drawn as one mark."""
    if entry.lasts:
        return "bar"
    return _BY_TYPE.get(entry.type) or _BY_LANE.get(entry.lane, "dot")


def mark(entries: Sequence[TimelineEntry], x: float, y: float) -> Iterator[Element]:
    """Draws the mark of one entry, or of several of one shape on neighboring days."""
    match shape(entries[0]):
        case "grade":
            return _grade(entries, x, y)
        case "square":
            return _square(x, y, is_dated=entries[0].day is not None)
        case name:
            return _MARKS[name](x, y)


def _grade(entries: Sequence[TimelineEntry], x: float, y: float) -> Iterator[Element]:
    """Draws the worst grade in a ring: heavy from grade 3 on, dashed if no grade is recorded."""
    grades = [entry.grade for entry in entries if entry.grade is not None]
    worst = max(grades, default=None)
    severe = worst is not None and worst >= _SEVERE_GRADE
    color, name = (SECOND, "hollow stroke-second") if severe else (MUTED, "hollow stroke-muted")
    style: dict[str, AttributeValue] = {"stroke_dasharray": "2 2"} if worst is None else {}
    yield element(
        "circle", cx=x, cy=y, r=8, fill="none", stroke=color, stroke_width=2 if severe else 1, class_=name, **style
    )
    yield text(x, y + 4, "?" if worst is None else str(worst), "middle", font_size=11, font_weight=600)


def _diamond(x: float, y: float) -> Iterator[Element]:
    size = svg_number(_HALF_SIZE + 1)
    path = f"M{svg_number(x)} {svg_number(y - _HALF_SIZE - 1)}l{size} {size}l-{size} {size}l-{size} -{size}z"
    yield element("path", d=path, fill=SECOND, class_="second")


def _square(x: float, y: float, *, is_dated: bool) -> Iterator[Element]:
    style = (
        {"fill": INK, "class_": "ink"} if is_dated else {"fill": "none", "stroke": INK, "class_": "hollow stroke-ink"}
    )
    yield element("rect", x=x - _HALF_SIZE, y=y - _HALF_SIZE, width=2 * _HALF_SIZE, height=2 * _HALF_SIZE, **style)


def _lesion(x: float, y: float) -> Iterator[Element]:
    yield _ring(x, y, stroke=SECOND, class_="hollow stroke-second")


def _contact(x: float, y: float) -> Iterator[Element]:
    yield _ring(x, y, stroke=ACCENT, class_="hollow stroke-accent")


def _ring(x: float, y: float, **style: AttributeValue) -> Element:
    return element("circle", cx=x, cy=y, r=4.5, fill="none", stroke_width=1.75, **style)


def _cross(x: float, y: float) -> Iterator[Element]:
    left, top, size = svg_number(x - 4), svg_number(y - 4), 8
    path = f"M{left} {top}l{size} {size}m0 -{size}l-{size} {size}"
    yield line(path, stroke=MUTED, stroke_width=2, class_="stroke-muted")


def _triangle(x: float, y: float) -> Iterator[Element]:
    yield element(
        "path",
        d=f"M{svg_number(x)} {svg_number(y - _HALF_SIZE)}l{_HALF_SIZE} 9h-{2 * _HALF_SIZE:.0f}z",
        fill=ACCENT,
        class_="accent",
    )


def _dot(x: float, y: float) -> Iterator[Element]:
    yield element("circle", cx=x, cy=y, r=4, fill=ACCENT, class_="accent")


_MARKS = {
    "diamond": _diamond,
    "lesion": _lesion,
    "cross": _cross,
    "triangle": _triangle,
    "contact": _contact,
    "dot": _dot,
}
