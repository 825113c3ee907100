"""Accrual: how many were enrolled by which day, against the plan, and at which site."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import accumulate
from typing import Any

from services.analytics.charts.svg import (
    ACCENT,
    GROUND,
    HALO,
    MUTED,
    SECOND,
    Element,
    document,
    element,
    grid_line,
    line,
    secondary_text,
    step_path,
    svg_number,
    text,
    tick_values,
)
from services.analytics.charts.time_axis import month_labels
from services.analytics.figures import (
    FigureData,
    FigureTable,
    Headline,
    active_parameters,
    count_noun,
    format_number,
    provenance,
)
from services.analytics.statistics.proportions import percent

TITLE = "Accrual"

_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 44, 620, 44, 286
_ROW_HEIGHT = 24
_MIN_POINT_DISTANCE = 1.0

Steps = list[tuple[date, int]]


@dataclass(frozen=True, slots=True)
class _AccrualPlan:
    """So many participants by a day, from the first enrolment on a straight line: the protocol says no more."""

    start: date
    participants: int
    by: date

    def expected_on(self, day: date) -> int:
        elapsed_days, total_days = (day - self.start).days, (self.by - self.start).days
        half_up = (2 * self.participants * elapsed_days + total_days) // (2 * total_days)
        return min(self.participants, max(0, half_up))


@dataclass(frozen=True, slots=True)
class _AccrualScale:
    start: date
    end: date
    highest: float

    def x(self, day: date) -> float:
        return _LEFT + (_RIGHT - _LEFT) * (day - self.start).days / max((self.end - self.start).days, 1)

    def y(self, count: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * count / self.highest


def draw(figure: FigureData) -> str:
    """The curve as SVG text; divided by site, with a row for every site below it."""
    steps, plan, cut = _total_curve(figure), _plan(figure), date.fromisoformat(figure["cut"])
    scale = _scale(
        steps, target["participants"] if (target := _target(figure)) else 0, max(cut, plan.by if plan else cut)
    )
    groups = _sorted_groups(figure) if len(figure["groups"]) > 1 else []
    body = [*_axes(scale), *_draw_plan(scale, plan), *_draw_curve(scale, steps, cut), *_group_rows(groups)]
    height = _BOTTOM + 34 + (36 + _ROW_HEIGHT * len(groups) if groups else 0)
    return document("accrual", TITLE, caption(figure), (_WIDTH, height), body)


def caption(figure: FigureData) -> str:
    """How many of how many planned, and where the straight-line plan stood at the cut."""
    enrolled, plan = _total_enrolled(figure), _plan(figure)
    planned = "The target is for the whole study" if figure["target"] else "The protocol has no accrual target"
    sentences = [f"{count_noun(enrolled, 'participant')} enrolled by the data cut-off. {planned}."]
    if target := _target(figure):
        progress = f"{enrolled} / {target['participants']} = {percent(enrolled / target['participants']):.1f} %"
        sentences = [f"{progress} of the participants planned by {target['by']} are enrolled."]
    if plan:
        expected = plan.expected_on(date.fromisoformat(figure["cut"]))
        expected_people = count_noun(expected, "participant")
        sentences.append(f"Accrual at a constant rate would have reached {expected_people} by the data cut-off.")
    if len(figure["groups"]) > 1:
        counts = "; ".join(f"{name} {count}" for name, count, _ in _sorted_groups(figure))
        sentences.append(f"Enrolled by {active_parameters(figure)['by']}: {counts}.")
    return " ".join([*sentences, provenance(figure)])


def table(figure: FigureData) -> FigureTable:
    """Header, and a row for every group and day on which somebody was enrolled."""
    rows = []
    for group in figure["groups"]:
        previous = 0
        for step in group["curve"]:
            rows.append([group["name"], step["on"], str(step["cumulative"] - previous), str(step["cumulative"])])
            previous = step["cumulative"]
    return ["Group", "Date", "Enrolled", "Cumulative"], rows


def headline(figure: FigureData) -> Headline:
    """The numbers that are read first: (name, value, words)."""
    enrolled, target = _total_enrolled(figure), _target(figure)
    numbers = [("accrued", str(enrolled), f"of {target['participants']} planned" if target else "enrolled")]
    if plan := _plan(figure):
        numbers.append(
            ("planned", str(plan.expected_on(date.fromisoformat(figure["cut"]))), "expected by the data cut-off")
        )
    return numbers


def _total_enrolled(figure: FigureData) -> int:
    return sum(int(group["enrolled"]) for group in figure["groups"])


def _sorted_groups(figure: FigureData) -> list[tuple[str, int, str]]:
    """(name, enrolled, day of the latest enrolment), the largest first."""
    groups = [(g["name"], g["enrolled"], g["curve"][-1]["on"] if g["curve"] else "") for g in figure["groups"]]
    return sorted(groups, key=lambda group: (-group[1], group[0]))


def _total_curve(figure: FigureData) -> Steps:
    """The groups' curves added up: a step for every day on which somebody was enrolled."""
    new_by_day: Counter[date] = Counter()
    for group in figure["groups"]:
        previous = 0
        for step in group["curve"]:
            new_by_day[date.fromisoformat(step["on"])] += step["cumulative"] - previous
            previous = step["cumulative"]
    days = sorted(new_by_day)
    return list(zip(days, accumulate(new_by_day[day] for day in days), strict=True))


def _target(figure: FigureData) -> Mapping[str, Any] | None:
    """What the study plans, where the figure shows the whole of it: a part is not measured against the plan of all."""
    target: Mapping[str, Any] | None = figure["target"]
    return None if {"site", "subset"} & active_parameters(figure).keys() else target


def _plan(figure: FigureData) -> _AccrualPlan | None:
    steps, target = _total_curve(figure), _target(figure)
    if not steps or not target or date.fromisoformat(target["by"]) <= steps[0][0]:
        return None
    return _AccrualPlan(steps[0][0], target["participants"], date.fromisoformat(target["by"]))


def _scale(steps: Steps, planned: int, end: date) -> _AccrualScale:
    start = (steps[0][0] if steps else end - timedelta(days=365)).replace(day=1)
    highest = max(steps[-1][1] if steps else 0, planned)
    return _AccrualScale(start, max(end, start + timedelta(days=31)), tick_values(highest, 5)[-1])


def _axes(scale: _AccrualScale) -> Iterator[Element]:
    for count in tick_values(scale.highest, 5):
        yield grid_line(_LEFT, scale.y(count), _RIGHT, scale.y(count))
        yield secondary_text(_LEFT - 8, scale.y(count) + 4, format_number(count), "end")
    for day, label in _axis_months(scale):
        yield line(f"M{svg_number(scale.x(day))} {_BOTTOM}v5", stroke=MUTED, class_="stroke-muted")
        yield secondary_text(scale.x(day), _BOTTOM + 20, label, "middle")
    yield line(f"M{_LEFT} {_BOTTOM}H{_RIGHT}", stroke=MUTED, class_="stroke-muted")
    yield secondary_text(0, 12, "Participants enrolled")


def _axis_months(scale: _AccrualScale) -> list[tuple[date, str]]:
    """At most eight first days of months that do not run into the right edge."""
    labels = month_labels(scale.start, scale.end, 8)
    return [(day, label) for day, label in labels if scale.start <= day and scale.x(day) <= _RIGHT]


def _draw_plan(scale: _AccrualScale, plan: _AccrualPlan | None) -> Iterator[Element]:
    if plan is None:
        return
    end_x, end_y = scale.x(plan.by), scale.y(plan.participants)
    path = f"M{svg_number(scale.x(plan.start))} {_BOTTOM}L{svg_number(end_x)} {svg_number(end_y)}"
    yield line(path, stroke=SECOND, class_="stroke-second", stroke_width=1.5, stroke_dasharray="5 4")
    label = f"Target: {plan.participants} by {plan.by}"
    yield text(_RIGHT, 12, label, "end", fill=SECOND, class_="second", font_size=12)


def _draw_curve(scale: _AccrualScale, steps: Steps, cut: date) -> Iterator[Element]:
    if not steps:
        yield secondary_text(
            (_LEFT + _RIGHT) / 2, (_TOP + _BOTTOM) / 2, "No participant is enrolled yet", "middle", font_size=14
        )
        return
    start = (scale.x(steps[0][0]), scale.y(0))
    points = [start, *_downsample([(scale.x(day), scale.y(count)) for day, count in steps])]
    end = max(scale.x(cut), points[-1][0])
    y = points[-1][1]
    path = step_path(points, end)
    yield element("path", d=f"{path}V{_BOTTOM}Z", fill=ACCENT, fill_opacity=0.1, class_="accent")
    yield line(path, stroke=ACCENT, class_="stroke-accent", stroke_width=2)
    yield element("circle", cx=end, cy=y, r=4, fill=ACCENT, class_="accent")
    yield text(end, y - 11, f"{steps[-1][1]} enrolled", "end", font_weight=600, **HALO)


def _downsample(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Of the points within one unit only the last: a study of many thousand draws as fast as a small one."""
    thinned: list[tuple[float, float]] = []
    for point in points:
        if thinned and point[0] - thinned[-1][0] < _MIN_POINT_DISTANCE:
            thinned[-1] = (thinned[-1][0], point[1])
        else:
            thinned.append(point)
    return thinned


def _group_rows(groups: list[tuple[str, int, str]]) -> Iterator[Element]:
    if not groups:
        return
    top, left, right = _BOTTOM + 58, 170, 470
    largest = max(count for _, count, _ in groups) or 1
    yield secondary_text(0, top, "Group")
    yield secondary_text(right + 50, top, "Enrolled", "end")
    yield secondary_text(_RIGHT, top, "Latest", "end")
    for index, (name, count, latest) in enumerate(groups, 1):
        base = top + index * _ROW_HEIGHT
        yield text(0, base, name)
        yield element("rect", x=left, y=base - 11, width=right - left, height=14, rx=3, fill=GROUND, class_="ground")
        if count:
            width = (right - left) * count / largest
            yield element("rect", x=left, y=base - 11, width=width, height=14, rx=3, fill=ACCENT, class_="accent")
        yield text(right + 50, base, str(count), "end", font_weight=600)
        yield secondary_text(_RIGHT, base, latest or "–", "end")
