"""The numbers that pages show first of each figure, as an R script computes them again from the data sets. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from services.analytics.datasets.cohort import CutCohort
from services.analytics.datasets.headline_tables import NamedNumber
from services.analytics.figures.figure import Figure, FigureContext
from services.analytics.figures.filters import FigureFilters

PAGE = "page"
"""The first part of the names of these numbers."""
_UNDEFINED = ("not reached", "not defined")


def page_numbers(cohort: CutCohort, figure: Figure) -> Iterator[NamedNumber]:
    """Yields the headline numbers of a figure by their names; None for one that is not reached or not defined.

    Raises ValueError for a headline that is no number.
    """
    context = FigureContext(
        study_id=cohort.study_id,
        position=cohort.snapshot.position,
        recorded_at=cohort.snapshot.recorded_at,
        cut_date=cohort.cut.cut_on,
        filters=FigureFilters(site=cohort.enrolling_site or cohort.site_id),
    )
    for name, value, _ in figure.headline(context):
        yield (PAGE, name), None if value in _UNDEFINED else float(value.removesuffix(" %"))
