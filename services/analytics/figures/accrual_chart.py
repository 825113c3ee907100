"""The picture of accrual: the curve of enrollment, the plan of the protocol, and a row for every group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from services.analytics.charts.axes import DateScale, LinearScale, tick_values
from services.analytics.charts.svg import (
    HALO,
    Element,
    element,
    grid_line,
    line,
    secondary_text,
    step_path,
    svg_number,
    text,
)
from services.analytics.charts.theme import ACCENT, GROUND, MUTED, SECOND
from services.analytics.charts.time_axis import month_labels
from services.analytics.wording.phrasing import format_number

CHART_WIDTH = 640
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 620, 44, 286
_ROW_HEIGHT = 24
_MIN_POINT_DISTANCE = 1.0
_LEAST_NAME_WIDTH, _CHARACTER_WIDTH = 170, 7.6  # of a wide font, so that names end before the bars

Steps = list[tuple[date, int]]
"""Days with the number enrolled by the end of each; nobody is enrolled before the first."""


@dataclass(frozen=True, slots=True)
class AccrualPlan:
    """The plan of the protocol as a straight line from the first enrollment: the protocol gives only its end."""

    start: date
    participants: int
    by: date

    def expected_on(self, day: date) -> int:
        """Returns the planned number on a day, rounded half up."""
        elapsed_days, total_days = (day - self.start).days, (self.by - self.start).days
        half_up = (2 * self.participants * elapsed_days + total_days) // (2 * total_days)
        return min(self.participants, max(0, half_up))


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A row below the curve: the number enrolled in a group, and the last day of enrollment if it is shown."""

    name: str
    enrolled: int
    latest: date | None


def draw_accrual(
    steps: Steps, plan: AccrualPlan | None, planned: int, cut_date: date, groups: Sequence[GroupRow]
) -> tuple[list[Element], int]:
    """Returns the elements of the picture and its height. `planned`: participants of the target, 0 without one."""
    axes = _accrual_axes(steps, planned, max(cut_date, plan.by) if plan else cut_date)
    body = [*_axes(axes), *_draw_plan(axes, plan), *_draw_curve(axes, steps, cut_date), *_group_rows(groups)]
    return body, _BOTTOM + 34 + (36 + _ROW_HEIGHT * len(groups) if groups else 0)


@dataclass(frozen=True, slots=True)
class _AccrualAxes:
    days: DateScale
    counts: LinearScale


def _accrual_axes(steps: Steps, planned: int, end: date) -> _AccrualAxes:
    enrolled = _enrolled(steps)
    start = (steps[0][0] if enrolled else end - timedelta(days=365)).replace(day=1)
    highest = tick_values(max(enrolled, planned), 5)[-1]
    return _AccrualAxes(
        days=DateScale(start=start, end=max(end, start + timedelta(days=31)), left=_LEFT, right=_RIGHT),
        counts=LinearScale(start=0, end=highest, start_at=_BOTTOM, end_at=_TOP),
    )


def _enrolled(steps: Steps) -> int:
    return steps[-1][1] if steps else 0


def _axes(axes: _AccrualAxes) -> Iterator[Element]:
    for count in tick_values(axes.counts.end, 5):
        yield grid_line(_LEFT, axes.counts.at(count), _RIGHT, axes.counts.at(count))
        yield secondary_text(_LEFT - 8, axes.counts.at(count) + 4, format_number(count), "end")
    for day, label in _axis_months(axes):
        yield line(f"M{svg_number(axes.days.at(day))} {_BOTTOM}v5", stroke=MUTED, class_="stroke-muted")
        yield secondary_text(axes.days.at(day), _BOTTOM + 20, label, "middle")
    yield line(f"M{_LEFT} {_BOTTOM}H{_RIGHT}", stroke=MUTED, class_="stroke-muted")
    yield secondary_text(0, 12, "Participants enrolled")


def _axis_months(axes: _AccrualAxes) -> list[tuple[date, str]]:
    """Returns at most eight first days of months within the axis, with their labels."""
    labels = month_labels(axes.days.start, axes.days.end, 8)
    return [(day, label) for day, label in labels if axes.days.start <= day and axes.days.at(day) <= _RIGHT]


def _draw_plan(axes: _AccrualAxes, plan: AccrualPlan | None) -> Iterator[Element]:
    if plan is None:
        return
    end_x, end_y = axes.days.at(plan.by), axes.counts.at(plan.participants)
    path = f"M{svg_number(axes.days.at(plan.start))} {_BOTTOM}L{svg_number(end_x)} {svg_number(end_y)}"
    yield line(path, stroke=SECOND, class_="stroke-second", stroke_width=1.5, stroke_dasharray="5 4")
    label = f"Target: {plan.participants} by {plan.by}"
    yield text(_RIGHT, 12, label, "end", fill=SECOND, class_="second", font_size=12)


def _draw_curve(axes: _AccrualAxes, steps: Steps, cut_date: date) -> Iterator[Element]:
    if not _enrolled(steps):
        yield secondary_text(
            (_LEFT + _RIGHT) / 2, (_TOP + _BOTTOM) / 2, "No participant is enrolled yet", "middle", font_size=14
        )
        return
    start = (axes.days.at(steps[0][0]), axes.counts.at(0))
    points = [start, *_downsample([(axes.days.at(day), axes.counts.at(count)) for day, count in steps])]
    end = max(axes.days.at(cut_date), points[-1][0])
    y = points[-1][1]
    path = step_path(points, end)
    yield element("path", d=f"{path}V{_BOTTOM}Z", fill=ACCENT, fill_opacity=0.1, class_="accent")
    yield line(path, stroke=ACCENT, class_="stroke-accent", stroke_width=2)
    yield element("circle", cx=end, cy=y, r=4, fill=ACCENT, class_="accent")
    yield text(end, y - 11, f"{steps[-1][1]} enrolled", "end", font_weight=600, **HALO)


def _downsample(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Keeps the last of the points within one unit, so that a large study draws as fast as a small one."""
    thinned: list[tuple[float, float]] = []
    for point in points:
        if thinned and point[0] - thinned[-1][0] < _MIN_POINT_DISTANCE:
            thinned[-1] = (thinned[-1][0], point[1])
        else:
            thinned.append(point)
    return thinned


def _group_rows(groups: Sequence[GroupRow]) -> Iterator[Element]:
    if not groups:
        return
    longest_name = max(len(group.name) for group in groups)
    top, left, right = _BOTTOM + 58, max(_LEAST_NAME_WIDTH, longest_name * _CHARACTER_WIDTH + 14), 470
    largest = max(group.enrolled for group in groups) or 1
    yield secondary_text(0, top, "Group")
    yield secondary_text(right + 50, top, "Enrolled", "end")
    if any(group.latest for group in groups):
        yield secondary_text(_RIGHT, top, "Latest", "end")
    for index, group in enumerate(groups, 1):
        base = top + index * _ROW_HEIGHT
        yield text(0, base, group.name)
        yield element("rect", x=left, y=base - 11, width=right - left, height=14, rx=3, fill=GROUND, class_="ground")
        if group.enrolled:
            width = (right - left) * group.enrolled / largest
            yield element("rect", x=left, y=base - 11, width=width, height=14, rx=3, fill=ACCENT, class_="accent")
        yield text(right + 50, base, str(group.enrolled), "end", font_weight=600)
        if group.latest:
            yield secondary_text(_RIGHT, base, group.latest.isoformat(), "end")
