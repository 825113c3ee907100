"""The figure of severe toxicity: its numbers, its words, its picture, and what readers see of it."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.figures.figure import FigureContext
from services.analytics.figures.filters import FigureFilters
from services.analytics.figures.parameters import FigureRequest
from services.analytics.figures.publishing import requested_division, require_publication
from services.analytics.figures.severe_toxicity import SevereToxicity
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import StudySnapshot
from shared.kernel.errors import ReadersSeeCuts, SmallGroups
from shared.kernel.fact import Fact
from shared.security.grants import Grant, Rights
from tests.svg import parse_svg
from tests.unit.analytics.endpoints.cohorts import (
    FOUR_CASES_CUT,
    cohort_of,
    dead,
    four_cases,
    selection,
    stereotactic_course,
    treated,
)
from tests.unit.analytics.endpoints.toxicity_cohorts import TO_DISEASE, baseline, complete, graded
from tests.unit.analytics.support import RECORDED_AT

MONTH = 30.4375
SVG = "{http://www.w3.org/2000/svg}"


def context(**filters: Any) -> FigureContext:
    return FigureContext(
        study_id="s",
        position=1,
        recorded_at=RECORDED_AT,
        cut_date=FOUR_CASES_CUT,
        filters=FigureFilters(**filters),
    )


def figure_of(snapshot: StudySnapshot, chosen: Selection) -> SevereToxicity:
    return SevereToxicity.compute(snapshot, chosen)


def four_cases_figure(**changes: Any) -> SevereToxicity:
    return figure_of(four_cases(), selection(FOUR_CASES_CUT, **changes))


def test_numbers_of_the_four_cases_are_those_of_r() -> None:
    """W19."""
    json: Any = four_cases_figure().to_json()
    assert (json["origin"], json["definition"]) == ("rt_start", {"id": "severe-toxicity", "version": 2})
    (group,) = json["groups"]
    assert (group["name"], group["n"], group["events"], group["events_by_cause"]) == ("all", 3, 1, {"death": 1})
    rows = [[row[name] for name in ("time", "at_risk", "events", "censored")] for row in group["curve"]]
    assert rows == [[0, 3, 0, 0], [141, 3, 1, 0], [246, 2, 0, 0], [291, 1, 0, 1]]
    assert group["curve"][1]["estimate"] == pytest.approx(0.333333333333333, abs=1e-12)
    assert group["curve"][2]["by_cause"]["death"] == pytest.approx(0.333333333333333, abs=1e-12)
    assert group["curve"][2]["events_by_cause"] == {"death": 1}
    (related,) = json["related"]["groups"]
    assert (related["events"], related["events_by_cause"]) == (0, {"death": 2})
    assert json["not_counted"] == [{"reason": "not_evaluable", "participants": 1}]
    assert (json["attribution_missing"], json["warnings"], json["imputed_dates"]) == (0, [], 0)


def test_share_after_the_stereotactic_course_is_0_of_3() -> None:
    """W19: 0 of 3 assessed (0 to 70.8 %), not 0 of 4."""
    figure = four_cases_figure(origin="stereotactic_start")
    (related,) = figure.related.groups
    assert (related.events, related.n, related.proportion.lower) == (0, 3, 0)
    assert related.proportion.upper == pytest.approx(0.708, abs=5e-4)
    words = "Related to radiotherapy: 0 with severe toxicity of 3 participants (0.0 %, exact 95 % CI 0.0–70.8)"
    assert words in figure.caption(context())
    assert "from the start of the first stereotactic course" in figure.caption(context())


def six_participants() -> SevereToxicity:
    """Returns the figure of six participants: toxic, dead, censored, toxic, dead, censored, in 255 days."""
    first = [treated(graded(10, 3)), treated(dead(20)), treated(*complete(25))]
    second = [treated(graded(30, 3)), treated(dead(80)), treated(*complete(90))]
    return figure_of(cohort_of([*first, *second]), selection(300))


def test_incidences_and_the_rate_of_six_participants_are_those_of_r() -> None:
    """W22: 7 / 18 each on day 80, and 2 severe toxicities in 255 days."""
    figure = six_participants()
    row = next(row for row in figure.groups[0].curve if row.time == 80)
    assert row.estimate == pytest.approx(0.388888888888889, abs=1e-12)
    assert row.competing == pytest.approx(0.388888888888889, abs=1e-12)
    assert figure.rate is not None
    assert (figure.rate.events, figure.rate.person_months) == (2, 255 / MONTH)
    assert figure.rate.estimate == pytest.approx(0.238725, abs=1e-6)
    assert figure.rate.lower == pytest.approx(0.028911, abs=1e-6)
    assert figure.rate.upper == pytest.approx(0.862359, abs=1e-6)


def test_events_that_nobody_attributed_are_printed() -> None:
    figure = figure_of(cohort_of([treated(graded(10, 3)), treated(graded(20, 3, **TO_DISEASE))]), selection(300))
    assert (figure.attribution_missing, figure.related.groups[0].events) == (1, 1)
    assert "Related for want of any attribution: 1 event." in figure.caption(context())


def test_caption_states_the_window_that_was_asked_for() -> None:
    caption = four_cases_figure().caption(context(window="late", late_after=30, late_from="end", emergent=True))
    assert "Only late events count: later than 30 days from the end of the course." in caption
    assert "Only grades above that of the same term at baseline count, of everybody." in caption


def test_participants_with_severe_toxicity_at_baseline_are_printed() -> None:
    figure = figure_of(cohort_of([treated(baseline(-2, 3), enrolled=-3), treated(*complete(9))]), selection(300))
    assert "Enrolled and not counted: 1 with severe toxicity at baseline." in figure.caption(context())


def test_other_readings_of_the_vital_status_stand_beside_the_figure() -> None:
    cohort = cohort_of([treated(*complete(30), dead(60, presumed=True)), treated(graded(20, 3))])
    figure = figure_of(cohort, selection(300))
    assert [(line.name, line.participants, line.events) for line in figure.sensitivity] == [("presumed_censored", 2, 1)]
    assert "With presumed deaths censored on the last proof of life: 1 of 2 participants." in figure.caption(context())


def test_risk_set_that_is_emptied_before_others_enter_is_a_warning() -> None:
    cohort = cohort_of([treated(graded(5, 3)), treated(graded(30, 3), enrolled=10)])
    figure = figure_of(cohort, selection(100))
    assert figure.warnings == ("risk_set_emptied",)
    assert figure.groups[0].median.estimate is None
    assert "Everybody at risk on day 5 had an event" in figure.caption(context())


def two_groups() -> StudySnapshot:
    men = [treated(graded(10 * day, 3), sex="male") for day in range(1, 6)]
    return cohort_of([*men, *[treated(graded(20 * day, 3)) for day in range(1, 4)], treated(dead(30))])


def test_tests_stand_at_named_cuts_alone() -> None:
    live: Any = figure_of(two_groups(), selection(200, by="sex")).to_json()
    assert (live["test"], live["reason"], live["related"]["reason"]) == (None, "live", "live")
    assert not {"test", "reason"} & figure_of(two_groups(), selection(200)).to_json().keys()
    named: Any = figure_of(two_groups(), selection(200, by="sex", is_named_cut=True)).to_json()
    assert (named["test"]["name"], named["test"]["df"]) == ("Gray", 1)
    assert 0 < named["test"]["p"] < 1
    assert "reason" not in named
    figure = figure_of(two_groups(), selection(200, by="sex", is_named_cut=True))
    assert "Gray's test: chi-square" in figure.caption(context())


def test_groups_that_are_reached_have_no_test_because_they_are_entered_late() -> None:
    cohort = cohort_of([treated(stereotactic_course(20), graded(50, 3)), treated(graded(30, 3))])
    json: Any = figure_of(cohort, selection(200, by="subset", is_named_cut=True)).to_json()
    assert [(group["name"], group["n"]) for group in json["groups"]] == [("other", 2), ("stereotactic", 1)]
    assert (json["test"]["p"], json["test"]["reason"]) == (None, "delayed_entry")


def test_two_versions_of_ctcae_are_never_pooled() -> None:
    cohort = cohort_of([treated(graded(10, 3)), treated(graded(20, 3, term="5.0:0130"), sex="male")])
    figure = figure_of(cohort, selection(100))
    assert [(group.name, group.n) for group in figure.groups] == [("ctcae-3.0", 1), ("ctcae-5.0", 1)]
    assert figure.rate is None
    divided: Any = figure_of(cohort, selection(100, by="sex", is_named_cut=True)).to_json()
    assert [group["name"] for group in divided["groups"]] == [
        "female, ctcae-3.0",
        "female, ctcae-5.0",
        "male, ctcae-3.0",
        "male, ctcae-5.0",
    ]
    assert divided["test"]["reason"] == "several_versions"


def test_readers_get_the_counts_of_all_where_several_versions_of_ctcae_were_used() -> None:
    one_version = [treated(graded(10, 3)), treated(*complete(20)), treated(dead(20))] * 3
    another = treated(graded(20, 3, **TO_DISEASE, term="5.0:0130"), sex="male")
    figure = figure_of(cohort_of([*one_version, another]), selection(100))
    published: Any = figure.published(2, FOUR_CASES_CUT).to_json()
    (group,), (related,) = published["groups"], published["related"]["groups"]
    assert (group["name"], group["n"], group["events"], group["events_by_cause"]) == ("all", 10, 4, {"death": 3})
    assert group["proportion"]["estimate"] == 0.4
    assert (related["n"], related["events"]) == (10, 3)
    assert (group["curve"], group["median"]["estimate"], related["curve"]) == ([], None, [])
    assert {landmark["estimate"] for landmark in group["landmarks"]} == {None}
    assert published["warnings"] == ["several_versions"]
    assert "ctcae" not in str(published)
    words = figure.published(2, FOUR_CASES_CUT).caption(context())
    assert "4 with severe toxicity of 10 participants" in words
    assert "No curve is of several versions of CTCAE" in words
    assert figure.published(2, FOUR_CASES_CUT).draw(context()).startswith("<svg")


@pytest.mark.parametrize("others", [[], [treated(graded(30, 3))]])
def test_participants_graded_in_several_versions_of_ctcae_have_no_curve(others: list[list[Fact]]) -> None:
    both = treated(graded(10, 1), graded(60, 3, term="5.0:0130"), dead(None))
    figure = figure_of(cohort_of([both, *others]), selection(100))
    mixed = next(group for group in figure.groups if group.name == "ctcae-3.0 + ctcae-5.0")
    assert (mixed.n, mixed.events, mixed.curve, mixed.risk_table, mixed.rate) == (1, 1, (), (), None)
    assert all(group.curve for group in figure.groups if group is not mixed)
    assert len(figure.groups) == 1 + len(others)
    assert {landmark.estimate for line in figure.sensitivity for landmark in line.landmarks} == {None}
    assert figure.sensitivity
    texts = [element.text for element in parse_svg(figure.draw(context())).iter(f"{SVG}text")]
    assert "ctcae-3.0 + ctcae-5.0 (1 / 1)" not in texts


COHORTS: dict[str, list[list[Fact]]] = {
    "nobody": [],
    "one, not assessed": [treated()],
    "one, toxic on day 0": [treated(graded(0, 3))],
    "all censored": [treated(*complete(day)) for day in (10, 40, 90)],
    "nobody censored": [treated(graded(10, 3)), treated(dead(40))],
}


@pytest.mark.parametrize("name", COHORTS)
def test_small_cohorts_draw_what_is_known(name: str) -> None:
    figure = figure_of(cohort_of(COHORTS[name]), selection(300))
    texts = [element.text for element in parse_svg(figure.draw(context())).iter(f"{SVG}text")]
    assert ("Nobody is at risk" in texts) is (name == "nobody")
    assert texts.count("At risk") == texts.count("Competing") == 1
    assert figure.headline(context())[0][0] == "severe"
    published = figure.published(5, FOUR_CASES_CUT)
    assert published.draw(context()).startswith("<svg")
    assert published.caption(context())


def test_axis_reaches_to_the_last_day_of_what_is_related() -> None:
    cohort = cohort_of([treated(graded(10, 3, **TO_DISEASE), *complete(200)), treated(*complete(20))])
    figure = figure_of(cohort, selection(300))
    assert figure.groups[0].risk_table[-1].time >= 200
    texts = [element.text for element in parse_svg(figure.draw(context())).iter(f"{SVG}text")]
    assert "7" in texts


def test_table_has_a_row_for_every_row_of_every_curve() -> None:
    header, rows = four_cases_figure().table()
    assert header[:4] == ["Attribution", "Group", "Day", "At risk"]
    assert len(rows) == 8
    assert rows[1][:7] == ["all causes", "all", "141", "3", "1", "0", "0"]
    assert {len(row) for row in rows} == {len(header)}


# Readers


def toxic_cohort(days: list[int]) -> list[list[Fact]]:
    return [treated(graded(day, 3)) for day in days]


def test_readers_get_a_life_table_and_the_counts_of_what_is_related() -> None:
    cohort = cohort_of([*toxic_cohort([5, 6, 7, 8, 9]), *[treated(dead(20))] * 5, *[treated(*complete(200))] * 10])
    published: Any = figure_of(cohort, selection(300, is_named_cut=True)).published(5, FOUR_CASES_CUT).to_json()
    hidden = {"test", "reason", "rate", "sensitivity", "warnings", "deaths_without_assessment"}
    assert not hidden & published.keys()
    (group,) = published["groups"]
    assert (group["n"], group["events"], group["events_by_cause"]) == (20, 5, {"death": 5})
    (point,) = group["curve"]
    assert (point["month"], point["estimate"], point["competing"], point["at_risk"]) == (1, 0.25, 0.25, 10)
    assert not {"risk_table", "rate"} & group.keys()
    (related,) = published["related"]["groups"]
    assert (related["n"], related["events"], related["curve"]) == (20, 5, [])


@given(st.lists(st.integers(1, 30), min_size=6, max_size=12), st.data())
def test_day_of_one_event_within_its_block_does_not_show(days: list[int], data: st.DataObject) -> None:
    index, day = data.draw(st.integers(0, len(days) - 1)), data.draw(st.integers(1, 30))
    rest = [treated(*complete(200)) for _ in range(6)]
    first, second = (
        figure_of(cohort_of([*toxic_cohort(study), *rest]), selection(300)).published(5, FOUR_CASES_CUT)
        for study in (days, [*days[:index], day, *days[index + 1 :]])
    )
    assert first.to_json() == second.to_json()
    assert first.draw(context()) == second.draw(context())


@pytest.mark.parametrize(
    "request_",
    [
        FigureRequest(window="acute"),
        FigureRequest(late_after=30),
        FigureRequest(late_from="end"),
        FigureRequest(emergent=True),
        FigureRequest(origin="stereotactic_start"),
        FigureRequest(cut_date=date(2024, 1, 1)),
    ],
)
def test_readers_have_no_parameters_of_toxicity(request_: FigureRequest) -> None:
    with pytest.raises(ReadersSeeCuts):
        require_publication(SevereToxicity, request_)


@pytest.mark.parametrize(
    "request_", [FigureRequest(by="sex"), FigureRequest(site="rome"), FigureRequest(subset="stereotactic")]
)
def test_readers_never_see_it_divided(request_: FigureRequest) -> None:
    reader = Rights("rita", frozenset([Grant("reader", None)]))
    with pytest.raises(SmallGroups):
        requested_division(SevereToxicity, reader, request_)
