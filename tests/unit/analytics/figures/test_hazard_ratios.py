"""Hazard ratios: those of R under divided curves and in the forest, at named cuts alone, and never for readers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.endpoints.time_to_event import EndpointTimes
from services.analytics.figures.figure import FigureContext
from services.analytics.figures.filters import FigureFilters
from services.analytics.figures.hazard_ratio_numbers import ForestRow, HazardRatio, compare_hazards
from services.analytics.figures.hazard_ratio_words import CAUSE_SPECIFIC, describe_ratio, hazard_lines
from services.analytics.figures.hazard_ratios import HazardRatios
from services.analytics.figures.incidence_reading import compare_groups
from services.analytics.figures.overall_survival import OverallSurvival
from services.analytics.figures.registry import FIGURES
from services.analytics.snapshot.groups import GroupNames
from services.analytics.snapshot.snapshot import StudySnapshot
from services.analytics.statistics.risk_sets import observe
from shared.kernel.fact import Fact
from shared.testing.builders import facts
from shared.testing.builders.follow_up_facts import disease_progressed
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
from tests.unit.analytics.statistics.reference_tables import Row, assert_equal, cohorts, names, table
from tests.unit.analytics.support import RECORDED_AT

SVG = "{http://www.w3.org/2000/svg}"


def context(cut: date = FOUR_CASES_CUT) -> FigureContext:
    return FigureContext(study_id="s", position=1, recorded_at=RECORDED_AT, cut_date=cut, filters=FigureFilters())


def numbers(ratio: HazardRatio) -> list[float]:
    return [float("nan") if value is None else value for value in (ratio.estimate, ratio.lower, ratio.upper)]


@pytest.mark.parametrize("name", names("hazard_ratios"))
def test_ratios_and_limits_are_those_of_coxph(name: str) -> None:
    ratios = compare_hazards(cohorts()[name].observations, groups_of(name), sorted(set(groups_of(name))))
    assert_ratios(ratios, table("hazard_ratios")[name])


@pytest.mark.parametrize("name", names("cause_specific_hazard_ratios"))
def test_ratios_of_incidences_are_those_of_coxph_with_competing_events_censored(name: str) -> None:
    observations, groups = cohorts()[name].observations, groups_of(name)
    times = EndpointTimes(
        subjects=np.arange(len(groups)),
        origins=np.zeros(len(groups), dtype=np.int64),
        observations=observations,
        groups=groups,
        not_counted={},
        imputed=np.empty((2, 0), dtype=np.int64),
    )
    ratios: Any = compare_groups(times, sorted(set(groups)), is_named_cut=True)["hazard_ratios"]
    assert_ratios(ratios, table("cause_specific_hazard_ratios")[name])


def groups_of(name: str) -> GroupNames:
    return np.array([str(int(row["group"])) for row in table("cohorts")[name]], dtype=object)


def assert_ratios(ratios: Sequence[HazardRatio], expected: Sequence[Row]) -> None:
    compared = [ratio for ratio in ratios if ratio.reason != "reference"]
    assert len(compared) == len(expected)
    for ratio, row in zip(compared, expected, strict=True):
        assert (int(ratio.group), int(ratio.reference)) == (row["group"], row["reference"])
        assert_equal(numbers(ratio), [row[key] for key in ("estimate", "lower", "upper")], 1e-8)
        assert (ratio.reason is None) == (ratio.estimate is not None)


def ratios_of(times: dict[str, list[tuple[int, int]]], *others: str) -> dict[str, HazardRatio]:
    """Returns the hazard ratios of groups with these exits and causes."""
    rows = [(name, exit_, cause) for name, group in times.items() for exit_, cause in group]
    labels = np.array([name for name, _, _ in rows], dtype=object)
    observations = observe([exit_ for _, exit_, _ in rows], [cause for _, _, cause in rows])
    return {ratio.group: ratio for ratio in compare_hazards(observations, labels, sorted({*times, *others}))}


def test_reference_is_the_largest_group_and_at_a_tie_the_first_by_name() -> None:
    ratios = ratios_of({"b": [(1, 1), (5, 0)], "a": [(2, 1), (6, 0)], "c": [(3, 1)]})
    assert {ratio.reference for ratio in ratios.values()} == {"a"}
    assert ratios["a"].reason == "reference"
    larger = ratios_of({"b": [(1, 1), (5, 0), (7, 0)], "a": [(2, 1), (6, 0)]})
    assert {ratio.reference for ratio in larger.values()} == {"b"}


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        ({"a": [(1, 1), (2, 0)], "b": []}, "nobody"),
        ({"a": [(1, 0), (2, 0)], "b": [(3, 0)]}, "no_events"),
        ({"a": [(1, 1), (2, 1), (3, 0)], "b": [(8, 0), (9, 0)]}, "monotone_likelihood"),
        ({"a": [(8, 0), (9, 0), (9, 0)], "b": [(1, 1)]}, "monotone_likelihood"),
        ({"a": [(5, 1), (9, 0)], "b": [(4, 0)]}, "no_variance"),
    ],
)
def test_ratio_that_is_not_defined_says_why(times: dict[str, list[tuple[int, int]]], reason: str) -> None:
    ratio = ratios_of(times, "b")["b"]
    assert (ratio.estimate, ratio.lower, ratio.upper, ratio.reason) == (None, None, None, reason)
    assert describe_ratio(ratio)


def test_one_group_has_no_other_to_be_compared_with() -> None:
    assert ratios_of({"a": [(1, 1)]})["a"].reason == "one_group"
    assert hazard_lines([*ratios_of({"a": [(1, 1)]}).values()]) == []
    assert compare_hazards(observe([], []), np.array([], dtype=object), []) == ()


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 1)), min_size=1, max_size=12),
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 1)), min_size=1, max_size=12),
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 1)), max_size=3),
)
def test_no_third_group_moves_a_ratio_and_limits_enclose_it(
    first: list[tuple[int, int]], second: list[tuple[int, int]], third: list[tuple[int, int]]
) -> None:
    alone, beside = ratios_of({"a": first, "b": second}), ratios_of({"a": first, "b": second, "c": third})
    if alone["a"].reference == beside["a"].reference:
        assert (alone["a"], alone["b"]) == (beside["a"], beside["b"])
    for ratio in beside.values():
        if ratio.estimate is not None and ratio.lower is not None and ratio.upper is not None:
            assert 0 < ratio.lower < ratio.estimate < ratio.upper


# Under divided curves


def toy() -> StudySnapshot:
    """F3's cohort: no effect of the stereotactic courses was built in."""
    courses = {120: 90, 180: 100, 220: 120, 300: 150}
    dying = [
        treated(*([stereotactic_course(courses[day])] if day in courses else []), dead(day))
        for day in (30, 45, 60, 80, 100, 120, 150, 180, 220, 260, 300)
    ]
    return cohort_of([*dying, treated(stereotactic_course(200), *alive(365))])


def test_ratio_of_a_group_that_is_reached_counts_the_time_before_in_the_other() -> None:
    """W9; R's coxph with the day of change. The naive comparison has 0.246 (0.061 to 0.987)."""
    figure = OverallSurvival.compute(toy(), selection(400, by="subset", is_named_cut=True))
    (other, stereotactic) = figure.hazard_ratios or ()
    assert (other.reason, stereotactic.reference) == ("reference", "other")
    assert [round(value, 2) for value in numbers(stereotactic)] == [1.22, 0.2, 7.4]
    words = "Hazard ratio, stereotactic against other: 1.22 (95 % CI 0.20–7.40)"
    assert f"{words}." in figure.caption(context())
    assert words in [element.text for element in parse_svg(figure.draw(context())).iter(f"{SVG}text")]


def test_live_position_has_no_ratio_and_an_undivided_curve_no_member() -> None:
    live: Any = OverallSurvival.compute(toy(), selection(400, by="sex")).to_json()
    assert (live["hazard_ratios"], live["reason"]) == (None, "live")
    undivided = OverallSurvival.compute(toy(), selection(400, is_named_cut=True)).to_json()
    assert "hazard_ratios" not in undivided


def test_readers_get_no_ratio_of_a_divided_curve() -> None:
    figure = OverallSurvival.compute(toy(), selection(400, by="subset", is_named_cut=True))
    published = figure.published(2, FOUR_CASES_CUT)
    assert "hazard_ratios" not in published.to_json()
    assert "Hazard ratio" not in published.caption(context()) + published.draw(context())


@pytest.mark.parametrize("name", ["locoregional-control", "distant-control", "severe-toxicity"])
def test_incidences_have_cause_specific_ratios_at_named_cuts(name: str) -> None:
    women = [treated(disease_progressed(20 * day, kind="regional"), dead(300)) for day in range(1, 6)]
    men = [treated(disease_progressed(31 * day, kind="distant"), dead(200), sex="male") for day in range(1, 5)]
    cohort = cohort_of([*women, *men])
    live: Any = FIGURES[name].compute(cohort, selection(400, by="sex"))
    assert (live.test, live.hazard_ratios, live.reason) == (None, None, "live")
    sealed: Any = FIGURES[name].compute(cohort, selection(400, by="sex", is_named_cut=True))
    assert [ratio.group for ratio in sealed.hazard_ratios] == ["female", "male"]
    assert all(f"{line}." in sealed.caption(context()) for line in hazard_lines(sealed.hazard_ratios, CAUSE_SPECIFIC))


def test_readers_get_no_cause_specific_ratio() -> None:
    divided = selection(400, by="subset", is_named_cut=True)
    figure = FIGURES["distant-control"].compute(toy(), divided)
    assert "hazard_ratios" in figure.to_json()
    assert "hazard_ratios" not in figure.published(2, FOUR_CASES_CUT).to_json()


def test_lesions_have_no_ratio_because_those_of_one_participant_are_alike() -> None:
    json: Any = FIGURES["local-control"].compute(toy(), selection(400, by="sex", is_named_cut=True)).to_json()
    assert (json["hazard_ratios"], json["reason"]) == (None, "clustered")


@pytest.mark.parametrize("by", ["site", "sex", "stage", "performance", "subset"])
@pytest.mark.parametrize("cohort", [[], [treated(dead(0))], [treated(*alive(9))] * 3, [treated(dead(9))] * 3])
def test_every_division_of_a_small_cohort_has_a_ratio_or_a_reason(by: str, cohort: list[list[Fact]]) -> None:
    figure = OverallSurvival.compute(cohort_of(cohort), selection(400, by=by, is_named_cut=True))
    assert figure.hazard_ratios is not None
    assert [ratio.group for ratio in figure.hazard_ratios] == [group.name for group in figure.groups]
    assert all(ratio.reason for ratio in figure.hazard_ratios)
    assert figure.draw(context()).startswith("<svg")


# The forest


def baseline(m: str, ecog: int) -> Fact:
    tnm = {"t": "T4b", "n": "N1b", "m": m}
    return facts.baseline_recorded(0, tnm=tnm, performance={"scale": "ECOG", "value": ecog})


def mixed_cohort() -> StudySnapshot:
    """Ten women and eight men, with stages, performances and years of birth that differ."""
    women = [treated(baseline("M1", day % 4), dead(20 * day + 5)) for day in range(1, 11)]
    men = [treated(baseline("M0", day % 3), dead(31 * day), sex="male") for day in range(1, 7)]
    living = [treated(*alive(200 + day), sex="male") for day in range(2)]
    return cohort_of([*women, *men, *living])


def forest(cut: int = 400, **changes: Any) -> HazardRatios:
    return HazardRatios.compute(mixed_cohort(), selection(cut, is_named_cut=True, **changes))


def row_of(figure: HazardRatios, by: str, group: str) -> ForestRow:
    (row,) = [row for row in figure.rows if (row.by, row.group) == (by, group)]
    return row


def test_forest_has_every_group_of_each_characteristic_with_its_deaths() -> None:
    figure = forest()
    assert (figure.n, figure.events, figure.origin) == (18, 16, "rt_start")
    counts = {(row.by, row.group): (row.n, row.events) for row in figure.rows}
    assert counts[("sex", "female")] == (10, 10)
    assert counts[("sex", "male")] == (8, 6)
    assert counts[("stage", "IVA")] == (0, 0)
    assert counts[("stage", "not_reported")] == (2, 0)
    assert counts[("age", "from_65")] == (18, 16)
    assert counts[("delivery", "hypofractionated")] == (18, 16)
    for by in ("sex", "stage", "performance", "age", "delivery"):
        assert sum(n for (name, _), (n, _) in counts.items() if name == by) == 18
    assert row_of(figure, "age", "under_65").reason == "nobody"
    assert row_of(figure, "delivery", "hypofractionated").reason == "one_group"
    assert row_of(figure, "stage", "not_reported").reason == "monotone_likelihood"


def test_captions_name_the_table_that_converts_karnofsky() -> None:
    words = "Karnofsky converted to ECOG by the Oken table"
    assert words in forest().caption(context())
    divided = replace(context(), filters=FigureFilters(by="performance"))
    figure = OverallSurvival.compute(mixed_cohort(), selection(400, by="performance"))
    assert f"by performance ({words})" in figure.caption(divided)
    assert words not in figure.caption(context())


def test_forest_row_is_the_ratio_under_the_curve_that_is_divided_alike() -> None:
    for by in ("sex", "stage", "performance"):
        divided = OverallSurvival.compute(mixed_cohort(), selection(400, by=by, is_named_cut=True))
        rows = [row.model_dump(exclude={"by", "n", "events"}) for row in forest().rows if row.by == by]
        assert rows == [ratio.model_dump() for ratio in divided.hazard_ratios or ()]


def test_live_forest_has_counts_and_no_estimates() -> None:
    figure = HazardRatios.compute(mixed_cohort(), selection(400))
    json: Any = figure.to_json()
    assert json["reason"] == "live"
    assert {(row["estimate"], row["lower"], row["upper"]) for row in json["rows"]} == {(None, None, None)}
    assert {row["reason"] for row in json["rows"]} == {"live", "reference"}
    assert "Hazard ratios are estimated at named data cuts." in figure.caption(context())
    assert "reason" not in forest().to_json()


def test_time_before_the_index_course_is_in_no_delivery() -> None:
    """A participant who is treated later had to live until then."""
    cohort = cohort_of([treated(dead(90), start=30), treated(dead(50), start=10), treated(*alive(20))[:3]])
    figure = HazardRatios.compute(cohort, selection(400, is_named_cut=True, origin="enrolled"))
    waiting, treated_ = row_of(figure, "delivery", "no_index_course"), row_of(figure, "delivery", "hypofractionated")
    assert (waiting.n, waiting.events, treated_.n, treated_.events) == (3, 0, 2, 2)
    assert "no_index_course" not in {row.group for row in forest().rows}


def test_imputed_dates_of_all_characteristics_are_counted_once() -> None:
    stated = [*facts.ENROLLMENT_FACTS, facts.baseline_recorded("2024-02"), facts.radiotherapy_started("2024-03")]
    figure = HazardRatios.compute(cohort_of([[*stated, *alive(200)]]), selection(400))
    assert figure.imputed_dates == 2


def test_picture_has_a_line_where_nothing_differs_and_a_point_for_each_estimate() -> None:
    figure = forest()
    root = parse_svg(figure.draw(context()))
    estimated = [row for row in figure.rows if row.estimate is not None]
    assert len(list(root.iter(f"{SVG}rect"))) == len(estimated) > 3
    assert len(list(root.iter(f"{SVG}circle"))) == sum(row.reason == "reference" for row in figure.rows) == 4
    texts = [element.text or "" for element in root.iter(f"{SVG}text")]
    assert {"Sex", "Stage", "Performance status (ECOG)", "Age at enrollment", "reference", "nobody"} <= set(texts)
    assert {"1", "← lower hazard", "higher hazard →", "no finite estimate"} <= set(texts)


def test_limits_beyond_the_axis_end_in_arrows_and_all_marks_stay_on_it() -> None:
    rare = [treated(*alive(900), sex="female")] * 40 + [treated(dead(800), sex="female")]
    cohort = cohort_of(
        [*rare, *[treated(dead(day), sex="male") for day in range(1, 12)], treated(dead(900), sex="male")]
    )
    figure = HazardRatios.compute(cohort, selection(1000, is_named_cut=True))
    row = row_of(figure, "sex", "male")
    assert row.upper is not None
    assert row.upper > 100
    for element in parse_svg(figure.draw(context())).iter(f"{SVG}rect"):
        assert 260 < float(element.get("x", "0")) < 560


def test_table_and_caption_name_reference_estimate_and_reason() -> None:
    figure = forest()
    header, rows = figure.table()
    assert header[:5] == ["Characteristic", "Group", "Reference", "Participants", "Deaths"]
    assert ["age", "under_65", "from_65", "0", "0", "", "", "", "nobody"] in rows
    caption = figure.caption(context())
    male = row_of(figure, "sex", "male")
    assert f"18 participants, 16 deaths. Sex, against female, male: {describe_ratio(male)}." in caption
    assert "Age at enrollment, against" not in caption
    assert "Delivery of the index course, against" not in caption


@pytest.mark.parametrize("cohort", [[], [treated(dead(0))], [treated(*alive(9))] * 3, [treated(dead(9))] * 3])
@pytest.mark.parametrize("is_named_cut", [True, False])
def test_small_cohorts_draw_what_is_known(cohort: list[list[Fact]], is_named_cut: bool) -> None:
    figure = HazardRatios.compute(cohort_of(cohort), selection(300, is_named_cut=is_named_cut))
    texts = [element.text for element in parse_svg(figure.draw(context())).iter(f"{SVG}text")]
    assert {"Deaths / n", "Sex", "female", "male"} <= set(texts)
    assert all(row.reason for row in figure.rows)


def test_four_cases_are_in_the_groups_of_their_ages_and_stages() -> None:
    figure = HazardRatios.compute(four_cases(), selection(FOUR_CASES_CUT, is_named_cut=True))
    counts = {(row.by, row.group): row.n for row in figure.rows if row.n}
    assert counts[("age", "under_65")] == 3
    assert counts[("age", "from_65")] == 1
    assert [counts[("stage", stage)] for stage in ("IVA", "IVB", "IVC")] == [1, 1, 2]


# Readers


def test_readers_get_the_totals_of_overall_survival_and_no_group() -> None:
    published: Any = forest().published(5, FOUR_CASES_CUT).to_json()
    assert (published["rows"], published["reason"]) == ([], "not_published")
    assert (published["n"], published["events"]) == (18, 16)
    figure = forest().published(5, FOUR_CASES_CUT)
    assert figure.table()[1] == []
    assert "are not published" in figure.caption(context())
    assert "female" not in figure.caption(context()) + figure.draw(context())


DIFFERENT = st.lists(
    st.tuples(
        st.sampled_from(["female", "male"]), st.sampled_from(["M0", "M1"]), st.integers(0, 4), st.integers(1, 90)
    ),
    min_size=2,
    max_size=6,
)


@given(DIFFERENT, st.data())
def test_neither_group_nor_day_of_a_participant_shows_to_readers(
    cohort: list[tuple[str, str, int, int]], data: st.DataObject
) -> None:
    """Two studies that differ in the groups and the day of death of one participant publish equal bytes."""
    index, other = data.draw(st.integers(0, len(cohort) - 1)), data.draw(DIFFERENT)[0]
    published = []
    for study in (cohort, [*cohort[:index], other, *cohort[index + 1 :]]):
        people = [treated(baseline(m, ecog), dead(day), sex=sex) for sex, m, ecog, day in study]
        figure = HazardRatios.compute(cohort_of(people), selection(300, is_named_cut=True))
        published.append(figure.published(5, FOUR_CASES_CUT))
    assert published[0].to_json() == published[1].to_json()
    assert published[0].draw(context()) == published[1].draw(context())
