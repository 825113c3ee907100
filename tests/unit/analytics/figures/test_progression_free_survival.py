"""The figure of progression-free survival, beside what every survival figure has."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.analytics.figures.figure import FigureContext
from services.analytics.figures.filters import FigureFilters
from services.analytics.figures.progression_free_survival import ProgressionFreeSurvival
from services.analytics.snapshot.snapshot import StudySnapshot
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as follow_up
from tests.unit.analytics.endpoints.cohorts import (
    FOUR_CASES_CUT,
    alive,
    cohort_of,
    dead,
    four_cases,
    selection,
    treated,
)
from tests.unit.analytics.support import RECORDED_AT

CONTEXT = FigureContext(
    study_id="s", position=1, recorded_at=RECORDED_AT, cut_date=FOUR_CASES_CUT, filters=FigureFilters()
)


def test_numbers_of_the_four_cases_are_those_of_r() -> None:
    """W3."""
    figure = ProgressionFreeSurvival.compute(four_cases(), selection(FOUR_CASES_CUT))
    (group,) = figure.groups
    assert [(row.time, row.estimate) for row in group.curve] == [(0, 1), (42, 0.75), (101, 0.5), (147, 0.25), (248, 0)]
    assert (group.median.estimate, group.median.lower, group.median.upper) == (124, 42, None)
    assert figure.definition.id == "progression-free-survival"
    assert "4 participants, 4 events; median 4.1 months" in figure.caption(CONTEXT)


def test_deaths_long_after_the_last_assessment_are_printed() -> None:
    cohort = cohort_of([treated(dead(200)), treated(follow_up.disease_progressed(50), dead(250))])
    figure = ProgressionFreeSurvival.compute(cohort, selection(300))
    assert figure.deaths_without_assessment == 1
    words = "1 death without progression had no disease assessment in the 183 days before. Data cut-off"
    assert words in figure.caption(CONTEXT)


def test_deaths_after_more_than_one_missed_interval_are_printed() -> None:
    """The windows of visits 1 and 2 after the end of the course on day 28 have closed by day 230."""
    cohort = cohort_of([treated(facts.radiotherapy_completed(28), dead(day)) for day in (120, 200, 230)])
    figure = ProgressionFreeSurvival.compute(cohort, selection(300))
    assert figure.deaths_after_missed_intervals == 1
    words = "1 death without progression followed more than one planned visit without a disease assessment."
    assert words in figure.caption(CONTEXT)


def test_readers_see_the_life_table_alone() -> None:
    cohort = cohort_of([treated(dead(10))] * 10)
    published = ProgressionFreeSurvival.compute(cohort, selection(300)).published(5, FOUR_CASES_CUT)
    assert not {"deaths_without_assessment", "deaths_after_missed_intervals"} & published.to_json().keys()
    assert [row.month for row in published.groups[0].curve] == []
    assert (published.groups[0].n, published.groups[0].events) == (10, 10)


@given(st.lists(st.tuples(st.integers(1, 30), st.booleans()), min_size=6, max_size=12), st.data())
def test_day_of_one_event_within_its_block_does_not_show(events: list[tuple[int, bool]], data: st.DataObject) -> None:
    """An event is a death, or a progression of somebody who lives on."""
    index, day = data.draw(st.integers(0, len(events) - 1)), data.draw(st.integers(1, 30))
    moved = [*events[:index], (day, events[index][1]), *events[index + 1 :]]
    first, second = (
        ProgressionFreeSurvival.compute(progressing(study), selection(300)).published(5, FOUR_CASES_CUT)
        for study in (events, moved)
    )
    assert first.to_json() == second.to_json()
    assert first.draw(CONTEXT) == second.draw(CONTEXT)


def progressing(events: list[tuple[int, bool]]) -> StudySnapshot:
    """Returns a cohort of those who progress or die on a day, and of as many without an event."""
    ends = [[dead(day)] if is_death else [follow_up.disease_progressed(day), *alive(200)] for day, is_death in events]
    return cohort_of([*(treated(*end) for end in ends), *([treated(*alive(200))] * len(ends))])
