"""Severe toxicity: the incidence of a first adverse event of grade 3 or more, with death competing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import ClassVar, Literal, Self

from pydantic import Field, PrivateAttr

from services.analytics.disclosure.declaration import Disclosure
from services.analytics.endpoints.origins import ORIGIN_WORDS
from services.analytics.endpoints.severe_toxicity import SevereToxicityEndpoint
from services.analytics.endpoints.time_to_event import EndpointTimes
from services.analytics.endpoints.toxicity_findings import CLOCKS
from services.analytics.endpoints.toxicity_versions import (
    WHOLE_GROUP,
    has_several_versions,
    is_one_version,
    version_group,
)
from services.analytics.figures.comparison_words import describe_comparison
from services.analytics.figures.curve_frame import axis_ticks
from services.analytics.figures.curve_support import SUPPORT_NUMBERS, CurveFigure
from services.analytics.figures.figure import FigureContext, FigureTable, Headline
from services.analytics.figures.group_names import DIVISIONS, standing_groups
from services.analytics.figures.hazard_ratio_numbers import HazardRatio
from services.analytics.figures.hazard_ratio_words import CAUSE_SPECIFIC, describe_hazards, hazard_lines
from services.analytics.figures.incidence_chart import (
    IncidenceCurve,
    IncidencePicture,
    competing_curve,
    draw_incidence,
    event_curve,
    line_curve,
)
from services.analytics.figures.incidence_numbers import (
    IncidenceComparison,
    IncidenceGroup,
    IncidencePlan,
    IncidenceRate,
    emptied_on,
    incidence_sensitivity,
    without_curve,
)
from services.analytics.figures.incidence_publication import pool_counts, publish_counts, publish_incidence
from services.analytics.figures.incidence_reading import IncidenceReading, compare_groups, read_incidence
from services.analytics.figures.incidence_table import INCIDENCE_HEADER, incidence_rows
from services.analytics.figures.incidence_words import (
    describe_emptied,
    describe_incidences,
    describe_rate,
)
from services.analytics.figures.severe_toxicity_words import (
    COMPETING_WORDS,
    EVENT_NOUN,
    describe_deaths,
    describe_definition,
    describe_related,
    describe_sensitivity,
    describe_versions,
    describe_window,
)
from services.analytics.figures.survival_numbers import Definition, NotCounted, SensitivityLine
from services.analytics.figures.survival_publication import LateEntries, late_entries
from services.analytics.figures.survival_words import describe_not_counted
from services.analytics.snapshot.selection import Origin, Selection
from services.analytics.snapshot.snapshot import StudySnapshot

_COMPETING = ("death",)
_READING_COUNTS = (
    "groups.n",
    "groups.events",
    "groups.events_by_cause",
    "groups.rate.events",
    *(f"groups.curve.{name}" for name in ("at_risk", "events", "events_by_cause", "censored")),
    *(f"groups.risk_table.{name}" for name in ("at_risk", "events", "competing", "censored")),
    "not_counted.participants",
    "rate.events",
)
_READING_NUMBERS = ("groups.curve.time", "groups.curve.month", "test.df")


class SevereToxicity(CurveFigure):
    """The incidence of a first adverse event of grade 3 or more by group, of all causes and related to radiotherapy.

    Participants who were graded in another version of CTCAE are groups of their own; those graded in several have no
    curve. `attribution_missing` counts the
    related events that no attribution states. `deaths_without_assessment` counts deaths without severe toxicity, and
    without an adequate assessment in the 183 days before.
    """

    NAME: ClassVar[str] = "severe-toxicity"
    TITLE: ClassVar[str] = "Severe toxicity"
    EXPLANATION: ClassVar[str] = (
        "Time from the start of the index course to the first toxicity of grade 3 or higher, with death "
        "competing (Aalen and Johansen): of all causes, and related to radiotherapy. No attribution at all "
        "counts as related. All others end on the last adequate assessment."
    )
    STRATIFICATIONS: ClassVar[tuple[str, ...]] = DIVISIONS
    PARAMETERS: ClassVar[frozenset[str]] = frozenset(
        {"origin", "landmarks", "window", "late_after", "late_from", "emergent"}
    )
    ORIGINS: ClassVar[tuple[Origin, ...]] = CLOCKS
    TABLES: ClassVar[tuple[str, ...]] = ("absence", "assessment", "course", "finding", "subject_day", "visit")
    DISCLOSURE: ClassVar[Disclosure] = Disclosure(
        counts=frozenset(
            {
                *_READING_COUNTS,
                *(f"related.{name}" for name in _READING_COUNTS),
                "attribution_missing",
                "deaths_without_assessment",
                "sensitivity.participants",
                "sensitivity.events",
            }
        ),
        divisible=False,
        person_level=False,
        other_numbers=SUPPORT_NUMBERS
        | {*_READING_NUMBERS, *(f"related.{name}" for name in _READING_NUMBERS), "definition.version"},
    )
    DEFINITION: ClassVar[Definition] = Definition(id="severe-toxicity", version=2)

    origin: Origin
    definition: Definition
    groups: tuple[IncidenceGroup, ...] = Field(description="severe toxicity of all causes")
    test: IncidenceComparison | None = Field(default=None, description="only with `by`, at named data cuts")
    hazard_ratios: tuple[HazardRatio, ...] | None = Field(
        default=None,
        description="only with `by`, at named data cuts: cause-specific, of each group against the largest",
    )
    reason: Literal["live"] | None = Field(default=None, description="the reason for neither")
    rate: IncidenceRate | None = Field(default=None, description="events per person-month; not for readers")
    related: IncidenceReading = Field(description="severe toxicity that is related to radiotherapy")
    attribution_missing: int
    deaths_without_assessment: int | None = Field(default=None, description="not for readers")
    not_counted: tuple[NotCounted, ...]
    sensitivity: tuple[SensitivityLine, ...] = ()
    warnings: tuple[Literal["risk_set_emptied", "several_versions"], ...] = ()
    _late_entries: LateEntries = PrivateAttr(default=())

    @classmethod
    def _compute(cls, snapshot: StudySnapshot, selection: Selection) -> Self:
        endpoint = SevereToxicityEndpoint.of(snapshot, selection)
        times, related = endpoint.times("all_causes"), endpoint.times("related")
        ticks = axis_ticks(max(int(part.observations.exits.max(initial=0)) for part in (times, related)))
        plan = IncidencePlan(_COMPETING, selection.landmarks, ticks)
        reading = _read(endpoint, times, plan)
        figure = cls(
            **{name: getattr(reading, name) for name in reading.model_fields_set},
            origin=endpoint.clock,
            definition=cls.DEFINITION,
            related=_read(endpoint, related, plan),
            attribution_missing=endpoint.count_events_without_attribution(related),
            deaths_without_assessment=endpoint.count_deaths_without_assessment(times),
            sensitivity=tuple(_sensitivity(endpoint, times, plan)),
            warnings=(
                *(("risk_set_emptied",) if any(map(emptied_on, reading.groups)) else ()),
                *(() if is_one_version(endpoint.versions[times.subjects]) else ("several_versions",)),
            ),
            imputed_dates=times.imputed_dates,
            left_out=selection.count_excluded(snapshot),
        )
        figure._late_entries = late_entries(times.observations)
        return figure._with_support(snapshot, selection, times)

    def _drawn_groups(self) -> Sequence[IncidenceGroup]:
        return self.groups if len(self.groups) != 1 else (*self.groups, *self.related.groups)

    def published(self, minimum: int, cut_date: date) -> Self:
        """Returns a life table of all causes, and the counts of what is related.

        Two tables of the same participants would tell of the few whose event is in one of them alone. Where several
        versions of CTCAE were used there are the counts of all participants alone: no curve is of several, and the
        groups would divide a figure that is never divided.
        """
        related = IncidenceReading(
            groups=(pool_counts(WHOLE_GROUP, self.related.groups),), not_counted=self.related.not_counted
        )
        published = type(self)(
            origin=self.origin,
            definition=self.definition,
            groups=(pool_counts(WHOLE_GROUP, self.groups),),
            related=related,
            attribution_missing=self.attribution_missing,
            not_counted=self.not_counted,
            imputed_dates=self.imputed_dates,
            left_out=self.left_out,
        )
        if "several_versions" in self.warnings:
            return published.model_copy(update={"warnings": ("several_versions",)})
        (group,) = self.groups
        table = publish_incidence(group, self._late_entries, minimum)
        return self._publish_support(published.model_copy(update={"groups": (table,)}), minimum)

    def caption(self, context: FigureContext) -> str:
        """Returns what is counted, the incidences of both readings, who is not counted, and other readings."""
        sentences = [
            describe_definition(ORIGIN_WORDS[self.origin]),
            *describe_window(context.filters),
            *describe_incidences(self.groups, EVENT_NOUN, COMPETING_WORDS),
            *describe_rate(self.rate),
            *describe_comparison(self.test),
            *describe_hazards(self.hazard_ratios, CAUSE_SPECIFIC),
            *describe_related(self.related, self.attribution_missing),
            *describe_emptied(self.groups),
            *describe_versions("several_versions" in self.warnings),
            *self._describe_support(),
            *describe_deaths(self.deaths_without_assessment),
            *describe_not_counted(self.not_counted),
            *describe_sensitivity(self.sensitivity),
        ]
        return " ".join([*sentences, self.provenance(context)])

    def headline(self, context: FigureContext) -> Headline:
        events, n = (sum(getattr(group, name) for group in self.groups) for name in ("events", "n"))
        related = sum(group.events for group in self.related.groups)
        counted = sum(group.n for group in self.related.groups)
        return [
            ("severe", str(events), f"of {n} with severe toxicity"),
            ("related", str(related), f"of {counted} with related severe toxicity"),
        ]

    def table(self) -> FigureTable:
        """Returns a row for every row of every curve of both readings."""
        rows = [
            [attribution, *row]
            for attribution, groups in (("all causes", self.groups), ("related", self.related.groups))
            for row in incidence_rows(groups)
        ]
        return ["Attribution", *INCIDENCE_HEADER], rows

    def draw(self, context: FigureContext) -> str:
        """Returns the curves as SVG text, with the numbers at risk below them."""
        return draw_incidence(
            IncidencePicture(
                name=self.NAME,
                title=self.TITLE,
                caption=self.caption(context),
                axis_title=f"Months from {ORIGIN_WORDS[self.origin]}",
                curves=[*self._curves()],
                groups=[group for group in self.groups if group.curve] or self.groups,
                marks=self._marks(hazard_lines(self.hazard_ratios, CAUSE_SPECIFIC)),
            )
        )

    def _curves(self) -> Iterator[IncidenceCurve]:
        """Yields a curve for each group; an undivided figure also has what is related, and what competes."""
        if len(self.groups) != 1:
            for group in self.groups:
                if not has_several_versions(group.name):
                    yield event_curve(f"{group.name} ({group.events} / {group.n})", group)
            return
        (group,), related = self.groups, self.related.groups[0]
        yield event_curve(f"Severe toxicity of all causes ({group.events} / {group.n})", group)
        if related.curve:
            yield line_curve(f"Related to radiotherapy ({related.events} / {related.n})", related)
        deaths = sum(group.events_by_cause.values())
        yield competing_curve(f"Death without severe toxicity ({deaths} / {group.n})", group)


def _read(endpoint: SevereToxicityEndpoint, times: EndpointTimes, plan: IncidencePlan) -> IncidenceReading:
    """Returns a reading by group and version of CTCAE, with a test of a division."""
    selection = endpoint.selection
    versions = sorted(set(endpoint.versions[times.subjects].tolist()))
    is_pooled = is_one_version(versions)
    groups = standing_groups(endpoint.snapshot, selection)
    if not is_pooled:
        groups = {version_group(group, version) for group in groups for version in versions}
    reading = read_incidence(times, sorted(groups | set(times.groups.tolist())), plan, is_pooled=is_pooled)
    reading = reading.model_copy(update={"groups": tuple(map(_of_one_version, reading.groups))})
    if selection.by is None:
        return reading
    names = [group.name for group in reading.groups]
    comparison = compare_groups(times, names, is_named_cut=selection.is_named_cut, is_pooled=is_pooled)
    return reading.model_copy(update=comparison)


def _of_one_version(group: IncidenceGroup) -> IncidenceGroup:
    """Returns the group with its curve; of participants graded in several versions of CTCAE, the counts alone."""
    return publish_counts(group) if has_several_versions(group.name) else group


def _sensitivity(
    endpoint: SevereToxicityEndpoint, times: EndpointTimes, plan: IncidencePlan
) -> Iterator[SensitivityLine]:
    """Yields the numbers of other readings of all participants; of several versions of CTCAE, the counts alone."""
    for name, other in endpoint.other_readings(times):
        line = incidence_sensitivity(name, other, plan)
        yield line if is_one_version(endpoint.versions[other.subjects]) else without_curve(line)
