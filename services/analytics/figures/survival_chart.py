"""The picture of survival after the KMunicate proposal: curves with bands, and the numbers at risk below the axis.

Morris and others, BMJ Open 2019;9:e030215: the axis goes from 0 to 1, and the table has the numbers at risk, of events
and of censored participants, aligned with the ticks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.analytics.charts.axes import LinearScale
from services.analytics.charts.svg import (
    AttributeValue,
    Element,
    document,
    element,
    grid_line,
    line,
    secondary_text,
    step_path,
    svg_number,
    text,
)
from services.analytics.charts.theme import ACCENT, INK, MUTED, SECOND
from services.analytics.figures.survival_numbers import DAYS_OF_MONTH, CurveRow, RiskTableRow, SurvivalGroup
from services.analytics.wording.phrasing import format_number

_WIDTH, _LEFT, _RIGHT = 640, 84, 624
_PLOT_TOP, _PLOT_HEIGHT = 30, 250
_ROW_HEIGHT, _LEGEND_ROW = 17, 20
_MOST_TICKS, _MONTHS_APART = 9, (1, 2, 3, 6, 12, 24, 60, 120)
_MOST_BANDS, _MOST_WHOLE_TABLES = 3, 4
"""More curves have no bands, and a table of the numbers at risk alone."""
_MARK, _LEAST_MARK_DISTANCE = 4.0, 2.0
_STYLES = (
    (ACCENT, "accent", "none"),
    (SECOND, "second", "7 3"),
    (INK, "ink", "2 3"),
    (MUTED, "muted", "10 3 2 3"),
)
"""Colors with a dash each, so that curves are told apart in black and white too."""


def axis_ticks(last_day: int) -> list[float]:
    """Returns the ticks of an axis up to a day: days at round numbers of months, from 0 to the first not before it."""
    last_month = max(1.0, last_day / DAYS_OF_MONTH)
    apart = next((step for step in _MONTHS_APART if last_month / step <= _MOST_TICKS - 1), _MONTHS_APART[-1])
    count = int(-(-last_month // apart))
    return [index * apart * DAYS_OF_MONTH for index in range(count + 1)]


@dataclass(frozen=True, slots=True)
class _Style:
    color: str
    name: str
    dash: str

    def stroke(self, **attributes: AttributeValue) -> dict[str, AttributeValue]:
        style: dict[str, AttributeValue] = {"stroke": self.color, "class_": f"stroke-{self.name}", **attributes}
        return style if self.dash == "none" else {**style, "stroke_dasharray": self.dash}


@dataclass(frozen=True, slots=True)
class _Axes:
    days: LinearScale
    shares: LinearScale
    ticks: Sequence[float]

    def point(self, day: float, share: float) -> tuple[float, float]:
        return self.days.at(day), self.shares.at(share)


def draw_survival(name: str, title: str, caption: str, groups: Sequence[SurvivalGroup], axis_title: str) -> str:
    """Returns the picture as SVG text."""
    top = _PLOT_TOP + (_LEGEND_ROW * len(groups) if len(groups) > 1 else 0)
    last_day = max((row.time for group in groups for row in group.curve), default=0)
    ticks = axis_ticks(last_day)
    axes = _Axes(
        days=LinearScale(start=0, end=ticks[-1], start_at=_LEFT, end_at=_RIGHT),
        shares=LinearScale(start=0, end=1, start_at=top + _PLOT_HEIGHT, end_at=top),
        ticks=ticks,
    )
    styles = [_Style(*_STYLES[number % len(_STYLES)]) for number in range(len(groups))]
    body = [*_legend(groups, styles), *_draw_axes(axes, axis_title)]
    for group, style in zip(groups, styles, strict=True):
        body += _curve(axes, group, style, has_band=len(groups) <= _MOST_BANDS)
    if not any(group.n for group in groups):
        body.append(secondary_text((_LEFT + _RIGHT) / 2, top + _PLOT_HEIGHT / 2, "Nobody is at risk", "middle"))
    table, height = _tables(axes, groups)
    return document(name, title, caption, (_WIDTH, height), [*body, *table])


def _legend(groups: Sequence[SurvivalGroup], styles: Sequence[_Style]) -> Iterator[Element]:
    yield secondary_text(0, 12, "Share without event")
    if len(groups) > 1:
        for number, (group, style) in enumerate(zip(groups, styles, strict=True)):
            base = _PLOT_TOP + 2 + number * _LEGEND_ROW
            yield line(f"M{_LEFT} {base - 4}h28", **style.stroke(stroke_width=2))
            yield text(_LEFT + 36, base, f"{group.name} ({group.events} / {group.n})")


def _draw_axes(axes: _Axes, title: str) -> Iterator[Element]:
    base = axes.shares.start_at
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = axes.shares.at(share)
        yield grid_line(_LEFT, y, _RIGHT, y)
        yield secondary_text(_LEFT - 8, y + 4, format_number(share), "end")
    for day in axes.ticks:
        x = axes.days.at(day)
        yield line(f"M{svg_number(x)} {svg_number(base)}v5", stroke=MUTED, class_="stroke-muted")
        yield secondary_text(x, base + 19, format_number(round(day / DAYS_OF_MONTH)), "middle")
    yield line(f"M{_LEFT} {svg_number(base)}H{_RIGHT}", stroke=MUTED, class_="stroke-muted")
    yield secondary_text((_LEFT + _RIGHT) / 2, base + 37, title, "middle")


def _curve(axes: _Axes, group: SurvivalGroup, style: _Style, *, has_band: bool) -> Iterator[Element]:
    rows = [row for row in group.curve if row.estimate is not None]
    if not rows:
        return
    if has_band and (band := _band(axes, rows)):
        yield element("path", d=band, fill=style.color, fill_opacity=0.16, class_=style.name)
    yield from _median(axes, group)
    points = [axes.point(0, 1), *(axes.point(row.time, row.estimate or 0) for row in rows)]
    yield line(step_path(points, points[-1][0]), **style.stroke(stroke_width=2))
    if marks := _censor_marks(axes, rows):
        yield line(marks, stroke=style.color, class_=f"stroke-{style.name}", stroke_width=1.5)


def _band(axes: _Axes, rows: Sequence[CurveRow]) -> str:
    """Returns the outline of the band; an empty text without one. Where the estimate is 1 the limits are drawn as 1."""
    limited = list[tuple[float, float, float]]()
    end = 0.0
    for row in rows:
        lower, upper = (1.0, 1.0) if row.estimate == 1 else (row.lower, row.upper)
        if row.month is not None or lower is None or upper is None:
            end = axes.days.at(row.time)
            break
        limited.append((axes.days.at(row.time), axes.shares.at(lower), axes.shares.at(upper)))
        end = limited[-1][0]
    if all(lower == upper for _, lower, upper in limited):
        return ""
    upper_edge = step_path([(x, upper) for x, _, upper in limited], end)
    corners = [f"V{svg_number(limited[-1][1])}"]
    for (x, lower, _), (_, before, _) in zip(reversed(limited), reversed([limited[0], *limited[:-1]]), strict=True):
        corners.append(f"H{svg_number(x)}V{svg_number(before)}" if before != lower else f"H{svg_number(x)}")
    return f"{upper_edge}{''.join(corners)}Z"


def _censor_marks(axes: _Axes, rows: Sequence[CurveRow]) -> str:
    """Returns a mark for every day on which somebody was censored; days that would touch have one."""
    marks, last_x = list[str](), -_LEAST_MARK_DISTANCE
    for row in rows:
        x, y = axes.point(row.time, row.estimate or 0)
        if row.censored and x - last_x >= _LEAST_MARK_DISTANCE:
            marks.append(f"M{svg_number(x)} {svg_number(y - _MARK)}v{svg_number(2 * _MARK)}")
            last_x = x
    return "".join(marks)


def _median(axes: _Axes, group: SurvivalGroup) -> Iterator[Element]:
    """Yields the line to the median, if it was reached."""
    if group.median.estimate is not None:
        x, y = axes.point(group.median.estimate, 0.5)
        path = f"M{_LEFT} {svg_number(y)}H{svg_number(x)}V{svg_number(axes.shares.start_at)}"
        yield line(path, stroke=MUTED, class_="stroke-muted", stroke_dasharray="2 3")


def _tables(axes: _Axes, groups: Sequence[SurvivalGroup]) -> tuple[list[Element], float]:
    """Returns the numbers below the axis, and the height of the picture."""
    y = axes.shares.start_at + 62
    elements = list[Element]()
    for group in groups:
        if len(groups) > 1:
            elements.append(secondary_text(0, y, group.name, font_weight=600))
            y += _ROW_HEIGHT
        for label, numbers in _table_rows(group, has_all=len(groups) <= _MOST_WHOLE_TABLES):
            elements.append(secondary_text(0, y, label))
            elements += [secondary_text(axes.days.at(day), y, number, "middle") for day, number in _fit(axes, numbers)]
            y += _ROW_HEIGHT
    return elements, y - _ROW_HEIGHT + 8


def _table_rows(group: SurvivalGroup, *, has_all: bool) -> Iterator[tuple[str, list[tuple[float, str]]]]:
    """Yields rows of the table: a label, and numbers by day."""
    if not group.risk_table:
        yield "At risk", [(row.time, str(row.at_risk)) for row in group.curve]
        return
    yield "At risk", _numbers(group.risk_table, "at_risk")
    if has_all:
        yield "Events", _numbers(group.risk_table, "events")
        yield "Censored", _numbers(group.risk_table, "censored")


def _numbers(rows: Sequence[RiskTableRow], name: str) -> list[tuple[float, str]]:
    return [(row.time, str(getattr(row, name))) for row in rows]


def _fit(axes: _Axes, numbers: Sequence[tuple[float, str]]) -> Iterator[tuple[float, str]]:
    """Yields the numbers that have room beside the one before."""
    free_from = 0.0
    for day, number in numbers:
        x, half_width = axes.days.at(day), 4 * len(number) + 3
        if x - half_width >= free_from:
            yield day, number
            free_from = x + half_width
