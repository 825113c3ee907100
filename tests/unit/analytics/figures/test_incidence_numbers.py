"""Incidence of an event beside competing causes: the numbers of a figure, its picture, and what readers see of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.figures.incidence_chart import (
    IncidencePicture,
    competing_curve,
    draw_incidence,
    event_curve,
)
from services.analytics.figures.incidence_numbers import IncidenceGroup, IncidencePlan, incidence_group
from services.analytics.figures.incidence_publication import publish_incidence
from services.analytics.figures.survival_publication import late_entries
from services.analytics.statistics.risk_sets import Observations, observe
from tests.svg import parse_svg

MONTH = 30.4375
SVG = "{http://www.w3.org/2000/svg}"
PLAN = IncidencePlan(competing=("death", "retreatment"), months=(1, 6), ticks=(0, MONTH, 6 * MONTH))


def group_of(*times: tuple[int, int]) -> IncidenceGroup:
    return incidence_group("all", observations_of(times), PLAN)


def observations_of(times: tuple[tuple[int, int], ...]) -> Observations:
    return observe([day for day, _ in times], [cause for _, cause in times])


def test_rows_have_the_event_beside_every_competing_cause() -> None:
    group = group_of((10, 1), (20, 2), (30, 3), (200, 0))
    assert (group.n, group.events, group.events_by_cause) == (4, 1, {"death": 1, "retreatment": 1})
    last = group.curve[-1]
    assert (last.time, last.estimate, last.competing, last.event_free) == (200, 0.25, 0.5, 0.25)
    assert last.by_cause == {"death": 0.25, "retreatment": 0.25}
    assert [(row.time, row.events, row.events_by_cause, row.censored) for row in group.curve[1:3]] == [
        (10, 1, {"death": 0, "retreatment": 0}, 0),
        (20, 0, {"death": 1, "retreatment": 0}, 0),
    ]
    assert group.median.estimate is None
    assert group.proportion.estimate == 0.25


def test_incidence_of_0_has_no_limits() -> None:
    first = group_of((10, 1), (20, 0)).curve[0]
    assert (first.time, first.estimate, first.lower, first.upper, first.event_free) == (0, 0, None, None, 1)


def test_nobody_has_no_estimate() -> None:
    group = group_of()
    (row,) = group.curve
    assert (row.at_risk, row.estimate, row.competing, row.event_free) == (0, None, None, None)
    assert row.by_cause == {"death": None, "retreatment": None}
    assert (group.proportion.estimate, group.median.estimate) == (None, None)


def test_landmark_after_the_last_exit_is_undefined_while_somebody_is_left() -> None:
    first, second = group_of((10, 1), (20, 2), (40, 0)).landmarks
    assert first.estimate == first.competing == pytest.approx(1 / 3, abs=1e-15)
    assert (second.estimate, second.competing) == (None, None)


def test_median_is_the_first_day_on_which_half_have_had_the_event() -> None:
    assert group_of((10, 1), (20, 1), (40, 0), (50, 0)).median.estimate == 20
    assert group_of((10, 2), (20, 2), (40, 1), (50, 0)).median.estimate is None


def test_numbers_below_the_curve_add_up_to_all() -> None:
    group = group_of((10, 1), (20, 2), (35, 3), (40, 0))
    assert [(row.at_risk, row.events, row.competing, row.censored) for row in group.risk_table] == [
        (4, 0, 0, 0),
        (2, 1, 1, 0),
        (0, 1, 2, 1),
    ]


TIMES = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 3)), max_size=40)


@given(TIMES)
def test_incidences_and_the_event_free_share_add_up_to_1(times: list[tuple[int, int]]) -> None:
    for row in group_of(*times).curve:
        if row.estimate is not None and row.competing is not None and row.event_free is not None:
            assert row.estimate + row.competing + row.event_free == pytest.approx(1, abs=1e-12)
            assert row.competing == pytest.approx(sum(value or 0 for value in row.by_cause.values()), abs=1e-12)


def picture_of(group: IncidenceGroup) -> str:
    return draw_incidence(
        IncidencePicture(
            name="n",
            title="T",
            caption="C",
            axis_title="Months",
            curves=[event_curve("event", group), competing_curve("death", group)],
            groups=[group],
        )
    )


@pytest.mark.parametrize("times", [(), ((10, 0),), ((0, 1),), ((10, 1), (20, 1)), ((10, 1), (20, 2), (200, 0))])
def test_small_cohorts_draw_what_is_known(times: tuple[tuple[int, int], ...]) -> None:
    group = group_of(*times)
    texts = [element.text for element in parse_svg(picture_of(group)).iter(f"{SVG}text")]
    assert ("Nobody is at risk" in texts) is (not times)
    assert {"At risk", "Events", "Competing", "Censored", "event", "death", "0", "0.25", "0.5", "0.75", "1"} <= set(
        texts
    )
    assert picture_of(publish_incidence(group, (), 5)).startswith("<svg")


# Readers


def test_readers_get_a_life_table_of_every_cause() -> None:
    """Ten of 20 leave in month 1, 3 of them by the event and 2 censored: 20 - 2 / 2 = 19 were exposed."""
    group = group_of(*[(5, 1)] * 3, *[(9, 2)] * 5, *[(12, 0)] * 2, *[(400, 0)] * 10)
    published = publish_incidence(group, (), 5)
    (point,) = published.curve
    assert (point.time, point.month, point.at_risk, point.events, point.lower) == (30, 1, 10, None, None)
    assert (point.estimate, point.competing, point.event_free) == (0.16, 0.26, 0.58)
    assert point.by_cause == {"death": 0.26, "retreatment": 0.0}
    assert (published.n, published.events, published.risk_table) == (20, 3, ())
    assert [landmark.estimate for landmark in published.landmarks] == [0.16, 0.16]


@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(1, 3)), min_size=6, max_size=12),
    st.data(),
)
def test_day_of_one_event_within_its_block_does_not_show(times: list[tuple[int, int]], data: st.DataObject) -> None:
    index, day = data.draw(st.integers(0, len(times) - 1)), data.draw(st.integers(1, 30))
    other = [*times[:index], (day, times[index][1]), *times[index + 1 :]]
    longer = [(400, 0)] * 6
    first, second = (publish_incidence(group_of(*study, *longer), (), 5) for study in (times, other))
    assert first == second
    assert picture_of(first) == picture_of(second)


def test_delayed_entries_are_in_the_life_table_of_readers() -> None:
    observations = observe([10] * 5 + [50] * 5 + [80] * 10, [1] * 5 + [2] * 5 + [0] * 10, [0] * 10 + [40] * 10)
    group = incidence_group("all", observations, PLAN)
    first, second = publish_incidence(group, late_entries(observations), 5).curve
    assert (first.month, first.estimate, first.at_risk) == (1, 0.5, 5)
    assert (second.month, second.competing, second.at_risk) == (2, 0.25, 10)
