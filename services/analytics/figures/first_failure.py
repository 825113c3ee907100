"""The pattern of first failure: local, regional or distant, or several of them on one day, with death competing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field, PrivateAttr

from services.analytics.disclosure.declaration import Disclosure
from services.analytics.endpoints.origins import ORIGIN_WORDS, chosen_origin
from services.analytics.endpoints.progression_control import (
    FAILURE,
    FIRST_FAILURES,
    count_deaths_after_gap,
    death_cause,
    other_progression_control_readings,
    progression_control,
)
from services.analytics.endpoints.time_to_event import EndpointTimes
from services.analytics.figures.curve_frame import axis_ticks
from services.analytics.figures.curve_support import SUPPORT_NUMBERS, CurveFigure
from services.analytics.figures.figure import FigureContext, FigureTable, Headline
from services.analytics.figures.incidence_chart import IncidencePicture, draw_incidence, line_curve
from services.analytics.figures.incidence_numbers import (
    IncidenceGroup,
    IncidencePlan,
    emptied_on,
    incidence_group,
    incidence_sensitivity,
)
from services.analytics.figures.incidence_publication import publish_incidence
from services.analytics.figures.incidence_table import INCIDENCE_HEADER, incidence_rows
from services.analytics.figures.incidence_words import describe_emptied, describe_incidences
from services.analytics.figures.progression_control import (
    COMPETING,
    CONTROL_COUNTS,
    describe_gap,
    group_counts,
    group_numbers,
    incidence_headline,
)
from services.analytics.figures.survival_numbers import DAYS_OF_MONTH, Definition, NotCounted, SensitivityLine
from services.analytics.figures.survival_publication import LateEntries, late_entries
from services.analytics.figures.survival_words import describe_not_counted, describe_sensitivity
from services.analytics.snapshot.selection import Origin, Selection
from services.analytics.snapshot.snapshot import StudySnapshot
from services.analytics.statistics.proportions import percent
from services.analytics.statistics.risk_sets import CENSORED
from services.analytics.wording.phrasing import capitalize, count_noun, join_words

_EVENT_NOUN = "first failure"
_SITE_WORDS = {"local": "local", "regional": "regional", "distant": "distant", "several": "at several sites on one day"}
_DEFINITION_WORDS = (
    "First failure from {origin}, by its site: cumulative incidence of the first evidence of local, regional or "
    "distant progression, or of several on one day (Aalen-Johansen). Death without failure competes. Without either by "
    "the data cut-off, time ends on the last disease assessment, or at once if there was none."
)
"""A sentence with the place `{origin}`."""


class FirstFailure(CurveFigure):
    """The incidence of a first failure of any kind, and of each site of it, with death without failure competing.

    `patterns` has all participants once for each site: `local`, `regional`, `distant`, and `several` for more than one
    on the first day. In each of them the other sites and death compete, so that the incidences of the sites add up to
    that of `groups`.
    """

    NAME: ClassVar[str] = "first-failure"
    TITLE: ClassVar[str] = "First failure"
    EXPLANATION: ClassVar[str] = (
        "The kind of the first failure after the origin: local, regional, distant, or several on one day, with "
        "death competing (Aalen and Johansen)."
    )
    PARAMETERS: ClassVar[frozenset[str]] = frozenset({"origin", "landmarks"})
    TABLES: ClassVar[tuple[str, ...]] = ("absence", "subject_day", "visit")
    DISCLOSURE: ClassVar[Disclosure] = Disclosure(
        counts=CONTROL_COUNTS | {*group_counts("patterns")},
        divisible=False,
        person_level=False,
        other_numbers=SUPPORT_NUMBERS | {*group_numbers("groups"), *group_numbers("patterns"), "definition.version"},
    )
    DEFINITION: ClassVar[Definition] = Definition(id="first-failure", version=1)

    origin: Origin
    definition: Definition
    groups: tuple[IncidenceGroup, ...] = Field(description="a first failure at any site")
    patterns: tuple[IncidenceGroup, ...] = Field(description="a first failure at each site")
    not_counted: tuple[NotCounted, ...]
    sensitivity: tuple[SensitivityLine, ...] = ()
    warnings: tuple[Literal["risk_set_emptied"], ...] = ()
    deaths_without_assessment: int | None = Field(default=None, description="not for readers")
    _late_entries: LateEntries = PrivateAttr(default=())

    @classmethod
    def _compute(cls, snapshot: StudySnapshot, selection: Selection) -> Self:
        times = progression_control(snapshot, selection, "first")
        ticks = axis_ticks(int(times.observations.exits.max(initial=0)))
        plan = IncidencePlan(COMPETING, selection.landmarks, ticks)
        every = incidence_group("all", _of_any_site(times).observations, plan)
        figure = cls(
            origin=chosen_origin(snapshot, selection),
            definition=cls.DEFINITION,
            groups=(every,),
            patterns=tuple(_patterns(times, plan)),
            not_counted=tuple(
                NotCounted(reason=reason, participants=count) for reason, count in times.not_counted.items() if count
            ),
            sensitivity=tuple(
                incidence_sensitivity(name, _of_any_site(reading), plan)
                for name, reading in other_progression_control_readings(snapshot, selection, "first", times)
            ),
            warnings=("risk_set_emptied",) if emptied_on(every) else (),
            deaths_without_assessment=count_deaths_after_gap(snapshot, selection, "first", times),
            imputed_dates=times.imputed_dates,
            left_out=selection.count_excluded(snapshot),
        )
        figure._late_entries = late_entries(times.observations)
        return figure._with_support(snapshot, selection, times)

    def _drawn_groups(self) -> Sequence[IncidenceGroup]:
        return self.patterns

    def published(self, minimum: int, cut_date: date) -> Self:
        """Returns life tables in place of the curves, without bands and other readings."""
        figure = type(self)(
            origin=self.origin,
            definition=self.definition,
            groups=self._publish(self.groups, minimum),
            patterns=self._publish(self.patterns, minimum),
            not_counted=self.not_counted,
            imputed_dates=self.imputed_dates,
            left_out=self.left_out,
        )
        return self._publish_support(figure, minimum)

    def _publish(self, groups: Sequence[IncidenceGroup], minimum: int) -> tuple[IncidenceGroup, ...]:
        return tuple(publish_incidence(group, self._late_entries, minimum) for group in groups)

    def caption(self, context: FigureContext) -> str:
        """Returns what is counted, the incidences at each site, who is not counted, and other readings."""
        sentences = [
            _DEFINITION_WORDS.format(origin=ORIGIN_WORDS[self.origin]),
            *describe_incidences(self.groups, _EVENT_NOUN, "death without it"),
            *_describe_sites(self.patterns),
            *describe_emptied(self.groups),
            *self._describe_support(),
            *describe_gap(self.deaths_without_assessment),
            *describe_not_counted(self.not_counted),
            *describe_sensitivity(self.sensitivity, _EVENT_NOUN),
        ]
        return " ".join([*sentences, self.provenance(context)])

    def headline(self, context: FigureContext) -> Headline:
        sites = [(pattern.name, str(pattern.events), _SITE_WORDS[pattern.name]) for pattern in self.patterns]
        return [*incidence_headline(self.groups, _EVENT_NOUN), *sites]

    def table(self) -> FigureTable:
        """Returns a row for every row of the curve of any site, and of those of each site."""
        return list(INCIDENCE_HEADER), list(incidence_rows((*self.groups, *self.patterns)))

    def draw(self, context: FigureContext) -> str:
        """Returns the incidence at each site as SVG text, with the numbers at risk below them."""
        picture = IncidencePicture(
            name=self.NAME,
            title=self.TITLE,
            caption=self.caption(context),
            axis_title=f"Months from {ORIGIN_WORDS[self.origin]}",
            curves=[
                line_curve(f"{capitalize(pattern.name)} ({pattern.events} / {pattern.n})", pattern)
                for pattern in self.patterns
            ],
            groups=self.groups,
            marks=self._marks(),
        )
        return draw_incidence(picture)


def _describe_sites(patterns: Sequence[IncidenceGroup]) -> Iterator[str]:
    """Yields the failures by site, and the incidence of each site at the landmarks."""
    counts = join_words(f"{pattern.events} {_SITE_WORDS[pattern.name]}" for pattern in patterns)
    yield f"First failures by site: {counts}."
    for landmarks in zip(*(pattern.landmarks for pattern in patterns), strict=True):
        shares = [
            f"{percent(landmark.estimate):.1f} % {_SITE_WORDS[pattern.name]}"
            for pattern, landmark in zip(patterns, landmarks, strict=True)
            if landmark.estimate is not None
        ]
        if shares:
            months = count_noun(round(landmarks[0].time / DAYS_OF_MONTH), "month")
            yield f"Incidence at {months}: {join_words(shares)}."


def _of_any_site(times: EndpointTimes) -> EndpointTimes:
    """Returns the times with one cause for failures at any site, and the next one for death."""
    causes = times.observations.causes
    failed, died = (causes > CENSORED) & (causes < death_cause("first")), causes == death_cause("first")
    return replace(times, observations=times.observations.with_causes(np.where(failed, FAILURE, np.where(died, 2, 0))))


def _patterns(times: EndpointTimes, plan: IncidencePlan) -> Iterator[IncidenceGroup]:
    """Yields the incidence at each site, with the others and death as competing causes."""
    causes = (*FIRST_FAILURES, "death")
    for number, site in enumerate(FIRST_FAILURES, FAILURE):
        others = [other for other in range(FAILURE, len(causes) + 1) if other != number]
        renumbered = np.zeros(len(causes) + 1, dtype=np.int64)
        renumbered[[number, *others]] = np.arange(FAILURE, len(causes) + 1)
        observations = times.observations.with_causes(renumbered[times.observations.causes])
        yield incidence_group(site, observations, plan._replace(competing=[causes[other - 1] for other in others]))
