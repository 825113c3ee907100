"""Local control: the incidence of failure of treated lesions, beside death and re-treatment, and their status."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import ClassVar, Literal, Self

from pydantic import Field, PrivateAttr

from services.analytics.disclosure.declaration import Disclosure
from services.analytics.endpoints.local_control import local_control, other_control_readings
from services.analytics.figures.curve_frame import axis_ticks
from services.analytics.figures.curve_support import SUPPORT_NUMBERS, CurveFigure
from services.analytics.figures.figure import FigureContext, FigureTable, Headline
from services.analytics.figures.group_names import DIVISIONS, group_names
from services.analytics.figures.incidence_chart import IncidencePicture, competing_curve, draw_incidence, event_curve
from services.analytics.figures.incidence_numbers import IncidenceGroup, IncidenceRow, emptied_on
from services.analytics.figures.lesion_numbers import (
    COMPETING,
    LesionSensitivityLine,
    LesionsNotCounted,
    LesionStatusCounts,
    LesionTable,
    lesion_group,
    lesion_sensitivity,
)
from services.analytics.figures.lesion_words import (
    DEFINITION_WORDS,
    EVENT_PHRASES,
    EVENT_PLURALS,
    describe_absent,
    describe_gaps,
    describe_lesions,
    describe_other_readings,
    describe_statuses,
)
from services.analytics.figures.survival_numbers import Definition, NotCounted
from services.analytics.snapshot.selection import LesionEvent, Selection
from services.analytics.snapshot.snapshot import StudySnapshot
from services.analytics.wording.phrasing import capitalize, count_noun

_GROUP_COUNTS = ("n", "events", "events_by_cause", "rate.events")
_ROW_COUNTS = ("at_risk", "events", "events_by_cause", "censored")
_TICK_COUNTS = ("at_risk", "events", "competing", "censored")
_HEADER = (
    "Group",
    "Day",
    "At risk",
    "Events",
    "Deaths",
    "Re-treated",
    "Censored",
    "Incidence",
    "Lower limit",
    "Upper limit",
    "Incidence of death",
    "Incidence of re-treatment",
    "Event-free",
)


class LocalControl(CurveFigure):
    """The incidence of local failure of treated lesions beside death and re-treatment, by group.

    `n` of a group counts lesions. `test` and `hazard_ratios`: always null, with the reason `clustered`: lesions of one
    participant are not independent, and both take them as such.
    """

    NAME: ClassVar[str] = "local-control"
    TITLE: ClassVar[str] = "Local control"
    EXPLANATION: ClassVar[str] = (
        "Time of a treated lesion from the first prescription that names it to its local progression (Aalen and "
        "Johansen). Competing are death, a later course that names the lesion, and a procedure that does. The "
        "interval adds up the lesions of a participant."
    )
    STRATIFICATIONS: ClassVar[tuple[str, ...]] = DIVISIONS
    PARAMETERS: ClassVar[frozenset[str]] = frozenset({"landmarks", "event"})
    TABLES: ClassVar[tuple[str, ...]] = ("absence", "lesion_episode", "lesion_status", "subject_day", "visit")
    DISCLOSURE: ClassVar[Disclosure] = Disclosure(
        counts=frozenset(
            {
                "lesions",
                "participants",
                *(f"status.{name}" for name in LesionStatusCounts.model_fields),
                *(f"groups.{name}" for name in _GROUP_COUNTS),
                *(f"groups.curve.{name}" for name in _ROW_COUNTS),
                *(f"groups.risk_table.{name}" for name in _TICK_COUNTS),
                "deaths_without_imaging",
                "not_counted.participants",
                "lesions_not_counted.lesions",
                *(f"sensitivity.{name}" for name in ("participants", "lesions", "events", "events_by_cause")),
            }
        ),
        divisible=False,
        person_level=False,
        other_numbers=SUPPORT_NUMBERS | {"groups.curve.time", "groups.curve.month", "definition.version"},
    )
    DEFINITION: ClassVar[Definition] = Definition(id="local-control", version=1)

    event: LesionEvent
    definition: Definition
    lesions: int = Field(description="lesions that are counted; with `by=subset` one can be in both groups")
    participants: int = Field(description="participants with a lesion that is counted")
    status: LesionStatusCounts
    groups: tuple[IncidenceGroup, ...]
    test: None = Field(default=None, description="only with `by`: null, because lesions of one participant are alike")
    hazard_ratios: None = Field(default=None, description="only with `by`: null for the same reason")
    reason: Literal["clustered"] | None = Field(default=None, description="the reason for neither")
    not_counted: tuple[NotCounted, ...]
    lesions_not_counted: tuple[LesionsNotCounted, ...] = ()
    sensitivity: tuple[LesionSensitivityLine, ...] = ()
    warnings: tuple[Literal["risk_set_emptied"], ...] = ()
    deaths_without_imaging: int | None = Field(
        default=None,
        description="lesions that a death ended, and without imaging in the 183 days before; not for readers",
    )
    _tables: dict[str, LesionTable] = PrivateAttr(default_factory=dict)

    @classmethod
    def _compute(cls, snapshot: StudySnapshot, selection: Selection) -> Self:
        times = local_control(snapshot, selection)
        ticks, names = (
            axis_ticks(int(times.observations.exits.max(initial=0))),
            group_names(snapshot, selection, times.groups),
        )
        groups = tuple(lesion_group(name, times, selection.landmarks, ticks) for name in names)
        figure = cls(
            event=selection.event,
            definition=cls.DEFINITION,
            lesions=len(times.first_of_lesions),
            participants=times.participants,
            status=LesionStatusCounts.of(times),
            groups=groups,
            not_counted=tuple(
                NotCounted(reason=reason, participants=count) for reason, count in times.not_counted.items() if count
            ),
            lesions_not_counted=tuple(LesionsNotCounted.rows(times.lesions_not_counted)),
            sensitivity=tuple(
                lesion_sensitivity(name, reading, selection.landmarks)
                for name, reading in other_control_readings(snapshot, selection, times)
            ),
            warnings=("risk_set_emptied",) if any(map(emptied_on, groups)) else (),
            deaths_without_imaging=int(times.is_death_after_gap.sum()),
            imputed_dates=times.imputed_dates,
            left_out=selection.count_excluded(snapshot),
        )
        if selection.by:
            figure = figure.model_copy(update={"test": None, "hazard_ratios": None, "reason": "clustered"})
        figure._tables = {name: LesionTable.of(times, name) for name in names}
        return figure._with_support(snapshot, selection, times)

    def _drawn_groups(self) -> Sequence[IncidenceGroup]:
        return self.groups

    def published(self, minimum: int, cut_date: date) -> Self:
        """Returns a life table in place of the curve, without band and other readings.

        A block of it has events of at least `minimum` participants.
        """
        figure = type(self)(
            event=self.event,
            definition=self.definition,
            lesions=self.lesions,
            participants=self.participants,
            status=self.status,
            groups=tuple(self._tables[group.name].publish(group, minimum) for group in self.groups),
            not_counted=self.not_counted,
            lesions_not_counted=self.lesions_not_counted,
            imputed_dates=self.imputed_dates,
            left_out=self.left_out,
        )
        return self._publish_support(figure, minimum)

    def caption(self, context: FigureContext) -> str:
        """Returns what is counted, the estimates, the statuses, who is not counted, and other readings."""
        sentences = [
            DEFINITION_WORDS.format(event=EVENT_PHRASES[self.event]),
            *describe_lesions(self.groups, self.event),
            *self._describe_support(),
            describe_statuses(self.status),
            *describe_gaps(self.deaths_without_imaging or 0),
            *describe_absent(self.not_counted, self.lesions_not_counted),
            *describe_other_readings(self.sensitivity, self.event),
        ]
        return " ".join([*sentences, self.provenance(context)])

    def headline(self, context: FigureContext) -> Headline:
        events = sum(group.events for group in self.groups)
        return [
            ("lesions", str(self.lesions), f"treated lesions of {count_noun(self.participants, 'participant')}"),
            ("events", str(events), EVENT_PLURALS[self.event]),
            ("controlled", str(self.status.controlled), "controlled at the last imaging"),
        ]

    def table(self) -> FigureTable:
        """Returns a row for every row of every curve."""
        return list(_HEADER), [[group.name, *_cells(row)] for group in self.groups for row in group.curve]

    def draw(self, context: FigureContext) -> str:
        """Returns the incidences as SVG text, with the numbers at risk below them."""
        curves = [event_curve(_label(group), group) for group in self.groups]
        if len(self.groups) == 1:
            (group,) = self.groups
            curves = [
                event_curve(capitalize(EVENT_PLURALS[self.event]), group),
                competing_curve("Death or re-treatment", group),
            ]
        picture = IncidencePicture(
            name=self.NAME,
            title=self.TITLE,
            caption=self.caption(context),
            axis_title="Months from the treatment of the lesion",
            curves=curves,
            groups=self.groups,
            marks=self._marks(),
        )
        return draw_incidence(picture)


def _label(group: IncidenceGroup) -> str:
    return f"{group.name} ({group.events} / {group.n})"


def _cells(row: IncidenceRow) -> Iterator[str]:
    counts = row.events_by_cause or {}
    values = (
        row.time,
        row.at_risk,
        row.events,
        *(counts.get(cause) for cause in COMPETING),
        row.censored,
        row.estimate,
        row.lower,
        row.upper,
        *(row.by_cause[cause] for cause in COMPETING),
        row.event_free,
    )
    yield from ("" if value is None else str(value) for value in values)
