"""The picture of the swimmer plot: a lane for every participant, as tall as its marks need. Pure.

Kinds of marks differ in shape, and those of one shape in a letter or a number, so that no color is needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.analytics.charts.axes import LinearScale
from services.analytics.charts.svg import (
    Element,
    document,
    element,
    grid_line,
    group,
    line,
    secondary_text,
    svg_number,
    text,
)
from services.analytics.charts.theme import MUTED
from services.analytics.figures.curve_frame import axis_ticks
from services.analytics.figures.lane_marks import (
    HALF_BAR,
    LaneBar,
    course_mark,
    draw_legend,
    end_mark,
    line_mark,
    observed_bar,
    progression_mark,
    toxicity_mark,
    waiting_line,
)
from services.analytics.figures.lane_rows import SwimmerLane
from services.analytics.figures.survival_numbers import DAYS_OF_MONTH
from services.analytics.wording.phrasing import format_number, humanize

WIDTH, LEFT, RIGHT = 640, 108, 616
_LEGEND_HEIGHT, _HEADING_HEIGHT = 92, 22
_PAD, _ABOVE, _BELOW, _LINES = 4.0, 15.0, 16.0, 7.0
_MARK_DISTANCE = 13.0  # marks of one kind that are nearer become one mark
_MOST_SHARE_BEFORE = 1 / 3  # of the axis, for what is dated before the origin


@dataclass(frozen=True, slots=True)
class LaneAxis:
    """The scale of days from the origin, with its ticks in days. Days before it are drawn at its left edge."""

    scale: LinearScale
    ticks: Sequence[float]

    def at(self, day: float) -> float:
        return max(self.scale.at(day), LEFT)


def lane_axis(first_day: int, last_day: int) -> LaneAxis:
    """Returns the axis for days from the first, which is 0 or before the origin, to the last."""
    ticks = axis_ticks(last_day)
    step = ticks[1] - ticks[0]
    needed = -(first_day // step) if first_day < 0 else 0  # steps
    count = int(min(needed, max(1.0, (len(ticks) - 1) * _MOST_SHARE_BEFORE)))
    before = [-step * number for number in range(count, 0, -1)]
    ticks = [*before, *ticks]
    return LaneAxis(LinearScale(start=ticks[0], end=ticks[-1], start_at=LEFT, end_at=RIGHT), ticks)


@dataclass(frozen=True, slots=True)
class LanePicture:
    """The words of the picture, and the first and the last day of its axis.

    `by_site`: a heading stands before the first lane of each site.
    """

    name: str
    title: str
    caption: str
    axis_title: str
    first_day: int
    last_day: int
    by_site: bool


def draw_lanes(picture: LanePicture, lanes: Sequence[SwimmerLane]) -> str:
    """Returns the picture as SVG text."""
    axis, body, site = lane_axis(picture.first_day, picture.last_day), list[Element](), ""
    top = base = _LEGEND_HEIGHT + 26.0
    for lane in lanes:
        if picture.by_site and lane.site_id != site:
            site = lane.site_id
            body.append(secondary_text(0, base + 15, site, font_weight=600))
            base += _HEADING_HEIGHT
        lane_element, base = _draw_lane(lane, axis, base)
        body.append(lane_element)
    if not lanes:
        body.append(secondary_text((LEFT + RIGHT) / 2, base + 26, "No participant is counted yet", "middle"))
        base += 44
    frame = [*draw_legend(), *_axis(axis, picture.axis_title, top, base)]
    return document(picture.name, picture.title, picture.caption, (WIDTH, base + 44), [*frame, *body])


def _axis(axis: LaneAxis, title: str, top: float, bottom: float) -> Iterator[Element]:
    for day in axis.ticks:
        x, months = axis.at(day), format_number(round(day / DAYS_OF_MONTH))
        if day:
            yield grid_line(x, top, x, bottom)
        yield secondary_text(x, top - 8, months, "middle")
        yield secondary_text(x, bottom + 17, months, "middle")
    origin_line = f"M{svg_number(axis.at(0))} {svg_number(top)}V{svg_number(bottom)}"
    yield line(origin_line, stroke=MUTED, class_="stroke-muted")
    yield secondary_text((LEFT + RIGHT) / 2, bottom + 35, title, "middle")


def _draw_lane(lane: SwimmerLane, axis: LaneAxis, top: float) -> tuple[Element, float]:
    """Returns a lane, and where the next one begins."""
    middle = top + _PAD + (_ABOVE if lane.progressions else 0) + HALF_BAR
    line_rows = _line_rows(lane, axis)
    below = middle + HALF_BAR + _LINES * len(line_rows)
    bottom = below + (_BELOW if lane.toxicities else 0) + _PAD
    courses = ((course.stereotactic, _lane_bar(axis, course.started, course.ended, lane)) for course in lane.courses)
    shapes = [
        *_bar(lane, axis, middle),
        *(
            mark
            for is_stereotactic, bar in courses
            for mark in course_mark(bar, middle, is_stereotactic=is_stereotactic)
        ),
        *_draw_lines(line_rows, middle + HALF_BAR + 1),
        *(mark for x, kinds in _progressions(lane, axis) for mark in progression_mark(kinds, x, middle - HALF_BAR - 8)),
        *(mark for x, grade in _toxicities(lane, axis) for mark in toxicity_mark(grade, x, below + 8)),
        *end_mark(lane.end, axis.at(lane.exit), middle),
    ]
    words = f"{lane.participant_id}, {lane.site_id}: {humanize(lane.end)}, day {lane.exit}"
    return group(element("title", words), text(0, middle + 4, lane.participant_id, font_size=11), *shapes), bottom


def _bar(lane: SwimmerLane, axis: LaneAxis, middle: float) -> Iterator[Element]:
    """Yields the time at risk, after the time before a delayed entry."""
    if lane.entry:
        yield waiting_line(axis.at(0), axis.at(lane.entry), middle)
    yield observed_bar(axis.at(lane.entry), axis.at(lane.exit), middle)


def _lane_bar(axis: LaneAxis, start: int, end: int | None, lane: SwimmerLane) -> LaneBar:
    """Returns a bar; one without a recorded end lasts as long as the lane."""
    if end is None:
        return LaneBar(axis.at(start), axis.at(max(lane.exit, start)), is_open=True)
    return LaneBar(axis.at(start), axis.at(end))


def _line_rows(lane: SwimmerLane, axis: LaneAxis) -> list[list[LaneBar]]:
    """Returns the systemic lines as bars in rows: each in the first row in which it overlaps no other."""
    rows = list[list[LaneBar]]()
    for systemic in lane.lines:
        bar = _lane_bar(axis, systemic.started, systemic.stopped, lane)
        row = next((row for row in rows if row[-1].x2 <= bar.x1), None)
        if row is None:
            rows.append([bar])
        else:
            row.append(bar)
    return rows


def _draw_lines(rows: Sequence[Sequence[LaneBar]], top: float) -> Iterator[Element]:
    for number, row in enumerate(rows):
        yield from (line_mark(bar, top + _LINES * number) for bar in row)


def _progressions(lane: SwimmerLane, axis: LaneAxis) -> Iterator[tuple[float, set[str]]]:
    """Yields the kinds of progression at each place; marks that would overlap are one."""
    places = list[tuple[float, set[str]]]()
    for row in lane.progressions:
        x = axis.at(row.day)
        if places and x - places[-1][0] < _MARK_DISTANCE:
            places[-1][1].add(row.kind)
        else:
            places.append((x, {row.kind}))
    yield from places


def _toxicities(lane: SwimmerLane, axis: LaneAxis) -> Iterator[tuple[float, int]]:
    """Yields the highest grade at each place; marks that would overlap are one."""
    places = list[tuple[float, int]]()
    for row in lane.toxicities:
        x = axis.at(row.day)
        if places and x - places[-1][0] < _MARK_DISTANCE:
            places[-1] = (places[-1][0], max(places[-1][1], row.grade))
        else:
            places.append((x, row.grade))
    yield from places
