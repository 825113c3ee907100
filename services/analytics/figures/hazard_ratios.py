"""Hazard ratios of death by characteristics of participants: a forest of comparisons within overall survival."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import ClassVar, Literal, Self

from pydantic import Field

from services.analytics.disclosure.declaration import Disclosure
from services.analytics.endpoints.origins import ORIGIN_WORDS, chosen_origin
from services.analytics.endpoints.overall_survival import survival_by_division
from services.analytics.endpoints.time_to_event import EndpointTimes
from services.analytics.figures.figure import Figure, FigureContext, FigureTable, Headline
from services.analytics.figures.forest_chart import draw_forest
from services.analytics.figures.group_names import group_names
from services.analytics.figures.hazard_ratio_numbers import Characteristic, ForestRow, compare_hazards
from services.analytics.figures.hazard_ratio_words import NOT_COMPARED, REASON_WORDS, describe_ratio
from services.analytics.figures.survival_numbers import Definition, NotCounted
from services.analytics.figures.survival_words import describe_not_counted
from services.analytics.snapshot.selection import Origin, Selection
from services.analytics.snapshot.snapshot import StudySnapshot
from services.analytics.snapshot.subject_days import distinct_days
from services.analytics.wording.phrasing import count_noun, humanize, join_words

CHARACTERISTICS: dict[Characteristic, str] = {
    "sex": "Sex",
    "stage": "Stage",
    "performance": "Performance status (ECOG)",
    "age": "Age at enrollment",
    "delivery": "Delivery of the index course",
}
_DEFINITION_WORDS = (
    "Hazard ratios of death of any cause from {origin}, by sex, stage, performance status (Karnofsky converted to ECOG "
    "by the Oken table), age under 65 or from 65 and delivery of the index course (Cox's model of one characteristic, "
    "Efron's method for ties). Each group is compared with the largest one alone."
)
_REASONS = {
    "live": "Hazard ratios are estimated at named data cuts.",
    "not_published": "Hazard ratios, and the groups that they compare, are not published.",
}


class HazardRatios(Figure):
    """Hazard ratios of death by each characteristic, with the participants and the deaths of each group.

    `reason`: `live` where the position is no named data cut, so that nothing is estimated; `not_published` for readers,
    who get no groups.
    """

    NAME: ClassVar[str] = "hazard-ratios"
    TITLE: ClassVar[str] = "Hazard ratios"
    EXPLANATION: ClassVar[str] = (
        "The hazard of death of each group against the largest group of its division, by Cox's model with this "
        "division alone (Efron's ties). A ratio above 1 means more deaths. Ratios stand at named data cuts alone."
    )
    PARAMETERS: ClassVar[frozenset[str]] = frozenset({"origin"})
    TABLES: ClassVar[tuple[str, ...]] = ("absence", "subject_day")
    DISCLOSURE: ClassVar[Disclosure] = Disclosure(
        counts=frozenset({"n", "events", "rows.n", "rows.events", "not_counted.participants"}),
        divisible=False,
        person_level=False,
        other_numbers=frozenset({"definition.version"}),
    )
    DEFINITION: ClassVar[Definition] = Definition(id="hazard-ratios", version=1)

    origin: Origin
    definition: Definition
    n: int = Field(description="participants who are counted in overall survival")
    events: int
    rows: tuple[ForestRow, ...]
    reason: Literal["live", "not_published"] | None = Field(default=None, description="the reason for no estimates")
    not_counted: tuple[NotCounted, ...]

    @classmethod
    def _compute(cls, snapshot: StudySnapshot, selection: Selection) -> Self:
        by_characteristic = dict(survival_by_division(snapshot, selection, CHARACTERISTICS))
        times = [*by_characteristic.values()]
        figure = cls(
            origin=chosen_origin(snapshot, selection),
            definition=cls.DEFINITION,
            n=times[0].participants,
            events=times[0].events,
            rows=tuple(
                row for by, divided in by_characteristic.items() for row in _rows(snapshot, selection, by, divided)
            ),
            not_counted=tuple(
                NotCounted(reason=reason, participants=count) for reason, count in times[0].not_counted.items() if count
            ),
            imputed_dates=len(distinct_days(divided.imputed for divided in times)),
            left_out=selection.count_excluded(snapshot),
        )
        return figure if selection.is_named_cut else figure.model_copy(update={"reason": "live"})

    def published(self, minimum: int, cut_date: date) -> Self:
        """Returns the numbers of all participants, which overall survival shows too, and no group.

        Readers get no hazard ratios; and five divisions in one answer, each of the same participants, would be shown
        or withheld together.
        """
        return self.model_copy(update={"rows": (), "reason": "not_published"})

    def caption(self, context: FigureContext) -> str:
        """Returns what is compared, the estimates of each characteristic, and who is not counted."""
        counts = f"{count_noun(self.n, 'participant')}, {count_noun(self.events, 'death')}"
        sentences = [
            _DEFINITION_WORDS.format(origin=ORIGIN_WORDS[self.origin]),
            f"{counts}.",
            *([_REASONS[self.reason]] if self.reason else self._estimates()),
            *describe_not_counted(self.not_counted),
        ]
        return " ".join([*sentences, self.provenance(context)])

    def _estimates(self) -> Iterator[str]:
        """Yields a sentence for each characteristic of which groups are compared."""
        for by, words in CHARACTERISTICS.items():
            compared = [row for row in self.rows if row.by == by and row.reason not in NOT_COMPARED]
            if compared:
                ratios = join_words(f"{humanize(row.group)}: {describe_ratio(row)}" for row in compared)
                yield f"{words}, against {humanize(compared[0].reference)}, {ratios}."

    def headline(self, context: FigureContext) -> Headline:
        return [("deaths", str(self.events), f"deaths of {self.n} at risk")]

    def table(self) -> FigureTable:
        """Returns a row for each group of each characteristic."""
        header = ["Characteristic", "Group", "Reference", "Participants", "Deaths"]
        rows = [
            [
                *(row.by, row.group, row.reference, str(row.n), str(row.events)),
                *("" if value is None else str(value) for value in (row.estimate, row.lower, row.upper)),
                REASON_WORDS[row.reason] if row.reason else "",
            ]
            for row in self.rows
        ]
        return [*header, "Hazard ratio", "Lower limit", "Upper limit", "No estimate because"], rows

    def draw(self, context: FigureContext) -> str:
        """Returns the hazard ratios on a logarithmic axis, with a line where there is no difference."""
        sections = {words: [row for row in self.rows if row.by == by] for by, words in CHARACTERISTICS.items()}
        note = _REASONS[self.reason] if self.reason else ""
        return draw_forest(self.NAME, self.TITLE, self.caption(context), sections, note)


def _rows(
    snapshot: StudySnapshot, selection: Selection, by: Characteristic, times: EndpointTimes
) -> Iterator[ForestRow]:
    """Yields a row for each group of a characteristic."""
    names = group_names(snapshot, replace(selection, by=by), times.groups)
    ratios = compare_hazards(times.observations, times.groups, names, is_named_cut=selection.is_named_cut)
    for ratio in ratios:
        part = times.of_group(ratio.group)
        yield ForestRow(**ratio.model_dump(), by=by, n=len(part), events=part.event_count)
