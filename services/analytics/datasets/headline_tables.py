"""Numbers of figures that are tables, as an R script computes them again from the data sets. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from services.analytics.datasets.cohort import CutCohort
from services.analytics.figures.causes_of_death import CausesOfDeath
from services.analytics.figures.characteristics import Characteristics
from services.analytics.figures.response import BestResponse
from services.analytics.figures.symptom_numbers import SHARE_MEMBERS
from services.analytics.figures.symptom_relief import SymptomReliefFigure
from services.analytics.figures.toxicity_grades import ToxicityGradesFigure
from services.analytics.figures.treatments import Treatments
from services.analytics.figures.visit_adherence import VisitAdherence

Name = tuple[str | int, ...]
"""The parts of the name of a number."""
Number = int | float | None
NamedNumber = tuple[Name, Number]
_COUNTED = ("sex", "stage", "ecog", "histology", "intent", "delivery", "metastatic_sites")
_MEASURED = ("age", "index_dose", "metastatic_site_count")
_QUARTILES = ("minimum", "lower_quartile", "median", "upper_quartile", "maximum")
_READINGS = ("before", "after", "after_related")


def characteristics(cohort: CutCohort) -> Iterator[NamedNumber]:
    (group,) = Characteristics.compute(cohort.snapshot, cohort.selection).groups
    yield ("n",), group.n
    for rows in group.characteristics:
        if rows.name in _COUNTED:
            yield from (((rows.name, share.value), share.participants) for share in rows.values)
        if rows.name in _MEASURED and rows.quartiles:
            yield from (((rows.name, name), getattr(rows.quartiles, name)) for name in _QUARTILES)


def causes_of_death(cohort: CutCohort) -> Iterator[NamedNumber]:
    (group,) = CausesOfDeath.compute(cohort.snapshot, cohort.selection).groups
    yield ("died",), group.died.participants
    yield from (((share.cause,), share.participants) for share in group.causes)
    yield from (((name,), getattr(group, name)) for name in ("presumed", "undated", "after_withdrawal"))


def response(cohort: CutCohort) -> Iterator[NamedNumber]:
    (group,) = BestResponse.compute(cohort.snapshot, cohort.selection).groups
    yield ("n",), group.assessed.of
    yield ("assessed",), group.assessed.participants
    yield from (((share.response,), share.participants) for share in group.best)


def symptom_relief(cohort: CutCohort) -> Iterator[NamedNumber]:
    (group,) = SymptomReliefFigure.compute(cohort.snapshot, cohort.selection).groups
    for rows in group.symptoms:
        for name in ("present", "absent", "not_evaluable"):
            yield (rows.symptom, name), getattr(rows, name)
        for name in SHARE_MEMBERS:
            yield (rows.symptom, name), getattr(rows, name).participants


def toxicity_grades(cohort: CutCohort) -> Iterator[NamedNumber]:
    figure = ToxicityGradesFigure.compute(cohort.snapshot, cohort.selection)
    yield ("n",), figure.n
    for term in figure.terms:
        for reading in _READINGS:
            counts = getattr(term, reading)
            yield from (((term.term, reading, grade), participants) for grade, participants in counts.items())
        yield (term.term, "before", "ungraded"), term.ungraded_before
        yield (term.term, "after", "ungraded"), term.ungraded


def treatments(cohort: CutCohort) -> Iterator[NamedNumber]:
    figure = Treatments.compute(cohort.snapshot, cohort.selection)
    yield ("targets",), figure.page.total
    yield ("participants",), figure.participants
    for row in figure.deliveries:
        yield (row.delivery, "targets"), row.targets
        yield (row.delivery, "participants"), row.participants


def visit_adherence(cohort: CutCohort) -> Iterator[NamedNumber]:
    (group,) = VisitAdherence.compute(cohort.snapshot, cohort.selection).groups
    for name in ("expected", "done", "done_late", "not_reported", "not_applicable"):
        yield (name,), getattr(group, name)
    yield ("reported_percent",), group.reported_percent
    yield ("in_window_percent",), group.in_window_percent
