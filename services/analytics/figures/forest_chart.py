"""The picture of hazard ratios: a point with its interval for each group, on a logarithmic axis, and a line at 1."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from services.analytics.charts.axes import LinearScale
from services.analytics.charts.svg import Element, document, element, grid_line, line, secondary_text, svg_number, text
from services.analytics.charts.theme import ACCENT, INK, MUTED
from services.analytics.figures.hazard_ratio_numbers import ForestRow, HazardRatio
from services.analytics.figures.hazard_ratio_words import describe_ratio
from services.analytics.statistics.elementary import log
from services.analytics.wording.phrasing import format_number, humanize

_WIDTH, _AXIS_LEFT, _AXIS_RIGHT = 760, 270, 560
_COUNTS_X, _RATIO_X = 250, 576
_LABEL_X, _MOST_CHARACTERS = 12, 22
_TITLE_HEIGHT, _ROW_HEIGHT, _AXIS_HEIGHT = 26, 20, 56
_HEADING_BASE = 14
_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
"""Values that may label the axis; what lies beyond them is an arrow at its end."""
_LEAST_TICKS = (0.5, 1, 2)
_MOST_LABELS = 7


@dataclass(frozen=True, slots=True)
class _Axis:
    """The logarithmic axis from the first to the last tick."""

    ticks: Sequence[float]

    def at(self, ratio: float) -> float:
        """Returns the x coordinate of a ratio; that of the nearest end for one beyond the axis."""
        first, last, value = log(np.array([self.ticks[0], self.ticks[-1], self._limit(ratio)])).tolist()
        return LinearScale(start=first, end=last, start_at=_AXIS_LEFT, end_at=_AXIS_RIGHT).at(value)

    def covers(self, ratio: float) -> bool:
        return self._limit(ratio) == ratio

    def _limit(self, ratio: float) -> float:
        return min(max(ratio, self.ticks[0]), self.ticks[-1])


def draw_forest(
    name: str, title: str, caption: str, sections: Mapping[str, Sequence[ForestRow]], note: str = ""
) -> str:
    """Returns the picture as SVG text. `sections`: rows by title. `note`: words in place of missing estimates."""
    filled_sections = {heading: rows for heading, rows in sections.items() if rows}
    axis = _axis_of([row for rows in filled_sections.values() for row in rows])
    body, top = [*_headings(note)], _HEADING_BASE + 10.0 + (_ROW_HEIGHT if note else 0)
    bottom = top + sum(_TITLE_HEIGHT + _ROW_HEIGHT * len(rows) for rows in filled_sections.values())
    if filled_sections:
        body += _draw_axis(axis, top, bottom)
    for heading, rows in filled_sections.items():
        body.append(text(0, top + 18, heading, font_weight=600))
        top += _TITLE_HEIGHT
        for row in rows:
            body += _row(axis, row, top + _ROW_HEIGHT / 2)
            top += _ROW_HEIGHT
    return document(name, title, caption, (_WIDTH, bottom + (_AXIS_HEIGHT if filled_sections else 0)), body)


def _axis_of(ratios: Sequence[HazardRatio]) -> _Axis:
    """Returns an axis for all limits, as far as the ticks go."""
    limits = [value for ratio in ratios for value in (ratio.lower, ratio.upper) if value is not None]
    low, high = min([*limits, _LEAST_TICKS[0]]), max([*limits, _LEAST_TICKS[-1]])
    first = max((tick for tick in _TICKS if tick <= low), default=_TICKS[0])
    last = min((tick for tick in _TICKS if tick >= high), default=_TICKS[-1])
    return _Axis([tick for tick in _TICKS if first <= tick <= last])


def _headings(note: str) -> Iterator[Element]:
    yield secondary_text(_COUNTS_X, _HEADING_BASE, "Deaths / n", "end")
    yield secondary_text(_RATIO_X, _HEADING_BASE, "Hazard ratio (95 % CI)")
    if note:
        yield secondary_text(0, _HEADING_BASE + _ROW_HEIGHT, note)


def _draw_axis(axis: _Axis, top: float, bottom: float) -> Iterator[Element]:
    """Yields the grid, the line of no difference, and the labels below: those of 1, 2 and 5, or of tens alone."""
    is_labeled = len(axis.ticks) <= _MOST_LABELS
    for tick in axis.ticks:
        x = axis.at(tick)
        yield grid_line(x, top, x, bottom)
        if is_labeled or tick in (0.01, 0.1, 1, 10, 100):
            yield secondary_text(x, bottom + 16, format_number(tick), "middle")
    null = svg_number(axis.at(1))
    yield line(f"M{null} {svg_number(top)}V{svg_number(bottom)}", stroke=MUTED, class_="stroke-muted", stroke_width=1.5)
    yield secondary_text(axis.at(1) - 10, bottom + 36, "← lower hazard", "end")
    yield secondary_text(axis.at(1) + 10, bottom + 36, "higher hazard →")


def _row(axis: _Axis, row: ForestRow, y: float) -> Iterator[Element]:
    yield secondary_text(_LABEL_X, y + 4, _shorten(humanize(row.group)), font_size=13)
    yield text(_COUNTS_X, y + 4, f"{row.events} / {row.n}", "end", font_size=12)
    yield text(_RATIO_X, y + 4, describe_ratio(row, interval_words=""), font_size=12)
    if row.reason == "reference":
        x = axis.at(1)
        yield element("circle", cx=x, cy=y, r=4, fill="#fff", stroke=INK, stroke_width=1.5, class_="ground stroke-ink")
    elif row.estimate is not None and row.lower is not None and row.upper is not None:
        yield from _interval(axis, row.lower, row.upper, y)
        yield element("rect", x=axis.at(row.estimate) - 4, y=y - 4, width=8, height=8, fill=ACCENT, class_="accent")


def _interval(axis: _Axis, lower: float, upper: float, y: float) -> Iterator[Element]:
    """Yields the line from limit to limit; an arrow at an end of the axis that a limit lies beyond."""
    start, end = axis.at(lower), axis.at(upper)
    level = svg_number(y)
    yield line(f"M{svg_number(start)} {level}H{svg_number(end)}", stroke=ACCENT, class_="stroke-accent", stroke_width=2)
    for limit, x, back in ((lower, start, 5), (upper, end, -5)):
        if not axis.covers(limit):
            barb = svg_number(x + back)
            head = f"M{barb} {svg_number(y - 4)}L{svg_number(x)} {level}L{barb} {svg_number(y + 4)}"
            yield line(head, stroke=ACCENT, class_="stroke-accent", stroke_width=2)


def _shorten(label: str) -> str:
    """Returns a label that ends before the counts begin; the table has all of it."""
    return label if len(label) <= _MOST_CHARACTERS else f"{label[: _MOST_CHARACTERS - 1]}…"
