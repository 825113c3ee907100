"""Accrual: participants enrolled by day, against the plan of the protocol, and by site, sex or subset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import accumulate, pairwise
from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import BaseModel, ConfigDict

from services.analytics.charts.axes import DateScale, LinearScale, tick_values
from services.analytics.charts.svg import (
    HALO,
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
from services.analytics.charts.theme import ACCENT, GROUND, MUTED, SECOND
from services.analytics.charts.time_axis import month_labels
from services.analytics.figures.disclosure import NotParticipants, ParticipantCount, Stratum, WithheldWith
from services.analytics.figures.figure import Figure, FigureContext, FigureTable, Headline
from services.analytics.snapshot.columns import Column, day_of_number
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import StudySnapshot
from services.analytics.statistics.proportions import percent
from services.analytics.wording.phrasing import count_noun, format_number
from shared.gate.study_timeline import protocol_on
from shared.protocol.protocol import AccrualTarget

_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 44, 620, 44, 286
_ROW_HEIGHT = 24
_MIN_POINT_DISTANCE = 1.0

Steps = list[tuple[date, int]]
"""Days with an enrollment, and the number enrolled by the end of each."""


class AccrualStep(BaseModel):
    """A day with an enrollment, and the number enrolled by its end."""

    model_config = ConfigDict(frozen=True)

    on: date
    cumulative: int


class AccrualGroup(Stratum):
    """The enrollment of one group, day by day."""

    enrolled: ParticipantCount
    curve: Annotated[tuple[AccrualStep, ...], WithheldWith(("enrolled",), replacement=[])]


@dataclass(frozen=True, slots=True)
class _AccrualPlan:
    """The plan of the protocol as a straight line from the first enrollment: the protocol gives only its end."""

    start: date
    participants: int
    by: date

    def expected_on(self, day: date) -> int:
        """Returns the planned number on a day, rounded half up."""
        elapsed_days, total_days = (day - self.start).days, (self.by - self.start).days
        half_up = (2 * self.participants * elapsed_days + total_days) // (2 * total_days)
        return min(self.participants, max(0, half_up))


class Accrual(Figure):
    """The number enrolled by day and group, and the target of the protocol.

    The curve of a group has a step for every day with an enrollment.
    """

    NAME: ClassVar[str] = "accrual"
    TITLE: ClassVar[str] = "Accrual"
    STRATIFICATIONS: ClassVar[tuple[str, ...]] = ("site", "sex", "subset")

    target: Annotated[AccrualTarget | None, NotParticipants()]
    groups: tuple[AccrualGroup, ...]

    @classmethod
    def compute(cls, snapshot: StudySnapshot, selection: Selection) -> Self:
        enrolled = snapshot.subjects["enrolled_on"]
        counted = selection.subjects(snapshot) & (enrolled <= selection.cut_number)
        names = selection.group_names(snapshot)
        groups = sorted(set(names[counted])) if selection.by else ["all"]
        return cls(
            target=protocol_on(snapshot.study, selection.cut_date).accrual_target,
            groups=tuple(_group(name, enrolled[counted & (names == name)]) for name in groups),
            imputed_dates=int(np.sum(counted & (snapshot.subjects["enrolled_precision"] > 0))),
            left_out=selection.count_excluded(snapshot),
        )

    def caption(self, context: FigureContext) -> str:
        """Returns the number enrolled, the share of the target, and where the plan was at the data cut-off."""
        enrolled, plan = self._enrolled(), self._plan(context)
        planned = "The target is for the whole study" if self.target else "The protocol has no accrual target"
        sentences = [f"{count_noun(enrolled, 'participant')} enrolled by the data cut-off. {planned}."]
        if target := self._applicable_target(context):
            progress = f"{enrolled} / {target.participants} = {percent(enrolled / target.participants):.1f} %"
            sentences = [f"{progress} of the participants planned by {target.by} are enrolled."]
        if plan:
            expected = count_noun(plan.expected_on(context.cut_date), "participant")
            sentences.append(f"Accrual at a constant rate would have reached {expected} by the data cut-off.")
        if len(self.groups) > 1:
            counts = "; ".join(f"{group.name} {group.enrolled}" for group in _largest_first(self.groups))
            sentences.append(f"Enrolled by {context.filters.by}: {counts}.")
        return " ".join([*sentences, self.provenance(context)])

    def headline(self, context: FigureContext) -> Headline:
        target = self._applicable_target(context)
        numbers = [("accrued", str(self._enrolled()), f"of {target.participants} planned" if target else "enrolled")]
        if plan := self._plan(context):
            numbers.append(("planned", str(plan.expected_on(context.cut_date)), "expected by the data cut-off"))
        return numbers

    def table(self) -> FigureTable:
        """Returns a row for every group and day with an enrollment."""
        rows = [
            [group.name, step.on.isoformat(), str(enrolled), str(step.cumulative)]
            for group in self.groups
            for step, enrolled in _new_by_step(group)
        ]
        return ["Group", "Date", "Enrolled", "Cumulative"], rows

    def draw(self, context: FigureContext) -> str:
        """Returns the curve as SVG text; a divided figure has a row for every group below it."""
        steps, plan, target = self._total_curve(), self._plan(context), self._applicable_target(context)
        end = max(context.cut_date, plan.by) if plan else context.cut_date
        axes = _accrual_axes(steps, target.participants if target else 0, end)
        groups = _largest_first(self.groups) if len(self.groups) > 1 else []
        body = [
            *_axes(axes),
            *_draw_plan(axes, plan),
            *_draw_curve(axes, steps, context.cut_date),
            *_group_rows(groups),
        ]
        height = _BOTTOM + 34 + (36 + _ROW_HEIGHT * len(groups) if groups else 0)
        return document(self.NAME, self.TITLE, self.caption(context), (_WIDTH, height), body)

    def _enrolled(self) -> int:
        return sum(group.enrolled for group in self.groups)

    def _total_curve(self) -> Steps:
        """Returns the sum of the groups' curves."""
        new_by_day: Counter[date] = Counter()
        for group in self.groups:
            new_by_day.update({step.on: enrolled for step, enrolled in _new_by_step(group)})
        days = sorted(new_by_day)
        return list(zip(days, accumulate(new_by_day[day] for day in days), strict=True))

    def _applicable_target(self, context: FigureContext) -> AccrualTarget | None:
        """Returns the target; None for a figure of a part of the study, since the target is for the whole of it."""
        return None if {"site", "subset"} & context.filters.active().keys() else self.target

    def _plan(self, context: FigureContext) -> _AccrualPlan | None:
        steps, target = self._total_curve(), self._applicable_target(context)
        if not steps or not target or target.by <= steps[0][0]:
            return None
        return _AccrualPlan(start=steps[0][0], participants=target.participants, by=target.by)


def _group(name: str, enrolled: Column) -> AccrualGroup:
    """Returns the enrollment of a group; `enrolled`: the numbers of the days on which its members were enrolled."""
    days, counts = np.unique(enrolled, return_counts=True)
    curve = tuple(
        AccrualStep(on=day_of_number(day), cumulative=int(total))
        for day, total in zip(days, np.cumsum(counts), strict=True)
    )
    return AccrualGroup(name=name, enrolled=len(enrolled), curve=curve)


def _new_by_step(group: AccrualGroup) -> list[tuple[AccrualStep, int]]:
    """Returns every step of a curve with the number enrolled on that day."""
    totals = [0, *(step.cumulative for step in group.curve)]
    return [(step, total - previous) for step, (previous, total) in zip(group.curve, pairwise(totals), strict=True)]


def _largest_first(groups: Sequence[AccrualGroup]) -> list[AccrualGroup]:
    return sorted(groups, key=lambda group: (-group.enrolled, group.name))


@dataclass(frozen=True, slots=True)
class _AccrualAxes:
    days: DateScale
    counts: LinearScale


def _accrual_axes(steps: Steps, planned: int, end: date) -> _AccrualAxes:
    start = (steps[0][0] if steps else end - timedelta(days=365)).replace(day=1)
    highest = tick_values(max(steps[-1][1] if steps else 0, planned), 5)[-1]
    return _AccrualAxes(
        days=DateScale(start=start, end=max(end, start + timedelta(days=31)), left=_LEFT, right=_RIGHT),
        counts=LinearScale(start=0, end=highest, start_at=_BOTTOM, end_at=_TOP),
    )


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


def _draw_plan(axes: _AccrualAxes, plan: _AccrualPlan | None) -> Iterator[Element]:
    if plan is None:
        return
    end_x, end_y = axes.days.at(plan.by), axes.counts.at(plan.participants)
    path = f"M{svg_number(axes.days.at(plan.start))} {_BOTTOM}L{svg_number(end_x)} {svg_number(end_y)}"
    yield line(path, stroke=SECOND, class_="stroke-second", stroke_width=1.5, stroke_dasharray="5 4")
    label = f"Target: {plan.participants} by {plan.by}"
    yield text(_RIGHT, 12, label, "end", fill=SECOND, class_="second", font_size=12)


def _draw_curve(axes: _AccrualAxes, steps: Steps, cut_date: date) -> Iterator[Element]:
    if not steps:
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


def _group_rows(groups: Sequence[AccrualGroup]) -> Iterator[Element]:
    if not groups:
        return
    top, left, right = _BOTTOM + 58, 170, 470
    largest = max(group.enrolled for group in groups) or 1
    yield secondary_text(0, top, "Group")
    yield secondary_text(right + 50, top, "Enrolled", "end")
    yield secondary_text(_RIGHT, top, "Latest", "end")
    for index, group in enumerate(groups, 1):
        base = top + index * _ROW_HEIGHT
        yield text(0, base, group.name)
        yield element("rect", x=left, y=base - 11, width=right - left, height=14, rx=3, fill=GROUND, class_="ground")
        if group.enrolled:
            width = (right - left) * group.enrolled / largest
            yield element("rect", x=left, y=base - 11, width=width, height=14, rx=3, fill=ACCENT, class_="accent")
        yield text(right + 50, base, str(group.enrolled), "end", font_weight=600)
        latest = group.curve[-1].on.isoformat() if group.curve else "–"
        yield secondary_text(_RIGHT, base, latest, "end")
