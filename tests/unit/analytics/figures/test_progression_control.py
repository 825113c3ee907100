"""The figures of locoregional and distant control and of the first failure: numbers, words, pictures, readers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.figures.distant_control import DistantControl
from services.analytics.figures.figure import FigureContext
from services.analytics.figures.filters import FigureFilters
from services.analytics.figures.first_failure import FirstFailure
from services.analytics.figures.locoregional_control import LocoregionalControl
from services.analytics.figures.registry import FIGURES
from services.analytics.snapshot.snapshot import StudySnapshot
from shared.kernel.errors import SmallGroups
from shared.kernel.fact import Fact
from shared.testing.builders import follow_up_facts as follow_up
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

SVG = "{http://www.w3.org/2000/svg}"
CONTEXT = FigureContext(
    study_id="s", position=1, recorded_at=RECORDED_AT, cut_date=FOUR_CASES_CUT, filters=FigureFilters()
)
NAMES = ("locoregional-control", "distant-control", "first-failure")


def regional(day: int) -> Fact:
    return follow_up.disease_progressed(day, kind="regional")


def distant(day: int) -> Fact:
    return follow_up.disease_progressed(day)


def assessed(day: int, **disease: Any) -> Fact:
    return follow_up.follow_up_recorded(day, disease=follow_up.disease_status(**{"distant": "stable", **disease}))


def test_locoregional_failure_of_the_four_cases_is_that_of_r() -> None:
    json: Any = LocoregionalControl.compute(four_cases(), selection(FOUR_CASES_CUT)).to_json()
    assert (json["origin"], json["definition"]) == ("rt_start", {"id": "locoregional-control", "version": 2})
    (group,) = json["groups"]
    assert (group["n"], group["events"], group["events_by_cause"]) == (4, 1, {"death": 1})
    names = ("time", "at_risk", "events", "censored", "estimate", "competing", "event_free")
    assert [[row[name] for name in names] for row in group["curve"]] == [
        [0, 4, 0, 0, 0, 0, 1],
        [145, 4, 0, 0, 0, 0.25, 0.75],
        [162, 3, 1, 0, 0.25, 0.25, 0.5],
        [338, 2, 0, 1, 0.25, 0.25, 0.5],
        [568, 1, 0, 1, 0.25, 0.25, 0.5],
    ]
    (line,) = json["sensitivity"]
    assert (line["name"], line["participants"], line["events"]) == ("undated_as_event", 4, 1)
    assert (json["not_counted"], json["warnings"], json["deaths_without_assessment"]) == ([], [], 0)


def test_first_failures_of_the_four_cases_are_distant() -> None:
    json: Any = FirstFailure.compute(four_cases(), selection(FOUR_CASES_CUT)).to_json()
    sites = ["local", "regional", "distant", "several"]
    assert [(pattern["name"], pattern["events"]) for pattern in json["patterns"]] == list(
        zip(sites, [0, 0, 4, 0], strict=True)
    )
    assert [row["estimate"] for row in json["patterns"][2]["curve"]] == [0, 0.25, 0.5, 0.75, 1]
    assert (json["groups"][0]["events"], json["groups"][0]["events_by_cause"]) == (4, {"death": 0})


def failing_everywhere() -> StudySnapshot:
    both = assessed(40, distant="progressed", regional="progressed")
    return cohort_of(
        [treated(distant(10)), treated(regional(20)), treated(both), treated(dead(30)), treated(assessed(50))]
    )


def test_incidences_of_sites_add_up_to_that_of_any_failure() -> None:
    figure = FirstFailure.compute(failing_everywhere(), selection(300))
    assert [pattern.events for pattern in figure.patterns] == [0, 1, 1, 1]
    for number, row in enumerate(figure.groups[0].curve):
        of_sites = [pattern.curve[number] for pattern in figure.patterns]
        assert row.estimate == pytest.approx(sum(site.estimate or 0 for site in of_sites), abs=1e-12)
        for site in (row, *of_sites):
            total = (site.estimate or 0) + sum(value or 0 for value in site.by_cause.values()) + (site.event_free or 0)
            assert total == pytest.approx(1, abs=1e-12)
        assert of_sites[0].by_cause.keys() == {"regional", "distant", "several", "death"}
        assert of_sites[0].by_cause["death"] == pytest.approx(row.competing, abs=1e-12)


def test_captions_state_incidences_sites_and_deaths_long_after_the_last_assessment() -> None:
    caption = FirstFailure.compute(failing_everywhere(), selection(300, landmarks=(1,))).caption(CONTEXT)
    assert "3 with first failure of 5 participants" in caption
    words = "First failures by site: 0 local, 1 regional, 1 distant and 1 at several sites on one day."
    assert words in caption
    shares = "Incidence at 1 month: 0.0 % local, 20.0 % regional, 20.0 % distant and 0.0 % at several sites on one day."
    assert shares in caption
    late = LocoregionalControl.compute(cohort_of([treated(assessed(5), dead(250))]), selection(300))
    assert "1 death without failure had no disease assessment in the 183 days before." in late.caption(CONTEXT)
    assert late.headline(CONTEXT) == [
        ("failures", "0", "locoregional failures of 1 at risk"),
        ("deaths", "1", "deaths without it"),
    ]


def two_groups() -> StudySnapshot:
    failing = [treated(distant(10 * day), sex="male") for day in range(1, 6)]
    return cohort_of([*failing, *[treated(distant(20 * day)) for day in range(1, 4)], treated(dead(100))])


def test_test_of_groups_stands_at_named_cuts_alone() -> None:
    json: Any = DistantControl.compute(two_groups(), selection(300, by="sex")).to_json()
    assert (json["test"], json["reason"]) == (None, "live")
    figure = DistantControl.compute(two_groups(), selection(300, by="sex", is_named_cut=True))
    assert figure.test
    assert (figure.test.name, figure.test.df, figure.test.reason) == ("Gray", 1, None)
    assert "Gray's test: chi-square" in figure.caption(CONTEXT)
    assert not {"test", "reason"} & DistantControl.compute(two_groups(), selection(300)).to_json().keys()


def test_groups_that_are_reached_late_have_no_gray_test() -> None:
    cohort = cohort_of([treated(stereotactic_course(20), distant(50)), treated(distant(30))])
    figure = DistantControl.compute(cohort, selection(300, by="subset", is_named_cut=True))
    assert [(group.name, group.n, group.events) for group in figure.groups] == [("other", 2, 1), ("stereotactic", 1, 1)]
    assert figure.test
    assert (figure.test.statistic, figure.test.reason) == (None, "delayed_entry")


COHORTS = {
    "nobody": [],
    "one, never assessed": [treated(*alive(100))],
    "one, dead on day 0": [treated(dead(0))],
    "all censored": [treated(assessed(day)) for day in (10, 40, 90)],
    "nobody censored": [treated(distant(10)), treated(regional(40)), treated(dead(90))],
}


@pytest.mark.parametrize("cohort", COHORTS)
@pytest.mark.parametrize("name", NAMES)
def test_small_cohorts_draw_what_is_known(name: str, cohort: str) -> None:
    figure = FIGURES[name].compute(cohort_of(COHORTS[cohort]), selection(300))
    texts = [element.text for element in parse_svg(figure.draw(CONTEXT)).iter(f"{SVG}text")]
    assert ("Nobody is at risk" in texts) is (cohort == "nobody")
    assert texts.count("At risk") == texts.count("Competing") == 1
    header, rows = figure.table()
    assert {len(row) for row in rows} == {len(header)}
    published = figure.published(5, FOUR_CASES_CUT)
    assert published.draw(CONTEXT).startswith("<svg")
    assert published.caption(CONTEXT)


# Readers


def failing(days: list[int]) -> list[list[Fact]]:
    return [treated(distant(day)) for day in days]


@pytest.mark.parametrize("name", NAMES)
def test_readers_get_life_tables_without_tests_bands_and_other_readings(name: str) -> None:
    cohort = cohort_of([*failing([5, 6, 7, 8, 9]), *[treated(dead(20))] * 5, *[treated(assessed(200))] * 10])
    published: Any = FIGURES[name].compute(cohort, selection(300)).published(5, FOUR_CASES_CUT).to_json()
    assert not {"test", "reason", "sensitivity", "warnings", "deaths_without_assessment"} & published.keys()
    for group in (*published["groups"], *published.get("patterns", ())):
        assert not {"risk_table", "rate"} & group.keys()
        assert [row["month"] for row in group["curve"]] == [1]
        assert {row["lower"] for row in group["curve"]} == {None}
    is_locoregional = name == "locoregional-control"  # those who failed elsewhere are censored
    assert published["groups"][0]["curve"][0]["event_free"] == (0.71 if is_locoregional else 0.5)
    assert published["groups"][0]["events"] == (0 if is_locoregional else 5)


@pytest.mark.parametrize("name", NAMES)
def test_figures_are_never_divided_for_readers(name: str) -> None:
    assert not FIGURES[name].DISCLOSURE.divisible
    with pytest.raises(SmallGroups):
        FIGURES[name].members(four_cases(), selection(FOUR_CASES_CUT, by="site"))


@given(st.sampled_from(NAMES), st.lists(st.integers(1, 30), min_size=6, max_size=12), st.data())
def test_day_of_one_failure_within_its_block_does_not_show(name: str, days: list[int], data: st.DataObject) -> None:
    index, day = data.draw(st.integers(0, len(days) - 1)), data.draw(st.integers(1, 30))
    rest = [treated(assessed(200)) for _ in range(6)]
    first, second = (
        FIGURES[name].compute(cohort_of([*failing(study), *rest]), selection(300)).published(5, FOUR_CASES_CUT)
        for study in (days, [*days[:index], day, *days[index + 1 :]])
    )
    assert first.to_json() == second.to_json()
    assert first.draw(CONTEXT) == second.draw(CONTEXT)
