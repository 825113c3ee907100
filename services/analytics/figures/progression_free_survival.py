"""Progression-free survival: the time from the origin to progression or death."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from services.analytics.disclosure.declaration import Disclosure
from services.analytics.endpoints.progression_free_survival import (
    count_deaths_after_missed_intervals,
    count_deaths_without_assessment,
    other_progression_readings,
    progression_free_survival,
)
from services.analytics.endpoints.sensitivity import SensitivityName
from services.analytics.endpoints.time_to_event import EndpointTimes
from services.analytics.figures.figure import FigureContext
from services.analytics.figures.survival_figure import SURVIVAL_DISCLOSURE, SurvivalFigure
from services.analytics.figures.survival_numbers import Definition
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import StudySnapshot
from services.analytics.wording.phrasing import count_noun


class ProgressionFreeSurvival(SurvivalFigure):
    """The survival of participants from the origin to the first progression, or death of any cause, by group."""

    NAME: ClassVar[str] = "progression-free-survival"
    TITLE: ClassVar[str] = "Progression-free survival"
    EXPLANATION: ClassVar[str] = (
        "Time from the origin to the first evidence of local, regional or distant progression, or death of any "
        "cause, by Kaplan and Meier with a log-log interval. All others end on the last disease assessment. The "
        "curve is thin beyond planned follow-up, and shaded where more than half of those not known dead have no "
        "proof of life within one visit interval and its window."
    )
    TABLES: ClassVar[tuple[str, ...]] = ("absence", "subject_day", "visit")
    DISCLOSURE: ClassVar[Disclosure] = Disclosure(
        counts=SURVIVAL_DISCLOSURE.counts | {"deaths_without_assessment", "deaths_after_missed_intervals"},
        divisible=True,
        person_level=False,
        other_numbers=SURVIVAL_DISCLOSURE.other_numbers,
    )
    EVENT_NOUN: ClassVar[str] = "event"
    DEFINITION: ClassVar[Definition] = Definition(id="progression-free-survival", version=1)
    DEFINITION_WORDS: ClassVar[str] = (
        "Progression-free survival from {origin} to the first evidence of local, regional or distant progression after "
        "it, or death of any cause (Kaplan-Meier). Without an event by the data cut-off, time ends on the last disease "
        "assessment, or at once if there was none."
    )

    deaths_without_assessment: int | None = Field(
        default=None, description="deaths without progression, and without a disease assessment in the 183 days before"
    )
    deaths_after_missed_intervals: int | None = Field(
        default=None,
        description="deaths without progression, and after more than one planned visit without a disease assessment",
    )

    @classmethod
    def _own_members(cls, snapshot: StudySnapshot, selection: Selection, times: EndpointTimes) -> dict[str, object]:
        return {
            "deaths_without_assessment": count_deaths_without_assessment(snapshot, selection, times),
            "deaths_after_missed_intervals": count_deaths_after_missed_intervals(snapshot, selection, times),
        }

    @classmethod
    def _times(cls, snapshot: StudySnapshot, selection: Selection) -> EndpointTimes:
        return progression_free_survival(snapshot, selection)

    @classmethod
    def _readings(
        cls, snapshot: StudySnapshot, selection: Selection, times: EndpointTimes
    ) -> Iterator[tuple[SensitivityName, EndpointTimes]]:
        return other_progression_readings(snapshot, selection, times)

    def provenance(self, context: FigureContext) -> str:
        """Returns the deaths long after the last disease assessment, and the last sentence of a caption."""
        return " ".join([*self._describe_deaths(), super().provenance(context)])

    def _describe_deaths(self) -> Iterator[str]:
        if self.deaths_without_assessment:
            deaths = count_noun(self.deaths_without_assessment, "death")
            yield f"{deaths} without progression had no disease assessment in the 183 days before."
        if self.deaths_after_missed_intervals:
            deaths = count_noun(self.deaths_after_missed_intervals, "death")
            yield f"{deaths} without progression followed more than one planned visit without a disease assessment."
