"""Locoregional and distant control: the incidence of a failure of each participant, with death competing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import ClassVar, Literal, Self

from pydantic import Field, PrivateAttr

from services.analytics.disclosure.declaration import Disclosure
from services.analytics.endpoints.origins import ORIGIN_WORDS, chosen_origin
from services.analytics.endpoints.progression_control import (
    Failure,
    count_deaths_after_gap,
    other_progression_control_readings,
    progression_control,
)
from services.analytics.figures.comparison_words import describe_comparison
from services.analytics.figures.curve_frame import axis_ticks
from services.analytics.figures.curve_support import SUPPORT_NUMBERS, CurveFigure
from services.analytics.figures.figure import FigureContext, FigureTable, Headline
from services.analytics.figures.group_names import DIVISIONS, group_names
from services.analytics.figures.hazard_ratio_numbers import HazardRatio
from services.analytics.figures.hazard_ratio_words import CAUSE_SPECIFIC, describe_hazards, hazard_lines
from services.analytics.figures.incidence_chart import (
    IncidenceCurve,
    IncidencePicture,
    competing_curve,
    draw_incidence,
    event_curve,
)
from services.analytics.figures.incidence_numbers import (
    IncidenceComparison,
    IncidenceGroup,
    IncidencePlan,
    emptied_on,
    incidence_group,
    incidence_sensitivity,
)
from services.analytics.figures.incidence_publication import publish_incidence
from services.analytics.figures.incidence_reading import compare_groups
from services.analytics.figures.incidence_table import INCIDENCE_HEADER, incidence_rows
from services.analytics.figures.incidence_words import (
    describe_emptied,
    describe_incidences,
)
from services.analytics.figures.survival_numbers import Definition, NotCounted, SensitivityLine
from services.analytics.figures.survival_publication import LateEntries, late_entries
from services.analytics.figures.survival_words import describe_not_counted, describe_sensitivity
from services.analytics.snapshot.selection import Origin, Selection
from services.analytics.snapshot.snapshot import StudySnapshot
from services.analytics.wording.phrasing import capitalize, count_noun

COMPETING = ("death",)
_DEFINITION_WORDS = (
    "{title} from {origin}: cumulative incidence of the first evidence of {failure} (Aalen-Johansen). Death without it "
    "competes. Without either by the data cut-off, time ends on the last disease assessment, or at once if there was "
    "none."
)
"""A sentence with the places `{title}`, `{origin}` and `{failure}`."""
_GROUP_COUNTS = (
    "n",
    "events",
    "events_by_cause",
    "rate.events",
    *(f"curve.{name}" for name in ("at_risk", "events", "events_by_cause", "censored")),
    *(f"risk_table.{name}" for name in ("at_risk", "events", "competing", "censored")),
)
_GROUP_NUMBERS = ("curve.time", "curve.month")


def group_counts(member: str) -> Iterator[str]:
    """Yields the paths of the counts of participants in a member that has groups of an incidence."""
    yield from (f"{member}.{name}" for name in _GROUP_COUNTS)


def group_numbers(member: str) -> Iterator[str]:
    """Yields the paths of the other whole numbers in a member that has groups of an incidence."""
    yield from (f"{member}.{name}" for name in _GROUP_NUMBERS)


CONTROL_COUNTS = frozenset(
    {
        *group_counts("groups"),
        "not_counted.participants",
        "deaths_without_assessment",
        "sensitivity.participants",
        "sensitivity.events",
    }
)


class ProgressionControl(CurveFigure):
    """The incidence of a failure by group, with death without it competing.

    `test` and `hazard_ratios`: null at a live position, with the reason `live`; they stand at named data cuts alone.
    `deaths_without_assessment` counts deaths without a failure and with no disease assessment in the 183 days before.
    """

    NAME: ClassVar[str] = "progression-control"
    TITLE: ClassVar[str] = "Control"
    STRATIFICATIONS: ClassVar[tuple[str, ...]] = DIVISIONS
    PARAMETERS: ClassVar[frozenset[str]] = frozenset({"origin", "landmarks"})
    TABLES: ClassVar[tuple[str, ...]] = ("absence", "subject_day", "visit")
    DISCLOSURE: ClassVar[Disclosure] = Disclosure(
        counts=CONTROL_COUNTS,
        divisible=False,
        person_level=False,
        other_numbers=SUPPORT_NUMBERS | {*group_numbers("groups"), "definition.version", "test.df"},
    )
    FAILURE: ClassVar[Failure]
    EVENT_NOUN: ClassVar[str]
    EVENT_WORDS: ClassVar[str]
    """The failure in words, as they follow "first evidence of"."""
    DEFINITION: ClassVar[Definition]

    origin: Origin
    definition: Definition
    groups: tuple[IncidenceGroup, ...]
    test: IncidenceComparison | None = Field(default=None, description="only with `by`, at named data cuts")
    hazard_ratios: tuple[HazardRatio, ...] | None = Field(
        default=None,
        description="only with `by`, at named data cuts: cause-specific, of each group against the largest",
    )
    reason: Literal["live"] | None = Field(default=None, description="the reason for neither")
    not_counted: tuple[NotCounted, ...]
    sensitivity: tuple[SensitivityLine, ...] = ()
    warnings: tuple[Literal["risk_set_emptied"], ...] = ()
    deaths_without_assessment: int | None = Field(default=None, description="not for readers")
    _late_entries: dict[str, LateEntries] = PrivateAttr(default_factory=dict)

    @classmethod
    def _compute(cls, snapshot: StudySnapshot, selection: Selection) -> Self:
        times = progression_control(snapshot, selection, cls.FAILURE)
        plan = IncidencePlan(COMPETING, selection.landmarks, axis_ticks(int(times.observations.exits.max(initial=0))))
        by_group = {name: times.of_group(name) for name in group_names(snapshot, selection, times.groups)}
        groups = tuple(incidence_group(name, part, plan) for name, part in by_group.items())
        figure = cls(
            origin=chosen_origin(snapshot, selection),
            definition=cls.DEFINITION,
            groups=groups,
            not_counted=tuple(
                NotCounted(reason=reason, participants=count) for reason, count in times.not_counted.items() if count
            ),
            sensitivity=tuple(
                incidence_sensitivity(name, reading, plan)
                for name, reading in other_progression_control_readings(snapshot, selection, cls.FAILURE, times)
            ),
            warnings=("risk_set_emptied",) if any(map(emptied_on, groups)) else (),
            deaths_without_assessment=count_deaths_after_gap(snapshot, selection, cls.FAILURE, times),
            imputed_dates=times.imputed_dates,
            left_out=selection.count_excluded(snapshot),
        )
        if selection.by:
            comparison = compare_groups(times, list(by_group), is_named_cut=selection.is_named_cut)
            figure = figure.model_copy(update=comparison)
        figure._late_entries = {name: late_entries(part) for name, part in by_group.items()}
        return figure._with_support(snapshot, selection, times)

    def published(self, minimum: int, cut_date: date) -> Self:
        """Returns life tables in place of the curves, without tests, bands, and other readings."""
        figure = type(self)(
            origin=self.origin,
            definition=self.definition,
            groups=tuple(
                publish_incidence(group, self._late_entries.get(group.name, ()), minimum) for group in self.groups
            ),
            not_counted=self.not_counted,
            imputed_dates=self.imputed_dates,
            left_out=self.left_out,
        )
        return self._publish_support(figure, minimum)

    def _drawn_groups(self) -> Sequence[IncidenceGroup]:
        return self.groups

    def caption(self, context: FigureContext) -> str:
        """Returns what is counted, the incidences, who is not counted, and other readings."""
        sentences = [
            _DEFINITION_WORDS.format(title=self.TITLE, origin=ORIGIN_WORDS[self.origin], failure=self.EVENT_WORDS),
            *describe_incidences(self.groups, self.EVENT_NOUN, "death without it"),
            *describe_comparison(self.test),
            *describe_hazards(self.hazard_ratios, CAUSE_SPECIFIC),
            *describe_emptied(self.groups),
            *self._describe_support(),
            *describe_gap(self.deaths_without_assessment),
            *describe_not_counted(self.not_counted),
            *describe_sensitivity(self.sensitivity, self.EVENT_NOUN),
        ]
        return " ".join([*sentences, self.provenance(context)])

    def headline(self, context: FigureContext) -> Headline:
        return incidence_headline(self.groups, self.EVENT_NOUN)

    def table(self) -> FigureTable:
        """Returns a row for every row of every curve."""
        return list(INCIDENCE_HEADER), list(incidence_rows(self.groups))

    def draw(self, context: FigureContext) -> str:
        """Returns the incidences as SVG text, with the numbers at risk below them."""
        picture = IncidencePicture(
            name=self.NAME,
            title=self.TITLE,
            caption=self.caption(context),
            axis_title=f"Months from {ORIGIN_WORDS[self.origin]}",
            curves=[*self._curves()],
            groups=self.groups,
            marks=self._marks(hazard_lines(self.hazard_ratios, CAUSE_SPECIFIC)),
        )
        return draw_incidence(picture)

    def _curves(self) -> Iterator[IncidenceCurve]:
        """Yields a curve for each group; an undivided figure also has death without failure."""
        if len(self.groups) != 1:
            yield from (event_curve(f"{group.name} ({group.events} / {group.n})", group) for group in self.groups)
            return
        (group,) = self.groups
        yield event_curve(f"{capitalize(self.EVENT_NOUN)} ({group.events} / {group.n})", group)
        yield competing_curve(f"Death without it ({group.events_by_cause['death']} / {group.n})", group)


def describe_gap(deaths: int | None) -> Iterator[str]:
    """Yields the deaths long after the last disease assessment."""
    if deaths:
        yield f"{count_noun(deaths, 'death')} without failure had no disease assessment in the 183 days before."


def incidence_headline(groups: tuple[IncidenceGroup, ...], event_noun: str) -> Headline:
    """Returns the failures and the deaths without one, of all groups."""
    n, events = sum(group.n for group in groups), sum(group.events for group in groups)
    deaths = sum(group.events_by_cause["death"] for group in groups)
    return [
        ("failures", str(events), f"{event_noun}s of {n} at risk"),
        ("deaths", str(deaths), "deaths without it"),
    ]
