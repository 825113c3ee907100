"""The base of survival figures: curves by group, sensitivity lines, who is not counted, and what readers see."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from datetime import date
from typing import ClassVar, Literal, Self

from pydantic import Field, PrivateAttr

from services.analytics.disclosure.declaration import Disclosure
from services.analytics.disclosure.editions import Members
from services.analytics.endpoints.origins import ORIGIN_WORDS, chosen_origin
from services.analytics.endpoints.sensitivity import SensitivityName
from services.analytics.endpoints.time_to_event import EndpointTimes
from services.analytics.figures.comparison_words import describe_comparison
from services.analytics.figures.curve_frame import axis_ticks
from services.analytics.figures.curve_support import SUPPORT_NUMBERS, CurveFigure
from services.analytics.figures.figure import FigureContext, FigureTable, Headline
from services.analytics.figures.group_names import DIVISIONS, group_names
from services.analytics.figures.hazard_ratio_numbers import HazardRatio, compare_hazards
from services.analytics.figures.hazard_ratio_words import describe_hazards, hazard_lines
from services.analytics.figures.literature_marks import describe_literature
from services.analytics.figures.survival_chart import draw_survival
from services.analytics.figures.survival_numbers import (
    Definition,
    GroupComparison,
    Interval,
    NotCounted,
    SensitivityLine,
    SurvivalGroup,
    TimedInterval,
    sensitivity_line,
    survival_group,
)
from services.analytics.figures.survival_publication import (
    LateEntries,
    late_entries,
    publish_group,
    survival_members,
)
from services.analytics.figures.survival_words import (
    describe_emptied,
    describe_estimates,
    describe_months,
    describe_not_counted,
    describe_sensitivity,
    emptied_on,
)
from services.analytics.snapshot.selection import Origin, Selection
from services.analytics.snapshot.snapshot import StudySnapshot
from services.analytics.statistics.log_rank import log_rank

SURVIVAL_DISCLOSURE = Disclosure(
    counts=frozenset(
        {
            "groups.n",
            "groups.events",
            *(f"groups.curve.{name}" for name in ("at_risk", "events", "censored")),
            *(f"groups.risk_table.{name}" for name in ("at_risk", "events", "censored")),
            "not_counted.participants",
            "sensitivity.participants",
            "sensitivity.events",
        }
    ),
    divisible=True,
    person_level=False,
    other_numbers=SUPPORT_NUMBERS | {"groups.curve.time", "groups.curve.month", "definition.version", "test.df"},
)
_TABLE_MEMBERS = ("time", "at_risk", "events", "censored", "estimate", "lower", "upper")


class SurvivalFigure(CurveFigure):
    """A survival curve for each group, with what it depends on.

    `test` and `hazard_ratios`: null at a live position, with the reason `live`; they stand at named data cuts alone.
    """

    NAME: ClassVar[str] = "survival"
    TITLE: ClassVar[str] = "Survival"
    STRATIFICATIONS: ClassVar[tuple[str, ...]] = DIVISIONS
    PARAMETERS: ClassVar[frozenset[str]] = frozenset({"origin", "landmarks"})
    DISCLOSURE: ClassVar[Disclosure] = SURVIVAL_DISCLOSURE
    HAS_TEST: ClassVar[bool] = True
    """True if the groups of a division are compared, at named data cuts."""
    IS_MARKED: ClassVar[bool] = True
    """True if the curve is marked where follow-up supports it less: it shows too many events there."""
    EVENT_NOUN: ClassVar[str]
    DEFINITION: ClassVar[Definition]
    DEFINITION_WORDS: ClassVar[str]
    """A sentence with the place `{origin}`: what is counted from when to when."""

    origin: Origin
    definition: Definition
    groups: tuple[SurvivalGroup, ...]
    test: GroupComparison | None = Field(default=None, description="only with `by`, at named data cuts")
    hazard_ratios: tuple[HazardRatio, ...] | None = Field(
        default=None, description="only with `by`, at named data cuts: of each group against the largest"
    )
    reason: Literal["live"] | None = Field(default=None, description="the reason for neither")
    not_counted: tuple[NotCounted, ...]
    sensitivity: tuple[SensitivityLine, ...] = ()
    warnings: tuple[Literal["risk_set_emptied"], ...] = ()
    _late_entries: dict[str, LateEntries] = PrivateAttr(default_factory=dict)

    @classmethod
    @abstractmethod
    def _times(cls, snapshot: StudySnapshot, selection: Selection) -> EndpointTimes:
        """Returns the times of the endpoint."""

    @classmethod
    @abstractmethod
    def _readings(
        cls, snapshot: StudySnapshot, selection: Selection, times: EndpointTimes
    ) -> Iterator[tuple[SensitivityName, EndpointTimes]]:
        """Yields the times by other readings that concern somebody who is counted, undivided."""

    @classmethod
    def _own_members(cls, snapshot: StudySnapshot, selection: Selection, times: EndpointTimes) -> dict[str, object]:
        """Returns the members that a figure has beside those of every survival figure."""
        return {}

    @classmethod
    def _compute(cls, snapshot: StudySnapshot, selection: Selection) -> Self:
        times = cls._times(snapshot, selection)
        ticks = axis_ticks(int(times.observations.exits.max(initial=0)))
        by_group = {name: times.of_group(name) for name in group_names(snapshot, selection, times.groups)}
        groups = [survival_group(name, part, selection.landmarks, ticks) for name, part in by_group.items()]
        figure = cls(
            origin=chosen_origin(snapshot, selection),
            definition=cls.DEFINITION,
            groups=tuple(groups),
            not_counted=tuple(
                NotCounted(reason=reason, participants=count) for reason, count in times.not_counted.items() if count
            ),
            sensitivity=tuple(
                sensitivity_line(name, reading, selection.landmarks)
                for name, reading in cls._readings(snapshot, selection, times)
            ),
            warnings=("risk_set_emptied",) if any(map(emptied_on, groups)) else (),
            imputed_dates=times.imputed_dates,
            left_out=selection.count_excluded(snapshot),
        )
        comparison = _compare(selection, times, list(by_group)) if selection.by and cls.HAS_TEST else {}
        figure = figure.model_copy(update={**cls._own_members(snapshot, selection, times), **comparison})
        figure._late_entries = {name: late_entries(part) for name, part in by_group.items()}
        return figure._with_support(snapshot, selection, times) if cls.IS_MARKED else figure

    def _drawn_groups(self) -> Sequence[SurvivalGroup]:
        return self.groups

    @classmethod
    def _members(cls, snapshot: StudySnapshot, selection: Selection) -> Members:
        return survival_members(snapshot, cls._times(snapshot, selection))

    def published(self, minimum: int, cut_date: date) -> Self:
        """Returns life tables in place of the curves, without tests, bands, and other readings."""
        groups = tuple(publish_group(group, self._late_entries.get(group.name, ()), minimum) for group in self.groups)
        figure = type(self)(
            origin=self.origin,
            definition=self.definition,
            groups=groups,
            not_counted=self.not_counted,
            imputed_dates=self.imputed_dates,
            left_out=self.left_out,
        )
        return self._publish_support(figure, minimum)

    def narrowed_to(self, group: str) -> Self:
        """Returns the group as the only one, under the name of an undivided figure."""
        chosen = [part.model_copy(update={"name": "all"}) for part in self.groups if part.name == group]
        return self.model_copy(update={"groups": (*chosen,) or (self._nobody(),)})

    def _nobody(self) -> SurvivalGroup:
        """Returns the group of nobody."""
        undefined = {"estimate": None, "lower": None, "upper": None}
        months = [landmark.time for group in self.groups[:1] for landmark in group.landmarks]
        landmarks = tuple(TimedInterval(time=time, **undefined) for time in months)
        return SurvivalGroup(name="all", n=0, events=0, median=Interval(**undefined), curve=(), landmarks=landmarks)

    def caption(self, context: FigureContext) -> str:
        """Returns what is counted, the estimates, who is not counted, and other readings."""
        sentences = [
            self.DEFINITION_WORDS.format(origin=ORIGIN_WORDS[self.origin]),
            *describe_estimates(self.groups, self.EVENT_NOUN),
            *describe_emptied(self.groups),
            *self._describe_support(),
            *describe_comparison(self.test),
            *describe_hazards(self.hazard_ratios),
            *describe_not_counted(self.not_counted),
            *describe_sensitivity(self.sensitivity, self.EVENT_NOUN),
            *describe_literature(context.literature, self.origin),
        ]
        return " ".join([*sentences, self.provenance(context)])

    def headline(self, context: FigureContext) -> Headline:
        noun, events = f"{self.EVENT_NOUN}s", sum(group.events for group in self.groups)
        if len(self.groups) > 1:
            return [(noun, str(events), noun)]
        (group,) = self.groups
        numbers = [(noun, str(events), f"{noun} of {group.n} at risk")]
        if group.n:
            numbers.append(("median", describe_months(group.median.estimate), "median, in months"))
        return numbers

    def table(self) -> FigureTable:
        """Returns a row for every row of every curve."""
        header = ["Group", "Day", "At risk", "Events", "Censored", "Estimate", "Lower limit", "Upper limit"]
        rows = [
            [group.name, *("" if (value := getattr(row, name)) is None else str(value) for name in _TABLE_MEMBERS)]
            for group in self.groups
            for row in group.curve
        ]
        return header, rows

    def draw(self, context: FigureContext) -> str:
        """Returns the curves as SVG text, with the numbers at risk below them."""
        axis_title = f"Months from {ORIGIN_WORDS[self.origin]}"
        marks, literature = self._marks(hazard_lines(self.hazard_ratios)), context.literature or ()
        return draw_survival(self.NAME, self.TITLE, self.caption(context), self.groups, axis_title, marks, literature)


def _compare(selection: Selection, times: EndpointTimes, names: Sequence[str]) -> dict[str, object]:
    """Returns the members that compare the groups; they have no values at a live position."""
    if not selection.is_named_cut:
        return {"test": None, "hazard_ratios": None, "reason": "live"}
    return {
        "test": _test(selection, times, names),
        "hazard_ratios": compare_hazards(times.observations, times.groups, names),
    }


def _test(selection: Selection, times: EndpointTimes, names: Sequence[str]) -> GroupComparison:
    codes = {name: code for code, name in enumerate(names)}
    test = log_rank(times.observations, [codes[name] for name in times.groups], len(names)).test
    return GroupComparison(
        name="Mantel-Byar" if selection.by == "subset" else "log-rank",
        statistic=test.statistic,
        df=test.df,
        p=test.p,
        reason=test.reason,
    )
