"""Curves as readers see them: life tables that do not tell on which day a single participant had an event."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.disclosure.life_table import DAYS_OF_MONTH, LifeTable, TimeAtRisk, life_table, month_of

LUNG_WOMEN_DIED = (
    "5 60 61 62 79 81 95 107 122 145 145 153 166 167 182 186 194 199 201 201 208 226 239 245 268 285 293 305 310 340 "
    "345 348 350 351 361 363 371 426 433 444 450 473 520 524 550 641 654 687 705 728 731 735 765"
)
LUNG_WOMEN_CENSORED = (
    "92 105 173 175 177 192 202 203 211 224 235 240 243 252 266 269 272 276 292 296 315 332 356 364 376 382 384 511 "
    "511 529 543 551 559 588 740 821 965"
)
"""Days of 90 women (Loprinzi et al., Journal of Clinical Oncology 1994;12:601); `lung` of the R package survival."""
CAUSES = (None, "died", "progressed")
EXITS = st.builds(TimeAtRisk, exit_day=st.integers(0, 700), cause=st.sampled_from(CAUSES))
TIMES = st.lists(EXITS, max_size=60)
LATE_EXITS = st.builds(
    lambda entry, stay, cause: TimeAtRisk(exit_day=entry + stay, cause=cause, entry_day=entry),
    st.integers(0, 300),
    st.integers(1, 400),
    st.sampled_from(CAUSES),
)


def published_table(times_at_risk: Sequence[TimeAtRisk], minimum: int) -> LifeTable:
    return life_table(times_at_risk, ("died", "failed", "progressed"), minimum)


def times(died: Sequence[int], censored: Sequence[int] = ()) -> list[TimeAtRisk]:
    return [*(TimeAtRisk(day, "died") for day in died), *(TimeAtRisk(day) for day in censored)]


def lung_women() -> list[TimeAtRisk]:
    died, censored = (tuple(map(int, text.split())) for text in (LUNG_WOMEN_DIED, LUNG_WOMEN_CENSORED))
    return times(died, censored)


def survival(table: LifeTable) -> list[tuple[int, float, int]]:
    return [(point.month, point.event_free, point.at_risk) for point in table.points]


def test_survival_of_the_women_with_lung_cancer_is_that_of_r() -> None:
    table = published_table(lung_women(), 5)
    assert survival(table) == [
        (3, 0.93, 80),
        (5, 0.88, 75),
        (7, 0.76, 60),
        (10, 0.67, 40),
        (12, 0.53, 30),
        (15, 0.43, 20),
        (22, 0.29, 5),
    ]
    assert table.median == 15


def test_landmark_is_the_last_published_point_at_or_before_it() -> None:
    table = published_table(lung_women(), 5)
    estimates = {month: point and point.event_free for month in (2, 3, 12, 14, 60) for point in [table.landmark(month)]}
    assert estimates == {2: None, 3: 0.93, 12: 0.53, 14: 0.53, 60: 0.29}


def test_median_is_null_while_more_than_half_are_event_free() -> None:
    assert published_table(times([10] * 5, [100] * 20), 5).median is None
    assert published_table(times([10] * 10, [100] * 10), 5).median == 1


@pytest.mark.parametrize(("day", "month"), [(0, 1), (1, 1), (30, 1), (31, 2), (60, 2), (61, 3), (365, 12), (366, 13)])
def test_month_has_a_twelfth_of_a_year(day: int, month: int) -> None:
    assert month_of(day) == month
    assert (month - 1) * DAYS_OF_MONTH < max(day, 1) <= month * DAYS_OF_MONTH


def test_curve_ends_where_few_are_at_risk() -> None:
    assert survival(published_table(times([10] * 6, [900] * 4), 5)) == []
    assert survival(published_table(times([10] * 6 + [40] * 6, [900] * 5), 5)) == [(1, 0.65, 10), (2, 0.29, 5)]
    assert survival(published_table(times([10] * 6 + [100] * 6, [40] * 2 + [900] * 4), 5)) == [(1, 0.67, 10)]


def test_nobody_and_nothing_have_an_empty_table() -> None:
    assert published_table([], 5) == published_table(times([], [10, 20]), 5) == LifeTable(points=(), median=None)


def test_incidences_of_competing_causes_grow_by_their_share_of_the_events() -> None:
    first = [TimeAtRisk(20, "failed")] * 4 + [TimeAtRisk(20, "died")] * 2 + [TimeAtRisk(20)] * 4
    second = [TimeAtRisk(50, "failed")] * 1 + [TimeAtRisk(50, "died")] * 4
    table = published_table([*first, *second, *([TimeAtRisk(400)] * 15)], 5)
    exposure = 30 - Fraction(4, 2)
    event_free = 1 - 6 / exposure
    assert [(point.month, point.at_risk) for point in table.points] == [(1, 20), (2, 15)]
    assert table.points[0].incidence == {
        "died": round(float(2 / exposure), 2),
        "failed": round(float(4 / exposure), 2),
        "progressed": 0,
    }
    assert table.points[1].incidence["failed"] == round(float(4 / exposure + event_free * 1 / 20), 2)
    assert table.points[1].event_free == round(float(event_free * Fraction(15, 20)), 2)


def test_who_enters_late_is_at_risk_for_half_of_the_block() -> None:
    late_entries = [TimeAtRisk(400, None, entry_day=20)] * 10
    assert survival(published_table([*times([25] * 5, [400] * 20), *late_entries], 5)) == [(1, 0.83, 30)]
    assert survival(
        published_table([*times([25] * 5, [400] * 20), *([TimeAtRisk(400, None, entry_day=40)] * 10)], 5)
    ) == [(1, 0.8, 20)]


def test_curve_begins_once_enough_have_entered() -> None:
    late_entries = [TimeAtRisk(400, None, entry_day=40)] * 20 + [TimeAtRisk(80, "died", entry_day=40)] * 5
    assert survival(published_table(late_entries, 5)) == [(3, 0.6, 20)]


def test_more_events_than_average_exposure_end_the_curve() -> None:
    late_entries = [TimeAtRisk(29, "died", entry_day=28)] * 30 + [TimeAtRisk(400, None, entry_day=29)] * 6
    assert survival(published_table(late_entries, 5)) == []


@pytest.mark.parametrize(("entry", "exit_day"), [(0, -1), (10, 10), (10, 9), (10, 0)])
def test_time_that_ends_before_it_begins_is_refused(entry: int, exit_day: int) -> None:
    with pytest.raises(ValueError, match="never at risk"):
        TimeAtRisk(exit_day, entry_day=entry)


@given(TIMES, st.integers(2, 8))
def test_each_point_stands_for_enough_events_and_enough_at_risk(times_at_risk: list[TimeAtRisk], minimum: int) -> None:
    table = published_table(times_at_risk, minimum)
    months = [0, *(point.month for point in table.points)]
    event_months = [month_of(time.exit_day) for time in times_at_risk if time.cause]
    for earlier, later in pairwise(months):
        assert sum(earlier < month <= later for month in event_months) >= minimum
    for point in table.points:
        at_risk = sum(month_of(time.exit_day) > point.month for time in times_at_risk)
        assert at_risk >= minimum
        assert point.at_risk % minimum == 0
        assert 0 <= at_risk - point.at_risk < minimum


@given(st.lists(EXITS | LATE_EXITS, max_size=60), st.integers(2, 8))
def test_estimates_are_proportions_that_add_up_and_never_turn_back(
    times_at_risk: list[TimeAtRisk], minimum: int
) -> None:
    points = published_table(times_at_risk, minimum).points
    for point in points:
        assert point.event_free + sum(point.incidence.values()) == pytest.approx(1, abs=0.0051 * 3)
        assert all(
            value == round(value, 2) and 0 <= value <= 1 for value in (point.event_free, *point.incidence.values())
        )
    for earlier, later in pairwise(points):
        assert later.event_free <= earlier.event_free
        assert all(later.incidence[cause] >= value for cause, value in earlier.incidence.items())


@given(st.lists(EXITS, min_size=20, max_size=60), st.integers(2, 8), st.data())
def test_day_of_one_exit_within_its_block_does_not_show(
    times_at_risk: list[TimeAtRisk], minimum: int, data: st.DataObject
) -> None:
    """Two studies differ in the day of one participant's exit, within months that both of them show as one block."""
    table = published_table(times_at_risk, minimum)
    neighbors = [
        neighbor
        for first, last in pairwise([0, *(point.month for point in table.points)])
        for neighbor in _neighbors(times_at_risk, first + 1, last)
        if _events(neighbor, first + 1, last - 1) < minimum
    ]
    if neighbors:
        assert (
            published_table(data.draw(st.sampled_from(neighbors)), minimum).model_dump_json() == table.model_dump_json()
        )


def _neighbors(times_at_risk: Sequence[TimeAtRisk], first: int, last: int) -> Iterator[list[TimeAtRisk]]:
    """Yields studies in which one exit within these months is in another one of them, or on another day."""
    for index, time in enumerate(times_at_risk):
        if first <= month_of(time.exit_day) <= last:
            for month in range(first, last + 1):
                other_time = replace(time, exit_day=int(month * DAYS_OF_MONTH) - time.exit_day % 29)
                yield [*times_at_risk[:index], other_time, *times_at_risk[index + 1 :]]


def _events(times_at_risk: Sequence[TimeAtRisk], first: int, last: int) -> int:
    return sum(first <= month_of(time.exit_day) <= last and time.cause is not None for time in times_at_risk)


@given(st.lists(EXITS | LATE_EXITS, min_size=1, max_size=60), st.integers(2, 8), st.data())
def test_day_of_one_exit_within_its_month_never_shows(
    times_at_risk: list[TimeAtRisk], minimum: int, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(times_at_risk) - 1))
    time = times_at_risk[index]
    days = [
        day
        for day in range(max(0, time.exit_day - 31), time.exit_day + 32)
        if month_of(day) == month_of(time.exit_day) and day >= time.entry_day + bool(time.entry_day)
    ]
    neighbor = [*times_at_risk]
    neighbor[index] = replace(time, exit_day=data.draw(st.sampled_from(days)))
    assert published_table(neighbor, minimum) == published_table(times_at_risk, minimum)


# Times of lesions: several belong to one participant


def test_block_of_lesions_needs_events_of_enough_participants() -> None:
    """The death of a participant with five lesions is five events, and would be told by its month."""
    others = [TimeAtRisk(10 + 30 * number, "died") for number in range(4)]
    late = [TimeAtRisk(400)] * 6
    lesions = [*([TimeAtRisk(70, "died")] * 5), *others, *late]
    owners = [0] * 5 + [1, 2, 3, 4] + list(range(5, 11))
    assert [point.month for point in life_table(lesions, ["died"], 5).points] == [3]
    (point,) = life_table(lesions, ["died"], 5, owners).points
    assert (point.month, point.at_risk, point.event_free) == (4, 5, 0.4)


def test_table_of_lesions_ends_where_too_few_participants_are_at_risk() -> None:
    dying = [TimeAtRisk(10, "died")] * 5
    lesions = [*dying, *([TimeAtRisk(300)] * 8)]
    assert len(life_table(lesions, ["died"], 5, [*range(5), *([5] * 8)]).points) == 0
    assert len(life_table(lesions, ["died"], 5).points) == 1


@given(st.lists(st.tuples(LATE_EXITS, st.integers(0, 8)), max_size=40), st.integers(2, 4))
def test_every_block_of_lesions_has_events_of_enough_participants(
    lesions: list[tuple[TimeAtRisk, int]], minimum: int
) -> None:
    table = life_table([time for time, _ in lesions], ["died", "progressed"], minimum, [owner for _, owner in lesions])
    for earlier, later in pairwise([0, *(point.month for point in table.points)]):
        with_event = {owner for time, owner in lesions if time.cause and (earlier < month_of(time.exit_day) <= later)}
        at_risk = {
            owner
            for time, owner in lesions
            if month_of(time.exit_day) > later and (time.entry_day <= 0 or month_of(time.entry_day) <= later)
        }
        assert min(len(with_event), len(at_risk)) >= minimum
