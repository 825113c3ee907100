"""Characteristics: the enrolled participants at enrollment and baseline, and their index course (Table 1)."""

from __future__ import annotations

from datetime import date
from typing import ClassVar, Self

import numpy as np

from services.analytics.cohort.performance import ECOG_MAP, EcogMap
from services.analytics.disclosure.declaration import Disclosure
from services.analytics.endpoints import characteristics as endpoint
from services.analytics.endpoints.enrolled import EnrolledRows
from services.analytics.figures.characteristic_rows import CharacteristicRows, CharacteristicsGroup
from services.analytics.figures.characteristic_words import (
    TABLE_HEADINGS,
    describe_group,
    picture_sections,
    table_rows,
)
from services.analytics.figures.figure import Figure, FigureContext, FigureTable, Headline
from services.analytics.figures.group_names import DIVISIONS
from services.analytics.figures.share_chart import draw_shares
from services.analytics.figures.shares import divide_mask, share_counts
from services.analytics.figures.survival_numbers import Definition
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import StudySnapshot
from services.analytics.wording.phrasing import count_noun, format_number


class Characteristics(Figure):
    """Characteristics of the participants enrolled by the data cut-off, in shares of those of whom they are known.

    A baseline and an index course count by their day. `ecog_map` names the table that converts Karnofsky to ECOG.
    """

    NAME: ClassVar[str] = "characteristics"
    TITLE: ClassVar[str] = "Characteristics"
    EXPLANATION: ClassVar[str] = (
        "The enrolled participants at baseline. Shares are of those for whom a value is known; missing values "
        "are counted with their reason. Quartiles are of type 7, as in R."
    )
    STRATIFICATIONS: ClassVar[tuple[str, ...]] = DIVISIONS
    TABLES: ClassVar[tuple[str, ...]] = ("course", "subject_day", "symptom")
    DISCLOSURE: ClassVar[Disclosure] = Disclosure(
        counts=frozenset({"groups.n", "groups.characteristics.known", "groups.characteristics.missing.participants"})
        | share_counts("groups.characteristics.values"),
        divisible=False,
        person_level=False,
        other_numbers=frozenset({"definition.version"}),
    )

    definition: Definition
    ecog_map: EcogMap
    groups: tuple[CharacteristicsGroup, ...]

    @classmethod
    def _compute(cls, snapshot: StudySnapshot, selection: Selection) -> Self:
        rows = EnrolledRows(snapshot, selection)
        groups = divide_mask(snapshot, selection, rows.counted)
        characteristics = [*endpoint.characteristics(rows)]
        return cls(
            definition=Definition(id=cls.NAME, version=1),
            ecog_map=ECOG_MAP,
            groups=tuple(
                CharacteristicsGroup(
                    name=name,
                    n=int(np.sum(mask)),
                    characteristics=tuple(
                        CharacteristicRows.of(characteristic, mask) for characteristic in characteristics
                    ),
                )
                for name, mask in groups.items()
            ),
            imputed_dates=endpoint.imputed_dates(rows),
            left_out=selection.count_excluded(snapshot),
        )

    def published(self, minimum: int, cut_date: date) -> Self:
        """Returns all counts: they are of the whole study. Ranges, and quartiles of few, are of single participants."""
        groups = (
            group.model_copy(
                update={"characteristics": tuple(rows.published(minimum) for rows in group.characteristics)}
            )
            for group in self.groups
        )
        return self.model_copy(update={"groups": tuple(groups)})

    def caption(self, context: FigureContext) -> str:
        """Returns how many participants there are, age, sex and stage, and what the percentages are of."""
        sentences = [
            f"Characteristics of the {count_noun(self._count(), 'participant')} enrolled by the data cut-off.",
            *(describe_group(group, is_divided=len(self.groups) > 1) for group in self.groups if group.n),
            "Percentages are of those of whom the characteristic is known; all others are counted by reason.",
            "Karnofsky performance status is converted to ECOG by the Oken table.",
        ]
        return " ".join([*sentences, self.provenance(context)])

    def headline(self, context: FigureContext) -> Headline:
        number, _, words = count_noun(self._count(), "enrolled participant").partition(" ")
        numbers = [("participants", number, words)]
        ages = self.groups[0].rows_of("age").quartiles if len(self.groups) == 1 else None
        if ages and ages.median is not None:
            numbers.append(("age", format_number(ages.median), "median age, in years"))
        return numbers

    def table(self) -> FigureTable:
        """Returns a row for every number, every value, and every reason for which somebody's value is missing."""
        return list(TABLE_HEADINGS), [row for group in self.groups for row in table_rows(group)]

    def draw(self, context: FigureContext) -> str:
        """Returns the shares as points with their intervals, and the numbers as lines of text."""
        names = [group.name for group in self.groups]
        return draw_shares(self.NAME, self.TITLE, self.caption(context), names, [*picture_sections(self.groups)])

    def _count(self) -> int:
        return sum(group.n for group in self.groups)
