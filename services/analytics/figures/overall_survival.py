"""Overall survival: the time from the origin to death of any cause."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from services.analytics.disclosure.declaration import Disclosure
from services.analytics.endpoints.overall_survival import other_readings, overall_survival
from services.analytics.endpoints.sensitivity import SensitivityName
from services.analytics.endpoints.time_to_event import EndpointTimes
from services.analytics.figures.literature_marks import LiteratureMark, literature_marks
from services.analytics.figures.survival_figure import SURVIVAL_DISCLOSURE, SurvivalFigure
from services.analytics.figures.survival_numbers import Definition
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import StudySnapshot
from shared.contracts.literature import literature
from shared.kernel.record import Record


class OverallSurvival(SurvivalFigure):
    """The survival of participants from the origin to death of any cause, by group."""

    NAME: ClassVar[str] = "overall-survival"
    TITLE: ClassVar[str] = "Overall survival"
    EXPLANATION: ClassVar[str] = (
        "Time from the origin to death of any cause, by Kaplan and Meier with a log-log interval. The living end "
        "on the data cut-off if they are known to live later, else on the last proof of life. After a withdrawal "
        "of consent neither life nor death counts. The curve is thin beyond planned follow-up, and shaded where "
        "more than half of those not known dead have no proof of life within one visit interval and its window."
    )
    TABLES: ClassVar[tuple[str, ...]] = ("absence", "subject_day", "visit")
    PARAMETERS: ClassVar[frozenset[str]] = SurvivalFigure.PARAMETERS | {"literature"}
    DISCLOSURE: ClassVar[Disclosure] = SURVIVAL_DISCLOSURE
    EVENT_NOUN: ClassVar[str] = "death"
    DEFINITION: ClassVar[Definition] = Definition(id="overall-survival", version=1)
    DEFINITION_WORDS: ClassVar[str] = (
        "Overall survival from {origin} to death of any cause (Kaplan-Meier). Without a death by the data cut-off, "
        "time ends on the cut-off for those known to live later, and on the last proof of life for all others; a "
        "registry that the protocol links to a site proves the lives of everybody there who is not known dead."
    )

    def literature_marks(self, study: Record) -> tuple[LiteratureMark, ...]:
        """Returns the published medians and survivals at one year of publications with the origin of the figure."""
        return literature_marks(literature(study), self.origin)

    @classmethod
    def _times(cls, snapshot: StudySnapshot, selection: Selection) -> EndpointTimes:
        return overall_survival(snapshot, selection)

    @classmethod
    def _readings(
        cls, snapshot: StudySnapshot, selection: Selection, times: EndpointTimes
    ) -> Iterator[tuple[SensitivityName, EndpointTimes]]:
        return other_readings(snapshot, selection, times)
