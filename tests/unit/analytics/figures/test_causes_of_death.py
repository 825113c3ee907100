"""Causes of death: which deaths count, their shares, and what is uncertain about them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.figures.causes_of_death import CausesOfDeath, DeathsGroup
from services.analytics.figures.figure import FigureContext
from services.analytics.figures.filters import FigureFilters
from services.analytics.figures.participant_flow import ParticipantFlow
from services.analytics.snapshot.selection import Selection
from shared.testing.builders import facts
from shared.testing.builders.follow_up_facts import participant_died
from tests.unit.analytics.endpoints.cohorts import (
    FOUR_CASES_CUT,
    alive,
    cohort_of,
    dead,
    four_cases,
    selection,
    treated,
)
from tests.unit.analytics.support import RECORDED_AT, TODAY

CONTEXT = FigureContext(
    study_id="s", position=1, recorded_at=RECORDED_AT, cut_date=FOUR_CASES_CUT, filters=FigureFilters()
)


def causes_of(group: DeathsGroup) -> dict[str, int]:
    return {share.cause: share.participants for share in group.causes}


def test_four_cases_have_three_deaths_of_the_disease_one_of_them_presumed_and_undated() -> None:
    figure = CausesOfDeath.compute(four_cases(), selection(FOUR_CASES_CUT))
    (group,) = figure.groups
    assert (group.died.participants, group.died.of, group.died.estimate) == (3, 4, 0.75)
    assert (group.died.lower, group.died.upper) == pytest.approx((0.194120449683243, 0.993690536790290), abs=1e-12)
    assert (group.presumed, group.undated, group.after_withdrawal) == (1, 1, 0)
    assert sum(causes_of(group).values()) == 3
    caption = figure.caption(CONTEXT)
    assert "Died 3 / 4 = 75.0 % (95 % CI 19.4–99.4)." in caption
    assert "Of the deaths, 1 presumed and 1 without a date." in caption
    assert figure.headline(CONTEXT) == [("died", "3", "died, of 4 enrolled participants")]


def test_every_cause_is_there_and_a_death_counts_from_its_day() -> None:
    snapshot = cohort_of([treated(dead(50, cause="treatment")), treated(dead(90, cause="other")), treated(*alive(95))])
    by_cut = [CausesOfDeath.compute(snapshot, selection(cut)).groups[0] for cut in (49, 50, 90)]
    assert [causes_of(group) for group in by_cut] == [
        {"tumour": 0, "treatment": 0, "other": 0, "unknown": 0},
        {"tumour": 0, "treatment": 1, "other": 0, "unknown": 0},
        {"tumour": 0, "treatment": 1, "other": 1, "unknown": 0},
    ]
    assert [(share.estimate, share.lower) for share in by_cut[0].causes] == [(None, None)] * 4


def test_death_after_the_withdrawal_of_consent_counts_and_is_noted() -> None:
    withdrawn = treated(facts.consent_withdrawn(40), dead(60, cause="unknown"))
    (group,) = CausesOfDeath.compute(cohort_of([withdrawn]), selection(90)).groups
    assert (causes_of(group)["unknown"], group.after_withdrawal) == (1, 1)
    assert CausesOfDeath.compute(cohort_of([withdrawn]), selection(50)).groups[0].after_withdrawal == 0


def test_nobody_enrolled_has_no_share_and_groups_without_anybody_are_there() -> None:
    figure = CausesOfDeath.compute(cohort_of([]), selection(9))
    assert figure.groups[0].died.estimate is None
    assert "Died not defined (no participants)." in figure.caption(CONTEXT)
    by_sex = CausesOfDeath.compute(cohort_of([treated(dead(5))]), selection(9, by="sex"))
    assert [(group.name, group.died.participants, group.died.of) for group in by_sex.groups] == [
        ("female", 1, 1),
        ("male", 0, 0),
    ]
    header, rows = by_sex.table()
    assert rows[0] == ["female", "Died, of the enrolled", "1", "1", "100.0", "2.5", "100.0"]
    assert len(header) == len(rows[-1])


def test_excluded_participants_are_in_no_count() -> None:
    figure = CausesOfDeath.compute(cohort_of([treated(dead(5))] * 2, excluded=["P00"]), selection(9))
    assert (figure.groups[0].died.of, figure.left_out) == (1, 1)


def test_imputed_dates_are_those_of_enrollment_and_death() -> None:
    dated = [
        facts.participant_screened("2024-02-01"),
        facts.participant_enrolled("2024-02"),
        participant_died("2024-09"),
    ]
    assert CausesOfDeath.compute(cohort_of([dated]), Selection(TODAY)).imputed_dates == 2


DEATHS = st.tuples(
    st.sampled_from([None, *range(1, 60)]),
    st.sampled_from(["tumour", "treatment", "other", "unknown"]),
    st.booleans(),
    st.sampled_from(["alive", "dead", "withdrawn"]),
)


@given(st.lists(DEATHS, max_size=8), st.integers(0, 70))
def test_deaths_are_those_of_the_participant_flow_and_each_has_one_cause(
    deaths: list[tuple[Any, str, bool, str]], cut: int
) -> None:
    participants = [
        treated(
            *alive(3),
            *([facts.consent_withdrawn(10)] if state == "withdrawn" else []),
            *([] if state == "alive" else [dead(day, cause=cause, presumed=is_presumed)]),
        )
        for day, cause, is_presumed, state in deaths
    ]
    snapshot = cohort_of(participants)
    (group,) = CausesOfDeath.compute(snapshot, selection(cut)).groups
    assert group.died.participants == ParticipantFlow.compute(snapshot, selection(cut)).died
    assert sum(causes_of(group).values()) == group.died.participants
    assert max(group.presumed, group.undated, group.after_withdrawal) <= group.died.participants
