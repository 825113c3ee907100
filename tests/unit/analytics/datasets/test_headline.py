"""headline.csv: every number that pages show first of any figure is there, for the R script to compute again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import pytest

from services.analytics.datasets.headline import headline_numbers
from services.analytics.datasets.page_numbers import PAGE
from services.analytics.figures.figure import FigureContext, Headline
from services.analytics.figures.filters import FigureFilters
from services.analytics.figures.registry import FIGURES
from services.analytics.snapshot.snapshot import StudySnapshot
from tests.unit.analytics.datasets.support import (
    cut_cohort,
    divided_cohort,
    empty_cohort,
    linked_cohort,
    various_cohort,
)

COHORTS = (various_cohort, linked_cohort, divided_cohort, empty_cohort)
COMPARED: dict[str, set[str]] = {
    "accrual": {"accrued", "planned"},
    "causes-of-death": {"died"},
    "characteristics": {"participants", "age"},
    "distant-control": {"failures", "deaths"},
    "first-failure": {"failures", "deaths", "local", "regional", "distant", "several"},
    "flow": {"screened", "enrolled", "treated", "stereotactic"},
    "follow-up": {"median", "current"},
    "hazard-ratios": {"deaths"},
    "local-control": {"lesions", "events", "controlled"},
    "locoregional-control": {"failures", "deaths"},
    "overall-survival": {"deaths", "median"},
    "progression-free-survival": {"events", "median"},
    "response": {"responses"},
    "severe-toxicity": {"severe", "related"},
    "swimmer": {"participants", "deaths"},
    "symptom-relief": {"relieved"},
    "toxicity-grades": {"participants", "severe"},
    "treatments": {"targets", "participants"},
    "visit-adherence": {"reported", "in window"},
}
"""The numbers that check.R computes: it stops where headline.csv has one that it does not compute."""
NOT_COMPARED: dict[str, dict[str, str]] = {}
"""Numbers that no data set has, with the reason, by figure."""


def headlines(snapshot: StudySnapshot) -> dict[str, Headline]:
    """Returns the headline of every figure, as pages show it."""
    cohort = cut_cohort(snapshot)
    context = FigureContext("s", snapshot.position, snapshot.recorded_at, cohort.cut.cut_on, FigureFilters())
    return {name: figure.compute(snapshot, cohort.selection).headline(context) for name, figure in FIGURES.items()}


def shown_numbers(snapshot: StudySnapshot) -> dict[str, dict[str, str]]:
    """Returns the names and values of the headline of every figure."""
    return {figure: {name: value for name, value, _ in headline} for figure, headline in headlines(snapshot).items()}


@pytest.mark.parametrize("snapshot", COHORTS)
def test_words_beside_the_numbers_of_a_figure_tell_them_apart(snapshot: Callable[[], StudySnapshot]) -> None:
    for figure, headline in headlines(snapshot()).items():
        words = [text for _, _, text in headline]
        assert len(set(words)) == len(words), (figure, words)


def test_every_number_that_pages_show_first_is_compared_or_has_a_reason() -> None:
    names_by_figure = defaultdict[str, set[str]](set)
    for snapshot in COHORTS:
        for figure, numbers in shown_numbers(snapshot()).items():
            names_by_figure[figure] |= numbers.keys()
    listed = {name: COMPARED.get(name, set()) | NOT_COMPARED.get(name, {}).keys() for name in FIGURES}
    assert dict(names_by_figure) == listed


@pytest.mark.parametrize("snapshot", COHORTS)
def test_numbers_are_those_that_pages_show(snapshot: Callable[[], StudySnapshot]) -> None:
    numbers = {(figure, name): value for figure, name, value in headline_numbers(cut_cohort(snapshot()))}
    for figure, headline in shown_numbers(snapshot()).items():
        for name, words in headline.items():
            if name not in NOT_COMPARED.get(figure, {}):
                value = numbers[figure, f"{PAGE}/{name}"]
                defined = words.removesuffix(" %")
                assert (value is None) == words.startswith("not "), (figure, name)
                assert value is None or value == float(defined), (figure, name)
