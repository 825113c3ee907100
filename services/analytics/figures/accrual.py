"""Accrual: how many were enrolled by which day, against the plan, and at which site."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import accumulate
from typing import Any

from services.analytics.figures import Figure, Headline, Table, counted, parameters, plain, provenance
from services.analytics.figures.calendar import months
from services.analytics.figures.svg import (
    ACCENT,
    GROUND,
    HALO,
    MUTED,
    SECOND,
    Element,
    element,
    line,
    number,
    picture,
    quiet,
    rule,
    staircase,
    text,
    ticks,
)
from services.analytics.statistics.proportions import percent

TITLE = "Accrual"

_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 44, 620, 44, 286
_ROW = 24
_PIXEL = 1.0

Steps = list[tuple[date, int]]


@dataclass(frozen=True, slots=True)
class _Plan:
    """So many participants by a day, from the first enrolment on a straight line: the protocol says no more."""

    start: date
    participants: int
    by: date

    def on(self, day: date) -> int:
        elapsed, whole = (day - self.start).days, (self.by - self.start).days
        half_up = (2 * self.participants * elapsed + whole) // (2 * whole)
        return min(self.participants, max(0, half_up))


@dataclass(frozen=True, slots=True)
class _Scale:
    start: date
    end: date
    highest: float

    def x(self, day: date) -> float:
        return _LEFT + (_RIGHT - _LEFT) * (day - self.start).days / max((self.end - self.start).days, 1)

    def y(self, count: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * count / self.highest


def draw(figure: Figure) -> str:
    """The curve as SVG text; divided by site, with a row for every site below it."""
    steps, plan, cut = _all(figure), _plan(figure), date.fromisoformat(figure["cut"])
    scale = _scale(
        steps, target["participants"] if (target := _target(figure)) else 0, max(cut, plan.by if plan else cut)
    )
    divided = _groups(figure) if len(figure["groups"]) > 1 else []
    body = [*_axes(scale), *_planned(scale, plan), *_enrolled(scale, steps, cut), *_sites(divided)]
    height = _BOTTOM + 34 + (36 + _ROW * len(divided) if divided else 0)
    return picture("accrual", TITLE, caption(figure), (_WIDTH, height), body)


def caption(figure: Figure) -> str:
    """How many of how many planned, and where the straight-line plan stood at the cut."""
    enrolled, plan = _enrolled_in_all(figure), _plan(figure)
    planned = "The target is for the whole study" if figure["target"] else "The protocol has no accrual target"
    sentences = [f"{counted(enrolled, 'participant')} enrolled by the data cut-off. {planned}."]
    if target := _target(figure):
        of = f"{enrolled} / {target['participants']} = {percent(enrolled / target['participants']):.1f} %"
        sentences = [f"{of} of the participants planned by {target['by']} are enrolled."]
    if plan:
        expected = plan.on(date.fromisoformat(figure["cut"]))
        people = counted(expected, "participant")
        sentences.append(f"Accrual at a constant rate would have reached {people} by the data cut-off.")
    if len(figure["groups"]) > 1:
        counts = "; ".join(f"{name} {count}" for name, count, _ in _groups(figure))
        sentences.append(f"Enrolled by {parameters(figure)['by']}: {counts}.")
    return " ".join([*sentences, provenance(figure)])


def table(figure: Figure) -> Table:
    """Header, and a row for every group and day on which somebody was enrolled."""
    rows = []
    for group in figure["groups"]:
        before = 0
        for step in group["curve"]:
            rows.append([group["name"], step["on"], str(step["cumulative"] - before), str(step["cumulative"])])
            before = step["cumulative"]
    return ["Group", "Date", "Enrolled", "Cumulative"], rows


def headline(figure: Figure) -> Headline:
    """The numbers that are read first: (name, value, words)."""
    enrolled, target = _enrolled_in_all(figure), _target(figure)
    numbers = [("accrued", str(enrolled), f"of {target['participants']} planned" if target else "enrolled")]
    if plan := _plan(figure):
        numbers.append(("planned", str(plan.on(date.fromisoformat(figure["cut"]))), "expected by the data cut-off"))
    return numbers


def _enrolled_in_all(figure: Figure) -> int:
    return sum(int(group["enrolled"]) for group in figure["groups"])


def _groups(figure: Figure) -> list[tuple[str, int, str]]:
    """(name, enrolled, day of the latest enrolment), the largest first."""
    named = [(g["name"], g["enrolled"], g["curve"][-1]["on"] if g["curve"] else "") for g in figure["groups"]]
    return sorted(named, key=lambda group: (-group[1], group[0]))


def _all(figure: Figure) -> Steps:
    """The groups' curves added up: a step for every day on which somebody was enrolled."""
    new: Counter[date] = Counter()
    for group in figure["groups"]:
        before = 0
        for step in group["curve"]:
            new[date.fromisoformat(step["on"])] += step["cumulative"] - before
            before = step["cumulative"]
    days = sorted(new)
    return list(zip(days, accumulate(new[day] for day in days), strict=True))


def _target(figure: Figure) -> Mapping[str, Any] | None:
    """What the study plans, where the figure shows the whole of it: a part is not measured against the plan of all."""
    target: Mapping[str, Any] | None = figure["target"]
    return None if {"site", "subset"} & parameters(figure).keys() else target


def _plan(figure: Figure) -> _Plan | None:
    steps, target = _all(figure), _target(figure)
    if not steps or not target or date.fromisoformat(target["by"]) <= steps[0][0]:
        return None
    return _Plan(steps[0][0], target["participants"], date.fromisoformat(target["by"]))


def _scale(steps: Steps, planned: int, end: date) -> _Scale:
    start = (steps[0][0] if steps else end - timedelta(days=365)).replace(day=1)
    highest = max(steps[-1][1] if steps else 0, planned)
    return _Scale(start, max(end, start + timedelta(days=31)), ticks(highest, 5)[-1])


def _axes(scale: _Scale) -> Iterator[Element]:
    for count in ticks(scale.highest, 5):
        yield rule(_LEFT, scale.y(count), _RIGHT, scale.y(count))
        yield quiet(_LEFT - 8, scale.y(count) + 4, plain(count), "end")
    for day, label in _calendar(scale):
        yield line(f"M{number(scale.x(day))} {_BOTTOM}v5", stroke=MUTED, class_="stroke-muted")
        yield quiet(scale.x(day), _BOTTOM + 20, label, "middle")
    yield line(f"M{_LEFT} {_BOTTOM}H{_RIGHT}", stroke=MUTED, class_="stroke-muted")
    yield quiet(0, 12, "Participants enrolled")


def _calendar(scale: _Scale) -> list[tuple[date, str]]:
    """At most eight first days of months that do not run into the right edge."""
    named = months(scale.start, scale.end, 8)
    return [(day, label) for day, label in named if scale.start <= day and scale.x(day) <= _RIGHT]


def _planned(scale: _Scale, plan: _Plan | None) -> Iterator[Element]:
    if plan is None:
        return
    end_x, end_y = scale.x(plan.by), scale.y(plan.participants)
    path = f"M{number(scale.x(plan.start))} {_BOTTOM}L{number(end_x)} {number(end_y)}"
    yield line(path, stroke=SECOND, class_="stroke-second", stroke_width=1.5, stroke_dasharray="5 4")
    words = f"Target: {plan.participants} by {plan.by}"
    yield text(_RIGHT, 12, words, "end", fill=SECOND, class_="second", font_size=12)


def _enrolled(scale: _Scale, steps: Steps, cut: date) -> Iterator[Element]:
    if not steps:
        yield quiet(
            (_LEFT + _RIGHT) / 2, (_TOP + _BOTTOM) / 2, "No participant is enrolled yet", "middle", font_size=14
        )
        return
    start = (scale.x(steps[0][0]), scale.y(0))
    points = [start, *_thinned([(scale.x(day), scale.y(count)) for day, count in steps])]
    end = max(scale.x(cut), points[-1][0])
    y = points[-1][1]
    path = staircase(points, end)
    yield element("path", d=f"{path}V{_BOTTOM}Z", fill=ACCENT, fill_opacity=0.1, class_="accent")
    yield line(path, stroke=ACCENT, class_="stroke-accent", stroke_width=2)
    yield element("circle", cx=end, cy=y, r=4, fill=ACCENT, class_="accent")
    yield text(end, y - 11, f"{steps[-1][1]} enrolled", "end", font_weight=600, **HALO)


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Of the points within one unit only the last: a study of many thousand draws as fast as a small one."""
    kept: list[tuple[float, float]] = []
    for point in points:
        if kept and point[0] - kept[-1][0] < _PIXEL:
            kept[-1] = (kept[-1][0], point[1])
        else:
            kept.append(point)
    return kept


def _sites(divided: list[tuple[str, int, str]]) -> Iterator[Element]:
    if not divided:
        return
    top, left, right = _BOTTOM + 58, 170, 470
    most = max(count for _, count, _ in divided) or 1
    yield quiet(0, top, "Group")
    yield quiet(right + 50, top, "Enrolled", "end")
    yield quiet(_RIGHT, top, "Latest", "end")
    for index, (name, count, latest) in enumerate(divided, 1):
        base = top + index * _ROW
        yield text(0, base, name)
        yield element("rect", x=left, y=base - 11, width=right - left, height=14, rx=3, fill=GROUND, class_="ground")
        if count:
            width = (right - left) * count / most
            yield element("rect", x=left, y=base - 11, width=width, height=14, rx=3, fill=ACCENT, class_="accent")
        yield text(right + 50, base, str(count), "end", font_weight=600)
        yield quiet(_RIGHT, base, latest or "–", "end")
