"""The figure of overall survival: its numbers, its words, its picture, and what readers see of it."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.figures.figure import FigureContext
from services.analytics.figures.filters import FigureFilters
from services.analytics.figures.overall_survival import OverallSurvival
from services.analytics.figures.publishing import divide
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import StudySnapshot
from shared.kernel.fact import Fact
from shared.testing.builders import facts
from tests.svg import parse_svg
from tests.unit.analytics.endpoints.cohorts import (
    FOUR_CASES_CUT,
    alive,
    cohort_of,
    dead,
    four_cases,
    selection,
    stereotactic_course,
    treated,
)
from tests.unit.analytics.support import RECORDED_AT

MONTH = 30.4375
SVG = "{http://www.w3.org/2000/svg}"


def answer(snapshot: StudySnapshot, chosen: Selection) -> Any:
    return OverallSurvival.compute(snapshot, chosen).to_json()


def context(cut: date = FOUR_CASES_CUT) -> FigureContext:
    return FigureContext(study_id="s", position=1, recorded_at=RECORDED_AT, cut_date=cut, filters=FigureFilters())


def four_cases_figure(**changes: Any) -> OverallSurvival:
    return OverallSurvival.compute(four_cases(), selection(FOUR_CASES_CUT, **changes))


def test_numbers_of_the_four_cases_are_those_of_r() -> None:
    """W2."""
    json: Any = four_cases_figure().to_json()
    assert (json["origin"], json["definition"]) == ("rt_start", {"id": "overall-survival", "version": 1})
    (group,) = json["groups"]
    assert (group["name"], group["n"], group["events"]) == ("all", 4, 2)
    assert group["median"] == {"estimate": 246, "lower": 145, "upper": None}
    rows = [[row[name] for name in ("time", "at_risk", "events", "censored", "estimate")] for row in group["curve"]]
    assert rows == [
        [0, 4, 0, 0, 1],
        [145, 4, 1, 0, 0.75],
        [246, 3, 1, 0, 0.5],
        [345, 2, 0, 1, 0.5],
        [599, 1, 0, 1, 0.5],
    ]
    assert (group["curve"][0]["lower"], group["curve"][0]["upper"]) == (1, 1)
    assert group["curve"][1]["lower"] == pytest.approx(0.127946917595146, abs=1e-12)
    assert [landmark["time"] for landmark in group["landmarks"]] == [6 * MONTH, 12 * MONTH, 24 * MONTH]
    assert [landmark["estimate"] for landmark in group["landmarks"]] == [0.75, 0.5, None]
    (line,) = json["sensitivity"]
    assert (line["name"], line["participants"], line["events"]) == ("undated_as_event", 4, 3)
    assert line["median"]["estimate"] == 423
    assert (json["not_counted"], json["warnings"], json["imputed_dates"]) == ([], [], 0)


def test_restricted_mean_stands_at_each_landmark() -> None:
    (group,) = four_cases_figure(landmarks=(12,)).groups
    (mean,) = group.restricted_means
    assert mean.estimate == pytest.approx(145 + 0.75 * (246 - 145) + 0.5 * (365.25 - 246))


def test_landmarks_and_origin_are_those_of_the_request() -> None:
    figure = four_cases_figure(landmarks=(3,), origin="stereotactic_start")
    assert (figure.origin, figure.groups[0].median.estimate) == ("stereotactic_start", 246)
    assert [landmark.estimate for landmark in figure.groups[0].landmarks] == [0.75]
    assert "from the start of the first stereotactic course to death" in figure.caption(context())


def test_numbers_below_the_curve_add_up_to_all_participants() -> None:
    (group,) = four_cases_figure().groups
    assert {row.at_risk + row.events + row.censored for row in group.risk_table} == {4}
    assert [row.time / MONTH for row in group.risk_table] == [0, 3, 6, 9, 12, 15, 18, 21]


def test_caption_states_estimates_who_is_not_counted_and_other_readings() -> None:
    caption = four_cases_figure().caption(context())
    assert "4 participants, 2 deaths; median 8.1 months (95 % CI 4.8 to not reached); at 6 months 75.0 %" in caption
    assert (
        "With deaths without a date on the day after the last proof of life: 3 deaths, median 13.9 months." in caption
    )
    cohort = cohort_of([treated(*alive(50)), list(facts.ENROLLMENT_FACTS)])
    figure = OverallSurvival.compute(cohort, selection(100))
    words = "Enrolled and not counted: 1 without the day from which time is counted."
    assert words in figure.caption(context())
    assert figure.headline(context())[0] == ("deaths", "0", "deaths of 1 at risk")
    assert figure.headline(context())[1][1] == "not reached"


def test_emptied_risk_set_is_a_warning_with_the_day_and_how_many_entered_later() -> None:
    """W8."""
    later = [treated(dead(20), enrolled=10), treated(dead(30), enrolled=10), treated(*alive(40), enrolled=10)]
    figure = OverallSurvival.compute(cohort_of([treated(dead(5)), *later]), selection(100))
    assert figure.warnings == ("risk_set_emptied",)
    assert figure.groups[0].median.estimate is None
    assert "Everybody at risk on day 5 had the event, so the estimate stays at 0; 3 participants entered later." in (
        figure.caption(context())
    )


def two_groups() -> StudySnapshot:
    dying = [treated(dead(10 * day), sex="male") for day in range(1, 6)]
    return cohort_of([*dying, *[treated(dead(20 * day)) for day in range(1, 4)], treated(*alive(100))])


def test_live_position_has_no_test_and_says_so() -> None:
    json = answer(two_groups(), selection(100, by="sex"))
    assert (json["test"], json["reason"]) == (None, "live")
    assert not {"test", "reason"} & answer(two_groups(), selection(100)).keys()


def test_named_cut_has_a_log_rank_test_of_its_groups() -> None:
    json = answer(two_groups(), selection(100, by="sex", is_named_cut=True))
    assert json["test"]["name"] == "log-rank"
    assert json["test"]["df"] == 1
    assert 0 < json["test"]["p"] < 1
    assert "reason" not in json
    by_subset = answer(two_groups(), selection(100, by="subset", is_named_cut=True))
    assert by_subset["test"] == {"name": "Mantel-Byar", "statistic": None, "df": 0, "p": None, "reason": "one_group"}


def test_groups_without_anybody_stand_with_0() -> None:
    json = answer(two_groups(), selection(100, by="subset"))
    assert [(group["name"], group["n"]) for group in json["groups"]] == [("other", 9), ("stereotactic", 0)]
    assert [group["name"] for group in answer(cohort_of([]), selection(1, by="sex"))["groups"]] == ["female", "male"]


COHORTS = {
    "nobody": [],
    "one, alive": [treated(*alive(100))],
    "one, dead on day 0": [treated(dead(0))],
    "all censored": [treated(*alive(day)) for day in (10, 40, 90)],
    "nobody censored": [treated(dead(day)) for day in (10, 40, 90)],
}


@pytest.mark.parametrize("name", COHORTS)
def test_small_cohorts_draw_what_is_known(name: str) -> None:
    figure = OverallSurvival.compute(cohort_of(COHORTS[name]), selection(300))
    picture = figure.draw(context())
    texts = [element.text for element in parse_svg(picture).iter(f"{SVG}text")]
    assert ("Nobody is at risk" in texts) is (name == "nobody")
    assert texts.count("At risk") == texts.count("Events") == texts.count("Censored") == 1
    assert {"0", "0.25", "0.5", "0.75", "1"} <= set(texts)
    assert figure.published(5, FOUR_CASES_CUT).draw(context()).startswith("<svg")


def test_table_has_a_row_for_every_row_of_a_curve_and_empty_cells_for_what_is_undefined() -> None:
    header, rows = four_cases_figure().table()
    assert header == ["Group", "Day", "At risk", "Events", "Censored", "Estimate", "Lower limit", "Upper limit"]
    assert rows[0] == ["all", "0", "4", "0", "0", "1.0", "1.0", "1.0"]
    all_alive = OverallSurvival.compute(cohort_of([treated(*alive(10))]), selection(300))
    assert all_alive.table()[1][-1] == ["all", "10", "1", "0", "1", "1.0", "", ""]


# Readers


def dying_cohort(days: list[int], *, baseline: bool = False, **changes: Any) -> list[list[Fact]]:
    baselines = [facts.baseline_recorded(0)] if baseline else []
    return [treated(*baselines, dead(day), **changes) for day in days]


def test_readers_get_a_life_table_without_days_of_events() -> None:
    days = [11, 12, 13, 14, 15, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50]
    figure = OverallSurvival.compute(cohort_of(dying_cohort(days)), selection(300, by="sex", is_named_cut=True))
    published: Any = figure.published(5, FOUR_CASES_CUT).to_json()
    assert not {"test", "sensitivity", "reason", "warnings"} & published.keys()
    group = published["groups"][0]
    assert (group["n"], group["events"]) == (15, 15)
    point = {"time": 30, "month": 1, "at_risk": 10, "estimate": 0.67, "lower": None, "upper": None}
    assert group["curve"] == [point]
    assert group["median"] == {"estimate": None, "lower": None, "upper": None}
    assert group["landmarks"][0] == {"time": 6 * MONTH, "estimate": 0.67, "lower": None, "upper": None}
    assert not {"risk_table", "restricted_means"} & group.keys()


def test_delayed_entries_are_in_the_life_table_of_readers() -> None:
    late = [treated(dead(80), enrolled=40) for _ in range(10)]
    figure = OverallSurvival.compute(cohort_of([*dying_cohort([10] * 5 + [50] * 5), *late]), selection(300))
    (first, second) = figure.published(5, FOUR_CASES_CUT).groups[0].curve
    assert (first.estimate, first.at_risk) == (0.5, 5)
    assert (second.month, second.at_risk, second.estimate) == (2, 10, 0.25)


def test_part_of_the_study_is_a_group_of_its_division() -> None:
    figure = OverallSurvival.compute(two_groups(), selection(100, by="sex")).published(2, FOUR_CASES_CUT)
    assert [(group.name, group.n) for group in figure.narrowed_to("male").groups] == [("all", 5)]
    assert [(group.name, group.n) for group in figure.narrowed_to("other").groups] == [("all", 0)]


BLOCK = st.lists(st.integers(1, 30), min_size=6, max_size=12)


@given(BLOCK, st.data())
def test_day_of_one_death_within_its_block_does_not_show(days: list[int], data: st.DataObject) -> None:
    index, other = data.draw(st.integers(0, len(days) - 1)), data.draw(st.integers(1, 30))
    studies = (days, [*days[:index], other, *days[index + 1 :]])
    published = [
        OverallSurvival.compute(cohort_of(dying_cohort(study)), selection(300)).published(5, FOUR_CASES_CUT)
        for study in studies
    ]
    assert published[0].to_json() == published[1].to_json()
    assert len({figure.draw(context()) for figure in published}) == 1


def test_division_for_readers_needs_enough_participants_and_deaths_in_each_group() -> None:
    cohort = [*dying_cohort([10] * 6), *dying_cohort([20] * 6, sex="male")]
    cut = selection(300).cut_date
    assert divide(OverallSurvival, cohort_of(cohort), cut, "sex").may_divide
    living = [*dying_cohort([10] * 6), *[treated(*alive(9), sex="male")] * 6]
    assert not divide(OverallSurvival, cohort_of(living), cut, "sex").may_divide


def test_division_for_readers_by_stage_is_refused_where_few_have_no_baseline() -> None:
    staged = dying_cohort([10] * 6, baseline=True)
    cut = selection(300).cut_date
    assert divide(OverallSurvival, cohort_of(staged), cut, "stage").may_divide
    assert not divide(OverallSurvival, cohort_of([*staged, *dying_cohort([20] * 4)]), cut, "stage").may_divide


def test_division_by_subset_knows_the_group_before() -> None:
    cohort = cohort_of({"P": treated(stereotactic_course(20), dead(50)), "Q": treated(dead(10))})
    members = divide(OverallSurvival, cohort, selection(300).cut_date, "subset").members
    assert members["P"].groups == ("stereotactic", "other")
    assert members["Q"].groups == ("other",)
    assert (members["P"].status, members["P"].exit_on) == ("event", selection(50).cut_date)
