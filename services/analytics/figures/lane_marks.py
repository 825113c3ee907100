"""The bars and marks of the lanes of a swimmer plot, and their legend. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from services.analytics.charts.svg import (
    AttributeValue,
    Element,
    element,
    line,
    secondary_text,
    svg_number,
    text,
)
from services.analytics.charts.theme import ACCENT, GROUND, INK, MUTED, SECOND, TINT
from services.analytics.endpoints.lanes import LaneEnd

HALF_BAR = 7.0
"""Half the height of a course, the tallest bar of a lane."""
_LEAST_COURSE, _LEAST_STEREOTACTIC = 3.0, 10.0  # wide
_SEVERAL = "M"
_LETTER: dict[str, AttributeValue] = {"font_size": 9, "font_weight": 600}
_LEGEND_ROW = 22
_END_WORDS: Mapping[LaneEnd, str] = {
    "death": "Death",
    "undated_death": "Death without a date",
    "withdrawal": "Withdrawal",
    "cut_off": "Alive on the cut-off",
    "last_proof_of_life": "Last proof of life",
}


def observed_bar(x1: float, x2: float, y: float) -> Element:
    """Returns the bar of the time at risk."""
    size: dict[str, AttributeValue] = {"x": x1, "y": y - 3, "width": max(x2 - x1, 1), "height": 6}
    return element("rect", **size, fill=GROUND, stroke=MUTED, stroke_width=0.75, class_="ground stroke-muted")


def waiting_line(x1: float, x2: float, y: float) -> Element:
    """Returns the line of the time before the entry, in which the participant is not at risk."""
    path = f"M{svg_number(x1)} {svg_number(y)}H{svg_number(x2)}"
    return line(path, stroke=MUTED, stroke_dasharray="2 3", class_="stroke-muted")


@dataclass(frozen=True, slots=True)
class LaneBar:
    """A course or a systemic line from `x1` to `x2`. `is_open`: no end is recorded."""

    x1: float
    x2: float
    is_open: bool = False

    @property
    def edge(self) -> dict[str, AttributeValue]:
        """The dash of an edge without a recorded end."""
        return {"stroke_dasharray": "3 2"} if self.is_open else {}


def course_mark(bar: LaneBar, y: float, *, is_stereotactic: bool) -> Iterator[Element]:
    """Yields a filled bar, or of a stereotactic course a light one with its letter."""
    width = max(bar.x2 - bar.x1, _LEAST_STEREOTACTIC if is_stereotactic else _LEAST_COURSE)
    size: dict[str, AttributeValue] = {"x": bar.x1, "y": y - HALF_BAR, "width": width, "height": 2 * HALF_BAR}
    edge: dict[str, AttributeValue] = {"stroke": ACCENT, "stroke_width": 1.5, **bar.edge}
    if not is_stereotactic:
        opacity: dict[str, AttributeValue] = {"fill_opacity": 0.45} if bar.is_open else {}
        yield element("rect", **size, **edge, **opacity, fill=ACCENT, class_="accent stroke-accent")
        return
    yield element("rect", **size, **edge, fill=TINT, class_="tint stroke-accent")
    yield text(bar.x1 + _LEAST_STEREOTACTIC / 2, y + 3.2, "S", "middle", **_LETTER)


def line_mark(bar: LaneBar, y: float) -> Element:
    """Returns a thin bar below `y`."""
    size: dict[str, AttributeValue] = {"x": bar.x1, "y": y + 0.5, "width": max(bar.x2 - bar.x1, 3), "height": 5}
    return element("rect", **size, fill="none", stroke=INK, class_="hollow stroke-ink", **bar.edge)


def progression_mark(kinds: Collection[str], x: float, y: float) -> Iterator[Element]:
    """Yields a diamond with the first letter of the kind of progression, or that of several kinds."""
    letter = next(iter(kinds))[0].upper() if len(kinds) == 1 else _SEVERAL
    path = f"M{svg_number(x)} {svg_number(y - 7)}l7 7l-7 7l-7 -7z"
    yield element("path", d=path, fill="none", stroke=SECOND, stroke_width=1.5, class_="hollow stroke-second")
    yield text(x, y + 3.2, letter, "middle", **_LETTER)


def toxicity_mark(grade: int, x: float, y: float) -> Iterator[Element]:
    """Yields a ring with the grade."""
    yield element(
        "circle", cx=x, cy=y, r=6.5, fill="none", stroke=SECOND, stroke_width=1.5, class_="hollow stroke-second"
    )
    yield text(x, y + 3.2, str(grade), "middle", **_LETTER)


def end_mark(end: LaneEnd, x: float, y: float) -> Iterator[Element]:
    """Yields the mark of the end of a lane."""
    size: dict[str, AttributeValue] = {"x": x - 4.5, "y": y - 4.5, "width": 9, "height": 9}
    at = f"M{svg_number(x)} {svg_number(y)}"
    match end:
        case "death":
            yield element("rect", **size, fill=INK, class_="ink")
        case "undated_death":
            yield element("rect", **size, fill="none", stroke=INK, stroke_width=1.5, class_="hollow stroke-ink")
        case "withdrawal":
            yield line(f"{at}m-4.5 -4.5l9 9m0 -9l-9 9", stroke_width=2)
        case "cut_off":
            yield element("path", d=f"{at}m0 -6l9 6l-9 6z", fill=INK, class_="ink")
        case "last_proof_of_life":
            yield line(f"{at}m0 -7v14", stroke_width=2)


def draw_legend() -> Iterator[Element]:
    """Yields the bars and marks with their words, in four rows."""
    y = 8.0
    yield observed_bar(1, 21, y)
    yield secondary_text(28, y + 4, "Observed and at risk")
    yield waiting_line(188, 208, y)
    yield secondary_text(215, y + 4, "Not at risk yet")
    yield from course_mark(LaneBar(341, 361, is_open=True), y, is_stereotactic=False)
    yield line_mark(LaneBar(367, 387, is_open=True), y - 3)
    yield secondary_text(394, y + 4, "No end recorded")
    y += _LEGEND_ROW
    yield from course_mark(LaneBar(1, 21), y, is_stereotactic=False)
    yield secondary_text(28, y + 4, "Course of radiotherapy")
    yield from course_mark(LaneBar(193, 203), y, is_stereotactic=True)
    yield secondary_text(215, y + 4, "Stereotactic course")
    yield line_mark(LaneBar(367, 387), y - 3)
    yield secondary_text(394, y + 4, "Systemic line")
    y += _LEGEND_ROW
    yield from progression_mark({"local"}, 11, y)
    yield secondary_text(28, y + 4, "Progression: L local, R regional, D distant, M several")
    yield from toxicity_mark(3, 377, y)
    yield secondary_text(394, y + 4, "Toxicity of grade 3 or more")
    y += _LEGEND_ROW
    for x, (end, words) in zip((8, 78, 236, 346, 496), _END_WORDS.items(), strict=True):
        yield from end_mark(end, x, y)
        yield secondary_text(x + 14, y + 4, words)
