"""Best response: which responses count, the best of them, and its shares of those assessed and of all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.endpoints.best_response import RESPONSES
from services.analytics.figures.figure import FigureContext
from services.analytics.figures.filters import FigureFilters
from services.analytics.figures.response import BestResponse, ResponseGroup
from services.analytics.snapshot.selection import Selection
from shared.kernel.fact import Fact
from shared.testing.builders import facts
from shared.testing.builders.follow_up_facts import follow_up_recorded
from tests.unit.analytics.endpoints.cohorts import (
    FOUR_CASES_CUT,
    alive,
    cohort_of,
    four_cases,
    selection,
    stereotactic_course,
    treated,
)
from tests.unit.analytics.support import ENROLLED, RECORDED_AT, SCREENED, TODAY

CONTEXT = FigureContext(
    study_id="s", position=1, recorded_at=RECORDED_AT, cut_date=FOUR_CASES_CUT, filters=FigureFilters()
)


def responses(*days_and_responses: tuple[int, str]) -> list[Fact]:
    return [follow_up_recorded(day, response=response) for day, response in days_and_responses]


def best_of(group: ResponseGroup) -> dict[str, int]:
    return {share.response: share.participants for share in group.best if share.participants}


def best(cut: int, *stated: tuple[int, str], start: int = 0) -> dict[str, int]:
    """Returns the best response of a participant whose index course starts on a day."""
    figure = BestResponse.compute(cohort_of([treated(*responses(*stated), start=start)]), selection(cut))
    return best_of(figure.groups[0])


def test_best_of_all_responses_after_the_origin_counts() -> None:
    stated = [(30, "SD"), (60, "PR"), (90, "CR"), (120, "PD")]
    assert [best(cut, *stated) for cut in (29, 30, 60, 200)] == [{}, {"SD": 1}, {"PR": 1}, {"CR": 1}]


def test_response_on_or_before_the_origin_is_none() -> None:
    assert best(200, (9, "CR"), (10, "PR"), (11, "PD"), start=10) == {"PD": 1}


def test_response_that_is_not_evaluable_is_an_assessment_and_the_least() -> None:
    assert best(200, (30, "NE"), (60, "PD")) == {"PD": 1}
    assert best(200, (30, "PD"), (60, "NON-CR/NON-PD")) == {"NON-CR/NON-PD": 1}
    (group,) = BestResponse.compute(cohort_of([treated(*responses((30, "NE")))]), selection(99)).groups
    assert (best_of(group), group.assessed.participants) == ({"NE": 1}, 1)


def test_response_rate_is_of_those_with_an_assessment_and_of_all() -> None:
    snapshot = cohort_of(
        [
            treated(*responses((30, "CR"))),
            treated(*responses((30, "PR"))),
            treated(*responses((30, "PR"))),
            treated(*responses((30, "SD"))),
            treated(*alive(30)),
            [SCREENED, ENROLLED],
        ]
    )
    figure = BestResponse.compute(snapshot, selection(99))
    (group,) = figure.groups
    of_assessed, of_all = group.objective_of_assessed, group.objective_of_all
    assert (of_assessed.participants, of_assessed.of, of_all.of) == (3, 4, 5)
    assert (of_assessed.lower, of_assessed.upper) == pytest.approx((0.194120449683243, 0.993690536790290), abs=1e-12)
    assert (of_all.lower, of_all.upper) == pytest.approx((0.146632799634673, 0.947255049473683), abs=1e-12)
    assert [(row.reason, row.participants) for row in figure.not_counted] == [("no_origin", 1)]
    caption = figure.caption(CONTEXT)
    assert "Best response by RECIST 1.1 after the start of the index course." in caption
    assert "partial response of those with an assessment: 3 / 4 = 75.0 % (95 % CI 19.4–99.4); of all: 3 / 5" in caption
    assert "Best response: CR 1, PR 2, SD 1, not assessed 1." in caption
    assert figure.headline(CONTEXT) == [("responses", "3", "CR or PR, of 4 participants assessed")]
    assert figure.table()[1][-1] == ["all", "Not assessed", "1", "5", "20.0", "0.5", "71.6"]


def test_four_cases_have_two_assessed_without_a_response() -> None:
    (group,) = BestResponse.compute(four_cases(), selection(FOUR_CASES_CUT)).groups
    assert (best_of(group), group.assessed.of) == ({"SD": 2}, 4)
    share = group.objective_of_assessed
    assert (share.participants, share.of, share.lower) == (0, 2, 0)
    assert share.upper == pytest.approx(0.841886116991581, abs=1e-12)


def test_origin_decides_which_responses_count() -> None:
    snapshot = cohort_of([treated(*responses((30, "CR"), (90, "SD")), stereotactic_course(60))])
    by_origin = [
        BestResponse.compute(snapshot, selection(200, origin=origin)) for origin in ("rt_start", "stereotactic_start")
    ]
    assert [best_of(figure.groups[0]) for figure in by_origin] == [{"CR": 1}, {"SD": 1}]
    assert [figure.origin for figure in by_origin] == ["rt_start", "stereotactic_start"]


def test_response_before_the_first_stereotactic_target_is_none_of_the_stereotactic_subset() -> None:
    snapshot = cohort_of([treated(*responses((30, "CR"), (90, "SD")), stereotactic_course(60))])
    subset = BestResponse.compute(snapshot, selection(200, subset="stereotactic"))
    assert best_of(subset.groups[0]) == {"SD": 1}
    assert "subset" not in BestResponse.STRATIFICATIONS


def test_nobody_with_an_origin_has_no_rate() -> None:
    figure = BestResponse.compute(cohort_of([]), selection(9))
    assert figure.groups[0].objective_of_all.estimate is None
    assert figure.headline(CONTEXT) == [("responses", "0", "CR or PR, of 0 participants assessed")]


def test_imputed_dates_are_those_of_enrollment_origin_and_best_response() -> None:
    dated = [
        facts.participant_screened("2024-02-01"),
        facts.participant_enrolled("2024-02"),
        facts.radiotherapy_started("2024-03"),
        follow_up_recorded("2024-05", response="SD"),
        follow_up_recorded("2024-07", response="PD"),
    ]
    assert BestResponse.compute(cohort_of([dated]), Selection(TODAY)).imputed_dates == 3


STATED = st.lists(st.tuples(st.integers(0, 60), st.sampled_from(RESPONSES)), max_size=5)


@given(st.lists(STATED, max_size=6), st.integers(0, 70))
def test_best_is_the_first_in_order_of_the_responses_after_day_0_by_the_cut(
    stated: list[list[tuple[int, str]]], cut: int
) -> None:
    (group,) = BestResponse.compute(cohort_of([treated(*responses(*rows)) for rows in stated]), selection(cut)).groups
    order = list[str](RESPONSES)
    expected = dict.fromkeys(order, 0)
    for rows in stated:
        counted = [response for day, response in rows if 0 < day <= cut]
        if counted:
            expected[min(counted, key=order.index)] += 1
    assert {share.response: share.participants for share in group.best} == expected
    assert group.assessed.participants == sum(expected.values())
    assert {share.of for share in group.best} == {len(stated)}
    assert group.objective_of_all.participants == expected["CR"] + expected["PR"]
