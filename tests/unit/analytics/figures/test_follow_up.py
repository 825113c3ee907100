"""The figure of follow-up, beside what every survival figure has."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.figures.figure import FigureContext
from services.analytics.figures.filters import FigureFilters
from services.analytics.figures.follow_up import FollowUp
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


def test_numbers_of_the_four_cases_are_those_of_the_review() -> None:
    figure = FollowUp.compute(four_cases(), selection(FOUR_CASES_CUT))
    assert figure.groups[0].median.estimate == 345
    assert figure.completeness == pytest.approx(0.998504113687360, abs=1e-12)
    caption = figure.caption(CONTEXT)
    assert "4 participants, 1 censored participant; median 11.3 months" in caption
    assert "Observed are 99.9 % of the days that could be (Clark's C)." in caption
    assert "Of 1 participant not known dead, 1 with a recent proof of life." in caption
    assert [name for name, _, _ in figure.headline(CONTEXT)] == ["median", "current"]


def test_divided_follow_up_has_no_test() -> None:
    json = FollowUp.compute(four_cases(), selection(FOUR_CASES_CUT, by="sex", is_named_cut=True)).to_json()
    assert not {"test", "reason"} & json.keys()


def test_readers_see_the_life_table_and_the_counts_of_the_living_alone() -> None:
    figure = FollowUp.compute(cohort_of([treated(*alive(10 + day)) for day in range(12)]), selection(300))
    published: Any = figure.published(5, FOUR_CASES_CUT).to_json()
    assert published["currency"] == {"living": 12, "current": 0}
    assert "completeness" not in published
    assert (published["groups"][0]["n"], published["groups"][0]["events"]) == (12, 12)


@given(st.lists(st.integers(1, 30), min_size=6, max_size=12), st.data())
def test_day_of_one_end_within_its_block_does_not_show(days: list[int], data: st.DataObject) -> None:
    """The day is that of the last proof of life, which ends the follow-up of the living."""
    index, day = data.draw(st.integers(0, len(days) - 1)), data.draw(st.integers(1, 30))
    first, second = (
        FollowUp.compute(
            cohort_of([*(treated(*alive(last)) for last in study), *([treated(dead(200))] * 6)]), selection(300)
        ).published(5, FOUR_CASES_CUT)
        for study in (days, [*days[:index], day, *days[index + 1 :]])
    )
    assert first.to_json() == second.to_json()
    assert first.draw(CONTEXT) == second.draw(CONTEXT)
