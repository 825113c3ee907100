"""The frame of a picture of curves over time: axes from 0 to 1, styles of lines, and numbers at risk below the axis.

Morris and others, BMJ Open 2019;9:e030215 (the KMunicate proposal): the axis goes from 0 to 1, and the table has the
numbers at risk, of events and of censored participants, aligned with the ticks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from services.analytics.charts.axes import LinearScale
from services.analytics.charts.svg import (
    AttributeValue,
    Element,
    corner_path,
    element,
    grid_line,
    line,
    secondary_text,
    step_path,
    svg_number,
    text,
)
from services.analytics.charts.theme import ACCENT, INK, MUTED, SECOND, SHADE
from services.analytics.figures.survival_numbers import DAYS_OF_MONTH, TimeSpan
from services.analytics.wording.phrasing import format_number

WIDTH, LEFT, RIGHT = 640, 84, 624
PLOT_TOP, PLOT_HEIGHT = 30, 250
MOST_BANDS, MOST_WHOLE_TABLES = 3, 4
"""More curves have no bands, and a table of the numbers at risk alone."""
_ROW_HEIGHT, _LEGEND_ROW = 17, 20
_MOST_TICKS, _MONTHS_APART = 9, (1, 2, 3, 6, 12, 24, 60, 120)
_MARK, _LEAST_MARK_DISTANCE = 4.0, 2.0
_LEAST_STEP = 0.75
"""Pixels by which a corner of a curve lies apart from the one before: nobody sees less, in print either."""
_STYLES = (
    (ACCENT, "accent", "none"),
    (SECOND, "second", "7 3"),
    (INK, "ink", "2 3"),
    (MUTED, "muted", "10 3 2 3"),
)
"""Colors with a dash each, so that curves are told apart in black and white too."""

Corner = TypeVar("Corner", bound=tuple[float, ...])
"""Coordinates of a corner of one curve, or of several with one x."""
NumbersByDay = list[tuple[float, str]]
"""Numbers below the axis, with the days that they stand under."""


@dataclass(frozen=True, slots=True)
class CurveMarks:
    """The marks of curves: they are thin after the day `planned_until`, and shaded in the times `not_current`.

    `notes`: lines below the numbers at risk.
    """

    planned_until: int | None = None
    not_current: Sequence[TimeSpan] = ()
    notes: Sequence[str] = ()

    def thin_from(self, last_day: float) -> float:
        """Returns the day from which curves up to the last day are thin; the last day if they are not."""
        return last_day if self.planned_until is None else min(self.planned_until, last_day)


NO_MARKS = CurveMarks()


@dataclass(frozen=True, slots=True)
class RiskTable:
    """The numbers of one group below the axis: rows of a label, and numbers by day."""

    name: str
    rows: Sequence[tuple[str, NumbersByDay]]


@dataclass(frozen=True, slots=True)
class LineStyle:
    """The color of a line with the name of its class in the style sheet, and its dash."""

    color: str
    name: str
    dash: str

    def stroke(self, **attributes: AttributeValue) -> dict[str, AttributeValue]:
        """Returns the attributes of a line of this style."""
        style: dict[str, AttributeValue] = {"stroke": self.color, "class_": f"stroke-{self.name}", **attributes}
        return style if self.dash == "none" else {**style, "stroke_dasharray": self.dash}


@dataclass(frozen=True, slots=True)
class CurveAxes:
    """The scales of a picture: days from the origin, and shares from 0 to 1."""

    days: LinearScale
    shares: LinearScale
    ticks: Sequence[float]

    def point(self, day: float, share: float) -> tuple[float, float]:
        """Returns the coordinates of a share on a day."""
        return self.days.at(day), self.shares.at(share)


def line_styles(count: int) -> list[LineStyle]:
    """Returns a style for each of so many curves. Only after sixteen a style comes again."""
    colors, dashes = [style[:2] for style in _STYLES], [style[2] for style in _STYLES]
    size = len(_STYLES)
    return [LineStyle(*colors[number % size], dashes[(number + number // size) % size]) for number in range(count)]


def axis_ticks(last_day: int) -> list[float]:
    """Returns the ticks of an axis up to a day: days at round numbers of months, from 0 to the first not before it."""
    last_month = max(1.0, last_day / DAYS_OF_MONTH)
    apart = next((step for step in _MONTHS_APART if last_month / step <= _MOST_TICKS - 1), _MONTHS_APART[-1])
    count = int(-(-last_month // apart))
    return [index * apart * DAYS_OF_MONTH for index in range(count + 1)]


def curve_axes(last_day: int, legend_rows: int) -> CurveAxes:
    """Returns the axes of curves up to a day, below a legend of so many rows; one row needs no legend."""
    top = PLOT_TOP + (_LEGEND_ROW * legend_rows if legend_rows > 1 else 0)
    ticks = axis_ticks(last_day)
    return CurveAxes(
        days=LinearScale(start=0, end=ticks[-1], start_at=LEFT, end_at=RIGHT),
        shares=LinearScale(start=0, end=1, start_at=top + PLOT_HEIGHT, end_at=top),
        ticks=ticks,
    )


def draw_legend(heading: str, labels: Sequence[str], styles: Sequence[LineStyle]) -> Iterator[Element]:
    """Yields the heading of the axis of shares, and the label of each line if there are several."""
    yield secondary_text(0, 12, heading)
    if len(labels) > 1:
        for number, (label, style) in enumerate(zip(labels, styles, strict=True)):
            base = PLOT_TOP + 2 + number * _LEGEND_ROW
            yield line(f"M{LEFT} {base - 4}h28", **style.stroke(stroke_width=2))
            yield text(LEFT + 36, base, label)


def draw_axes(axes: CurveAxes, title: str) -> Iterator[Element]:
    """Yields both axes with their labels, in months and in shares."""
    base = axes.shares.start_at
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = axes.shares.at(share)
        yield grid_line(LEFT, y, RIGHT, y)
        yield secondary_text(LEFT - 8, y + 4, format_number(share), "end")
    for day in axes.ticks:
        x = axes.days.at(day)
        yield line(f"M{svg_number(x)} {svg_number(base)}v5", stroke=MUTED, class_="stroke-muted")
        yield secondary_text(x, base + 19, format_number(round(day / DAYS_OF_MONTH)), "middle")
    yield line(f"M{LEFT} {svg_number(base)}H{RIGHT}", stroke=MUTED, class_="stroke-muted")
    yield secondary_text((LEFT + RIGHT) / 2, base + 37, title, "middle")


def draw_shades(axes: CurveAxes, marks: CurveMarks) -> Iterator[Element]:
    """Yields a ground over the whole height for each time in which most are not current."""
    for span in marks.not_current:
        x, top = axes.days.at(span.start), axes.shares.end_at
        width = max(axes.days.at(span.end) - x, 1)
        yield element("rect", x=x, y=top, width=width, height=PLOT_HEIGHT, fill=SHADE, class_="shade")


def draw_key(marks: CurveMarks, last_day: float) -> Iterator[Element]:
    """Yields what the marks mean, above the axis, of curves up to the last day."""
    words = [
        *(["shaded: most not seen lately"] if marks.not_current else []),
        *(["thin: after planned follow-up"] if marks.thin_from(last_day) < last_day else []),
    ]
    if words:
        yield secondary_text(RIGHT, 12, "; ".join(words), "end")


def draw_steps(points: Sequence[tuple[float, float]], thin_from: float, style: LineStyle) -> Iterator[Element]:
    """Yields a curve of steps, which is thin to the right of the x coordinate `thin_from`."""
    points = keep_visible_steps(points)
    end, before = points[-1][0], [point for point in points if point[0] <= thin_from]
    yield line(step_path(before, min(end, thin_from)), **style.stroke(stroke_width=2))
    if thin_from < end:
        after = [(thin_from, before[-1][1]), *points[len(before) :]]
        yield line(step_path(after, end), **style.stroke(stroke_width=0.75))


def keep_visible_steps(points: Sequence[Corner]) -> list[Corner]:
    """Returns the points without those within `_LEAST_STEP` of the last one drawn; the first and the last stay."""
    visible = list(points[:1])
    for point in points[1:-1]:
        if any(abs(value - before) >= _LEAST_STEP for value, before in zip(point, visible[-1], strict=True)):
            visible.append(point)
    return [*visible, *points[1:][-1:]]


def draw_nobody(axes: CurveAxes) -> Element:
    """Returns the words in place of curves of nobody."""
    return secondary_text((LEFT + RIGHT) / 2, axes.shares.end_at + PLOT_HEIGHT / 2, "Nobody is at risk", "middle")


def band_path(limits: Sequence[tuple[float, float, float]], end: float) -> str:
    """Returns the outline of a band of (x, lower y, upper y) that ends at x = `end`; an empty text without one."""
    if all(lower == upper for _, lower, upper in limits):
        return ""
    limits = keep_visible_steps(limits)
    upper_edge = [(x, upper) for x, _, upper in limits]
    lower_edge = [(x, lower) for (x, _, _), (_, lower, _) in zip(limits, [limits[0], *limits[:-1]], strict=True)]
    ends = [(end, limits[-1][2]), (end, limits[-1][1])]
    return f"{corner_path([*upper_edge, *ends, *reversed(lower_edge)])}Z"


def censor_marks(points: Sequence[tuple[float, float]]) -> str:
    """Returns a mark at every point at which somebody was censored; points that would touch have one."""
    marks, last_x = list[str](), -_LEAST_MARK_DISTANCE
    for x, y in points:
        if x - last_x >= _LEAST_MARK_DISTANCE:
            marks.append(f"M{svg_number(x)} {svg_number(y - _MARK)}v{svg_number(2 * _MARK)}")
            last_x = x
    return "".join(marks)


def draw_risk_tables(axes: CurveAxes, tables: Sequence[RiskTable]) -> tuple[list[Element], float]:
    """Returns the numbers below the axis, and the height of the picture."""
    y = axes.shares.start_at + 62
    elements = list[Element]()
    for table in tables:
        if len(tables) > 1:
            elements.append(secondary_text(0, y, table.name, font_weight=600))
            y += _ROW_HEIGHT
        for label, numbers in table.rows:
            elements.append(secondary_text(0, y, label))
            elements += [secondary_text(axes.days.at(day), y, number, "middle") for day, number in _fit(axes, numbers)]
            y += _ROW_HEIGHT
    return elements, y - _ROW_HEIGHT + 8


def draw_notes(lines: Sequence[str], top: float) -> tuple[list[Element], float]:
    """Returns lines of text below a picture that ends at `top`, and the height of the picture with them."""
    texts = [secondary_text(0, top + number * _ROW_HEIGHT, line) for number, line in enumerate(lines, 1)]
    return texts, top + len(lines) * _ROW_HEIGHT + (8 if lines else 0)


def _fit(axes: CurveAxes, numbers: NumbersByDay) -> Iterator[tuple[float, str]]:
    """Yields the numbers that have room beside the one before."""
    free_from = 0.0
    for day, number in numbers:
        x, half_width = axes.days.at(day), 4 * len(number) + 3
        if x - half_width >= free_from:
            yield day, number
            free_from = x + half_width
