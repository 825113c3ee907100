"""Symptom relief: what becomes of the symptoms that are present at baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import PrivateAttr

from services.analytics.disclosure.declaration import Disclosure
from services.analytics.endpoints.enrolled import EnrolledRows
from services.analytics.endpoints.symptom_relief import SymptomCourse, SymptomRelief
from services.analytics.figures.curve_frame import axis_ticks
from services.analytics.figures.figure import Figure, FigureContext, FigureTable, Headline
from services.analytics.figures.group_names import BASELINE_DIVISIONS
from services.analytics.figures.incidence_numbers import IncidencePlan, emptied_on
from services.analytics.figures.incidence_publication import publish_incidence
from services.analytics.figures.progression_control import group_counts, group_numbers
from services.analytics.figures.share_chart import draw_shares
from services.analytics.figures.shares import divide_mask, share_counts
from services.analytics.figures.survival_numbers import Definition, NotCounted
from services.analytics.figures.survival_publication import LateEntries, late_entries
from services.analytics.figures.symptom_numbers import COMPETING, SHARE_MEMBERS, SymptomGroup, SymptomRows
from services.analytics.figures.symptom_words import TABLE_HEADINGS, describe_symptoms, picture_sections, table_rows
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import Mask, StudySnapshot
from services.analytics.wording.phrasing import count_noun

_ROWS = "groups.symptoms"


class SymptomReliefFigure(Figure):
    """The symptoms that are present at baseline, with how many participants had relief, and the time to first relief.

    A change is against baseline. `not_counted` has the participants of whom no baseline by the data cut-off states a
    symptom.
    """

    NAME: ClassVar[str] = "symptom-relief"
    TITLE: ClassVar[str] = "Symptom relief"
    EXPLANATION: ClassVar[str] = (
        "Of participants who had a symptom at baseline: those who ever had relief, those with relief or worse at "
        "the last contact, and the incidence of first relief with death competing. Shares have Clopper and "
        "Pearson's interval."
    )
    STRATIFICATIONS: ClassVar[tuple[str, ...]] = BASELINE_DIVISIONS
    PARAMETERS: ClassVar[frozenset[str]] = frozenset({"landmarks"})
    TABLES: ClassVar[tuple[str, ...]] = ("subject_day", "symptom")
    DISCLOSURE: ClassVar[Disclosure] = Disclosure(
        counts=frozenset(
            {
                *("groups.n", "groups.not_evaluable", "not_counted.participants"),
                *(f"{_ROWS}.{name}" for name in ("present", "absent", "not_evaluable")),
                *group_counts(f"{_ROWS}.incidence"),
            }
        )
        | share_counts(*(f"{_ROWS}.{name}" for name in SHARE_MEMBERS)),
        divisible=False,
        person_level=False,
        other_numbers=frozenset({"definition.version", *group_numbers(f"{_ROWS}.incidence")}),
    )

    definition: Definition
    groups: tuple[SymptomGroup, ...]
    not_counted: tuple[NotCounted, ...]
    warnings: tuple[Literal["risk_set_emptied"], ...] = ()
    _late_entries: dict[tuple[str, str], LateEntries] = PrivateAttr(default_factory=dict)

    @classmethod
    def _compute(cls, snapshot: StudySnapshot, selection: Selection) -> Self:
        rows = EnrolledRows(snapshot, selection)
        relief = SymptomRelief(rows)
        courses = [*relief.courses()]
        last_exit = max((int(course.times.observations.exits.max(initial=0)) for course in courses), default=0)
        plan = IncidencePlan(COMPETING, selection.landmarks, axis_ticks(last_exit))
        unevaluable: Mask = rows.counted & np.all([rows.counted, *(course.not_evaluable for course in courses)], axis=0)
        masks = divide_mask(snapshot, selection, rows.counted)
        groups = [_group(name, mask, courses, unevaluable, plan) for name, mask in masks.items()]
        count = int(np.sum(unevaluable))
        is_emptied = any(emptied_on(symptom.incidence) for group in groups for symptom in group.symptoms)
        figure = cls(
            definition=Definition(id=cls.NAME, version=1),
            groups=tuple(groups),
            not_counted=(NotCounted(reason="not_evaluable", participants=count),) if count else (),
            warnings=("risk_set_emptied",) if is_emptied else (),
            imputed_dates=relief.imputed_dates(courses),
            left_out=selection.count_excluded(snapshot),
        )
        figure._late_entries = dict(_late_entries(masks, courses))
        return figure

    def published(self, minimum: int, cut_date: date) -> Self:
        """Returns all counts, which are of the whole study, and life tables in place of the incidences."""
        groups = [
            group.model_copy(
                update={"symptoms": tuple(self._published(group.name, symptom, minimum) for symptom in group.symptoms)}
            )
            for group in self.groups
        ]
        return type(self)(
            definition=self.definition,
            groups=tuple(groups),
            not_counted=self.not_counted,
            imputed_dates=self.imputed_dates,
            left_out=self.left_out,
        )

    def _published(self, group: str, symptom: SymptomRows, minimum: int) -> SymptomRows:
        entries = self._late_entries.get((group, symptom.symptom), ())
        return symptom.model_copy(update={"incidence": publish_incidence(symptom.incidence, entries, minimum)})

    def caption(self, context: FigureContext) -> str:
        """Returns the relief of each symptom that is present in somebody, and who is not evaluable."""
        sentences = [
            "Symptoms that are present at baseline, by their changes against it at later contacts.",
            "Relief is a change to improved or resolved; its incidence counts from the start of the index course.",
            *(sentence for group in self.groups for sentence in describe_symptoms(group, len(self.groups) > 1)),
            *(f"Not evaluable: {count_noun(row.participants, 'participant')}." for row in self.not_counted),
        ]
        return " ".join([*sentences, self.provenance(context)])

    def headline(self, context: FigureContext) -> Headline:
        symptoms = [symptom for group in self.groups for symptom in group.symptoms]
        relieved, present = (
            sum(getattr(symptom.relieved, name) for symptom in symptoms) for name in ("participants", "of")
        )
        return [("relieved", str(relieved), f"relieved, of {count_noun(present, 'symptom')} at baseline")]

    def table(self) -> FigureTable:
        """Returns a row for every share and landmark of each symptom."""
        return list(TABLE_HEADINGS), [row for group in self.groups for row in table_rows(group)]

    def draw(self, context: FigureContext) -> str:
        """Returns the shares as points with their intervals, a section for each symptom."""
        names = [group.name for group in self.groups]
        sections = [*picture_sections(self.groups)]
        return draw_shares(
            self.NAME, self.TITLE, self.caption(context), names, sections, "No symptom is stated at baseline"
        )


def _group(name: str, mask: Mask, courses: list[SymptomCourse], unevaluable: Mask, plan: IncidencePlan) -> SymptomGroup:
    return SymptomGroup(
        name=name,
        n=int(np.sum(mask)),
        not_evaluable=int(np.sum(mask & unevaluable)),
        symptoms=tuple(SymptomRows.of(course, mask, name, plan) for course in courses),
    )


def _late_entries(
    masks: Mapping[str, Mask], courses: list[SymptomCourse]
) -> Iterator[tuple[tuple[str, str], LateEntries]]:
    """Yields the delayed entries of each group and symptom."""
    for name, mask in masks.items():
        for course in courses:
            observations = course.times.observations.select(mask[course.times.subjects])
            yield (name, course.symptom), late_entries(observations)
