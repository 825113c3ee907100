"""Accrual: participants enrolled by day, against the plan of the protocol, and by site, sex or subset."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date
from itertools import accumulate, pairwise
from typing import ClassVar, Self

import numpy as np
from pydantic import BaseModel, ConfigDict

from services.analytics.charts.svg import document
from services.analytics.disclosure.accrual_months import edition_days, month_ends, published_days
from services.analytics.disclosure.declaration import Disclosure
from services.analytics.disclosure.editions import DividedCut, Edition, Members, Membership
from services.analytics.figures.accrual_chart import CHART_WIDTH, AccrualPlan, GroupRow, Steps, draw_accrual
from services.analytics.figures.figure import Figure, FigureContext, FigureTable, Headline
from services.analytics.figures.group_names import DIVISIONS, group_names
from services.analytics.snapshot.columns import Column, day_of_number
from services.analytics.snapshot.groups import group_dates
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import Mask, StudySnapshot
from services.analytics.snapshot.subject_days import count_imputed_dates
from services.analytics.statistics.proportions import percent
from services.analytics.wording.phrasing import count_noun
from shared.gate.study_timeline import protocol_on
from shared.protocol.protocol import AccrualTarget


class AccrualStep(BaseModel):
    """A day, and the number enrolled by its end.

    It is a day with an enrollment, the end of a month without one, or the data cut-off. Readers get ends of months and
    the data cut-off alone.
    """

    model_config = ConfigDict(frozen=True)

    on: date
    cumulative: int


class AccrualGroup(BaseModel):
    """The enrollment of one group, day by day; `all` is the group of an undivided figure."""

    model_config = ConfigDict(frozen=True)

    name: str
    enrolled: int
    curve: tuple[AccrualStep, ...]


class Accrual(Figure):
    """The number enrolled by day and group, and the target of the protocol.

    The curve of a group has a step for every day with an enrollment, and runs flat through the ends of months without
    one to the data cut-off.
    """

    NAME: ClassVar[str] = "accrual"
    TITLE: ClassVar[str] = "Accrual"
    EXPLANATION: ClassVar[str] = (
        "The participants who were enrolled, by the day of enrollment, added up from the first day on. The "
        "target is that of the protocol for the whole study."
    )
    STRATIFICATIONS: ClassVar[tuple[str, ...]] = DIVISIONS
    DISCLOSURE: ClassVar[Disclosure] = Disclosure(
        counts=frozenset({"groups.enrolled", "groups.curve.cumulative"}),
        divisible=True,
        person_level=False,
        other_numbers=frozenset({"target.participants"}),
    )

    target: AccrualTarget | None
    groups: tuple[AccrualGroup, ...]

    @classmethod
    def _compute(cls, snapshot: StudySnapshot, selection: Selection) -> Self:
        enrolled = snapshot.subjects["enrolled_on"]
        counted = cls._counted(snapshot, selection)
        chosen = np.flatnonzero(counted)
        names = selection.group_names(snapshot)
        groups = group_names(snapshot, selection, names[counted])
        return cls(
            target=protocol_on(snapshot.study, selection.cut_date).accrual_target,
            groups=tuple(
                _group_of_column(name, enrolled[counted & (names == name)], selection.cut_date) for name in groups
            ),
            imputed_dates=count_imputed_dates(
                [
                    (chosen, enrolled[chosen], snapshot.subjects["enrolled_precision"][chosen]),
                    *group_dates(snapshot, selection.by, selection.cut_number, chosen),
                ]
            ),
            left_out=selection.count_excluded(snapshot),
        )

    @classmethod
    def _members(cls, snapshot: StudySnapshot, selection: Selection) -> Members:
        """Returns the enrolled participants, with the day of enrollment."""
        counted = cls._counted(snapshot, selection)
        numbers, days = snapshot.subjects["participant_id"][counted], snapshot.subjects["enrolled_on"][counted]
        return {
            number.decode(): Membership(group=str(group), entered_on=day_of_number(day))
            for number, group, day in zip(numbers, selection.group_names(snapshot)[counted], days, strict=True)
        }

    @staticmethod
    def _counted(snapshot: StudySnapshot, selection: Selection) -> Mask:
        return selection.subjects(snapshot) & (snapshot.subjects["enrolled_on"] <= selection.cut_number)

    @classmethod
    def edition_days(cls, cut: DividedCut, editions: Sequence[Edition]) -> tuple[date, ...] | None:
        return edition_days(cut, editions)

    def published(self, minimum: int, cut_date: date) -> Self:
        """Returns the counts at ends of months: a month with few newcomers in a group is shown with the next."""
        return self.published_on(published_days([_enrollment_days(group) for group in self.groups], cut_date, minimum))

    def published_on(self, days: Sequence[date]) -> Self:
        groups = [_group(group.name, _enrollment_days(group), days) for group in self.groups]
        return self.model_copy(update={"groups": tuple(groups)})

    def narrowed_to(self, group: str) -> Self:
        """Returns the group as the only one, under the name of an undivided figure."""
        narrowed = [part.model_copy(update={"name": "all"}) for part in self.groups if part.name == group]
        return self.model_copy(update={"groups": (*narrowed,) or (self._nobody(),)})

    def _nobody(self) -> AccrualGroup:
        """Returns the group of nobody, which has the last day of the others."""
        days = {step.on for group in self.groups for step in group.curve[-1:]}
        return _group("all", [], days)

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
        """Returns a row for every group and step."""
        rows = [
            [group.name, step.on.isoformat(), str(enrolled), str(step.cumulative)]
            for group in self.groups
            for step, enrolled in _new_by_step(group)
        ]
        return ["Group", "Date", "Enrolled", "Cumulative"], rows

    def draw(self, context: FigureContext) -> str:
        """Returns the curve as SVG text; a divided figure has a row for every group below it."""
        target = self._applicable_target(context)
        groups = _largest_first(self.groups) if len(self.groups) > 1 else []
        body, height = draw_accrual(
            self._total_curve(),
            self._plan(context),
            target.participants if target else 0,
            context.cut_date,
            [GroupRow(group.name, group.enrolled, self._latest(group, context)) for group in groups],
        )
        return document(self.NAME, self.TITLE, self.caption(context), (CHART_WIDTH, height), body)

    @staticmethod
    def _latest(group: AccrualGroup, context: FigureContext) -> date | None:
        """Returns the day of the last enrollment; None in a publication, whose steps are no days of enrollment."""
        return None if context.publication else max(_enrollment_days(group), default=None)

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

    def _plan(self, context: FigureContext) -> AccrualPlan | None:
        """Returns the plan from the first enrollment on; none in a publication, whose first step is later."""
        steps, target = self._total_curve(), self._applicable_target(context)
        if context.publication or not self._enrolled() or not target or target.by <= steps[0][0]:
            return None
        return AccrualPlan(start=steps[0][0], participants=target.participants, by=target.by)


def _group_of_column(name: str, enrolled: Column, cut: date) -> AccrualGroup:
    """Returns the enrollment of a group; `enrolled`: the numbers of the days on which its members were enrolled."""
    numbers, counts = np.unique(enrolled, return_counts=True)
    totals = dict(zip(map(day_of_number, numbers.tolist()), np.cumsum(counts).tolist(), strict=True))
    last, curve = 0, list[AccrualStep]()
    for day in sorted(totals.keys() | set(_quiet_days(totals.keys(), cut))):
        last = totals.get(day, last)
        curve.append(AccrualStep(on=day, cumulative=last))
    return AccrualGroup(name=name, enrolled=len(enrolled), curve=tuple(curve))


def _quiet_days(enrolled_on: Collection[date], cut: date) -> Iterator[date]:
    """Yields the ends of the months without an enrollment since the first one, and the cut-off."""
    busy = {(day.year, day.month) for day in enrolled_on}
    if enrolled_on:
        yield from (end for end in month_ends(min(enrolled_on), cut) if (end.year, end.month) not in busy)
    yield cut


def _group(name: str, enrollment_days: Sequence[date], steps: Iterable[date]) -> AccrualGroup:
    """Returns a group whose curve has a step at each of the days."""
    days = sorted(enrollment_days)
    curve = tuple(AccrualStep(on=step, cumulative=bisect_right(days, step)) for step in sorted(steps))
    return AccrualGroup(name=name, enrolled=len(days), curve=curve)


def _enrollment_days(group: AccrualGroup) -> list[date]:
    """Returns the day of every enrollment of a group."""
    return [step.on for step, enrolled in _new_by_step(group) for _ in range(enrolled)]


def _new_by_step(group: AccrualGroup) -> list[tuple[AccrualStep, int]]:
    """Returns every step of a curve with the number enrolled on that day."""
    totals = [0, *(step.cumulative for step in group.curve)]
    return [(step, total - previous) for step, (previous, total) in zip(group.curve, pairwise(totals), strict=True)]


def _largest_first(groups: Sequence[AccrualGroup]) -> list[AccrualGroup]:
    return sorted(groups, key=lambda group: (-group.enrolled, group.name))
