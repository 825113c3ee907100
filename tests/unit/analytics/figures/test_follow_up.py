"""The figure of follow-up, beside what every survival figure has."""

from __future__ import annotations

from typing import Any

import pytest

from services.analytics.figures.figure import FigureContext
from services.analytics.figures.filters import FigureFilters
from services.analytics.figures.follow_up import FollowUp
from tests.unit.analytics.endpoints.cohorts import FOUR_CASES_CUT, alive, cohort_of, four_cases, selection, treated
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
