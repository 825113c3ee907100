"""Follow-up: how long participants were observed, of how much possible time, and how recently."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field

from services.analytics.disclosure.declaration import Disclosure
from services.analytics.endpoints.follow_up import completeness, currency, follow_up_times
from services.analytics.endpoints.sensitivity import SensitivityName
from services.analytics.endpoints.time_to_event import EndpointTimes
from services.analytics.figures.figure import FigureContext, Headline
from services.analytics.figures.survival_figure import SURVIVAL_DISCLOSURE, SurvivalFigure
from services.analytics.figures.survival_numbers import Definition
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import StudySnapshot
from services.analytics.statistics.proportions import percent
from services.analytics.wording.phrasing import count_noun


class FollowUpCurrency(BaseModel):
    """The enrolled participants who are not known dead, and those of them with a recent proof of life.

    It is recent within one visit interval and its window before the data cut-off.
    """

    model_config = ConfigDict(frozen=True)

    living: int
    current: int


class FollowUp(SurvivalFigure):
    """The follow-up of participants: the reverse curve of overall survival, Clark's C, and currency.

    The event of the curve is the end of follow-up; a death is censored.
    """

    NAME: ClassVar[str] = "follow-up"
    TITLE: ClassVar[str] = "Follow-up"
    EXPLANATION: ClassVar[str] = (
        "How long participants were observed: the reverse of overall survival, in which the end of follow-up is "
        "the event and a death is censored. Clark's C is the share of the possible days that were observed. "
        "Currency counts those not known dead with a proof of life within one visit interval and its window."
    )
    TABLES: ClassVar[tuple[str, ...]] = ("absence", "subject_day", "visit")
    DISCLOSURE: ClassVar[Disclosure] = Disclosure(
        counts=SURVIVAL_DISCLOSURE.counts | {"currency.living", "currency.current"},
        divisible=False,
        person_level=False,
        other_numbers=SURVIVAL_DISCLOSURE.other_numbers,
    )
    HAS_TEST: ClassVar[bool] = False
    IS_MARKED: ClassVar[bool] = False
    EVENT_NOUN: ClassVar[str] = "censored participant"
    DEFINITION: ClassVar[Definition] = Definition(id="follow-up", version=1)
    DEFINITION_WORDS: ClassVar[str] = (
        "Follow-up from {origin} (reverse Kaplan-Meier): the event is the end of follow-up, and a death is censored."
    )

    completeness: float | None = Field(
        default=None, description="Clark's C: observed days divided by possible ones; not for readers"
    )
    currency: FollowUpCurrency | None = None

    @classmethod
    def _own_members(cls, snapshot: StudySnapshot, selection: Selection, times: EndpointTimes) -> dict[str, object]:
        recent = currency(snapshot, selection)
        return {
            "completeness": completeness(snapshot, selection),
            "currency": FollowUpCurrency(living=recent.living, current=recent.current),
        }

    @classmethod
    def _times(cls, snapshot: StudySnapshot, selection: Selection) -> EndpointTimes:
        return follow_up_times(snapshot, selection)

    @classmethod
    def _readings(
        cls, snapshot: StudySnapshot, selection: Selection, times: EndpointTimes
    ) -> Iterator[tuple[SensitivityName, EndpointTimes]]:
        return iter(())

    def published(self, minimum: int, cut_date: date) -> Self:
        """Returns a life table of follow-up, and the counts of the living."""
        return super().published(minimum, cut_date).model_copy(update={"currency": self.currency})

    def headline(self, context: FigureContext) -> Headline:
        numbers = [number for number in super().headline(context) if number[0] == "median"]
        if self.currency and self.currency.living:
            words = f"of {self.currency.living} living with a recent proof of life"
            numbers.append(("current", str(self.currency.current), words))
        return numbers

    def provenance(self, context: FigureContext) -> str:
        """Returns Clark's C and currency, and the last sentence of a caption."""
        return " ".join([*self._sentences(), super().provenance(context)])

    def _sentences(self) -> Iterator[str]:
        if self.completeness is not None:
            yield f"Observed are {percent(self.completeness):.1f} % of the days that could be (Clark's C)."
        if self.currency and self.currency.living:
            living = count_noun(self.currency.living, "participant")
            yield f"Of {living} not known dead, {self.currency.current} with a recent proof of life."
