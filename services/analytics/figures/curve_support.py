"""The base of figures with curves over time: where planned follow-up and recent proofs of life support them less."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar, Protocol, Self

from pydantic import Field, PrivateAttr

from services.analytics.disclosure.declaration import Disclosure
from services.analytics.disclosure.life_table import DAYS_OF_MONTH
from services.analytics.endpoints.observed_time import (
    CurveTimes,
    LivingByDay,
    first_origins,
    living_by_day,
    planned_until,
)
from services.analytics.figures.curve_frame import CurveMarks
from services.analytics.figures.figure import Figure, FigureContext
from services.analytics.figures.survival_numbers import TimeSpan
from services.analytics.figures.survival_publication import last_day_of_month
from services.analytics.figures.survival_words import describe_months
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import StudySnapshot
from services.analytics.wording.phrasing import join_words

SUPPORT_NUMBERS = frozenset({"planned_until", "not_current.start", "not_current.end"})
"""The whole numbers of the base, which count no participants."""
LIFE_TABLE_WORDS = "Published as a life table by months (actuarial estimate), without the days of events."
"""The sentence of a publication: its definition names the estimator of the curves that members of sites see."""


class DrawnRow(Protocol):
    """A row of a curve. `month`: None but for readers."""

    @property
    def time(self) -> int: ...

    @property
    def month(self) -> int | None: ...


class DrawnGroup(Protocol):
    """A group with a curve."""

    @property
    def curve(self) -> Sequence[DrawnRow]: ...


class CurveFigure(Figure):
    """A figure with curves over time, which says where follow-up supports them less.

    The marks are those of all groups together, by participants: also where a curve counts lesions.
    """

    DISCLOSURE: ClassVar[Disclosure] = Disclosure(
        counts=frozenset(), divisible=False, person_level=False, other_numbers=SUPPORT_NUMBERS
    )

    planned_until: int | None = Field(
        default=None,
        description="day by which planned follow-up has ended for more than half of those counted; for readers the "
        "last day of a month; null if it has no end for half of them",
    )
    not_current: tuple[TimeSpan, ...] = Field(
        default=(),
        description="times in which more than half of those not known dead, whose origin is as long ago, have no proof "
        "of life within one visit interval and its window before the day, or later",
    )
    _living_without_event: LivingByDay | None = PrivateAttr(default=None)
    _participants: int = PrivateAttr(default=0)

    @abstractmethod
    def _drawn_groups(self) -> Sequence[DrawnGroup]:
        """Returns the groups whose curves are drawn."""

    def _with_support(self, snapshot: StudySnapshot, selection: Selection, times: CurveTimes) -> Self:
        """Returns the figure with the times that follow-up supports less."""
        living, without_event = living_by_day(snapshot, selection, times)
        not_current = tuple(TimeSpan(start=start, end=end) for start, end in living.spans(self._last_day()))
        members = {"planned_until": planned_until(snapshot, selection, times), "not_current": not_current}
        figure = self.model_copy(update=members)
        figure._living_without_event = without_event
        figure._participants = len(first_origins(times)[0])
        return figure

    def _publish_support(self, figure: Self, minimum: int) -> Self:
        """Returns a `figure` of published curves with the marks that readers see.

        They leave out the participants with an event, whose day is often that of the last proof of life. A figure
        without marks, and one of fewer participants than `minimum`, has none.
        """
        living = self._living_without_event
        if living is None:
            return figure
        is_enough = self._participants >= minimum
        support = {
            "planned_until": publish_day(self.planned_until) if is_enough else None,
            "not_current": publish_spans(living, figure._drawn_groups(), minimum),
        }
        return figure.model_copy(update=support)

    def provenance(self, context: FigureContext) -> str:
        """Returns the last sentences of a caption; those of a publication begin with what its curves are."""
        words = super().provenance(context)
        return f"{LIFE_TABLE_WORDS} {words}" if context.publication else words

    def _describe_support(self) -> Iterator[str]:
        """Yields where the curves are thin, and where they are shaded."""
        return describe_support(self.planned_until, self.not_current, self._last_day())

    def _marks(self, notes: Sequence[str] = ()) -> CurveMarks:
        """Returns the marks of the picture. `notes`: lines below the numbers at risk."""
        return CurveMarks(planned_until=self.planned_until, not_current=self.not_current, notes=notes)

    def _last_day(self) -> int:
        """Returns the last day of the curves; 0 without one."""
        return max((group.curve[-1].time for group in self._drawn_groups() if group.curve), default=0)


def publish_day(day: int | None) -> int | None:
    """Returns the last day of the last month that is over by a day."""
    return None if day is None else last_day_of_month(int((day + 1) / DAYS_OF_MONTH))


def publish_spans(living: LivingByDay, groups: Sequence[DrawnGroup], minimum: int) -> tuple[TimeSpan, ...]:
    """Returns the months of published points at whose end more than half of the living are not current.

    Between two such points all months are. Both counts are rounded down to multiples of `minimum`, as the numbers at
    risk are.
    """
    months = {row.time: row.month or 0 for group in groups for row in group.curve}
    spans, is_marked = list[TimeSpan](), False
    for day in sorted(months):
        was_marked, is_marked = is_marked, living.at(day, multiple=minimum)
        if is_marked and was_marked:
            spans[-1] = TimeSpan(start=spans[-1].start, end=day)
        elif is_marked:
            spans.append(TimeSpan(start=last_day_of_month(months[day] - 1), end=day))
    return tuple(spans)


def describe_support(planned: int | None, not_current: Sequence[TimeSpan], last: int) -> Iterator[str]:
    """Yields where a curve up to the `last` day is thin, and where it is shaded."""
    if planned is not None and planned < last:
        yield f"Thin after month {describe_months(planned)}: by then planned follow-up has ended for more than half."
    if not_current:
        spans = join_words([f"{describe_months(span.start)} to {describe_months(span.end)}" for span in not_current])
        yield (
            f"Shaded in months {spans}: more than half of those not known dead have no proof of life within one visit "
            "interval and its window before."
        )
