"""Locoregional and distant control, and the pattern of first failure: what fails where, and death without failure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.endpoints.overall_survival import overall_survival
from services.analytics.endpoints.progression_control import (
    FAILURE,
    FIRST_FAILURES,
    Failure,
    count_deaths_after_gap,
    death_cause,
    other_progression_control_readings,
    progression_control,
)
from services.analytics.endpoints.progression_free_survival import progression_free_survival
from services.analytics.endpoints.time_to_event import EndpointTimes
from services.analytics.statistics.competing_risks import cumulative_incidence, incidence_at
from services.analytics.statistics.risk_sets import CENSORED
from shared.kernel.fact import Fact
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as follow_up
from tests.unit.analytics.endpoints.cohorts import (
    FOUR_CASES_CUT,
    alive,
    cohort_of,
    dead,
    four_cases,
    selection,
    treated,
)

LOCAL, REGIONAL, DISTANT, SEVERAL = (FAILURE + number for number in range(len(FIRST_FAILURES)))
DEATH = death_cause("locoregional")
LESIONS = (
    facts.lesion_registered("P1", kind="primary"),
    facts.lesion_registered("N1", kind="node"),
    facts.lesion_registered("M1", kind="metastasis"),
)


def ends_of(times: EndpointTimes) -> list[tuple[int, int]]:
    """Returns the day and the cause of each end, in the order of the participants."""
    return list(zip(times.observations.exits.tolist(), times.observations.causes.tolist(), strict=True))


def ends(failure: Failure, cut: int | date, *participants: Sequence[Fact], **changes: Any) -> list[tuple[int, int]]:
    return ends_of(progression_control(cohort_of(participants), selection(cut, **changes), failure))


def contact(day: int, *lesions: str, **disease: Any) -> Fact:
    """Returns a contact at which these lesions were found progressed, and the rest of the disease as `disease` says."""
    status = follow_up.disease_status(*lesions, status="progressed", distant="stable")
    return follow_up.follow_up_recorded(day, disease={**status, **disease})


def test_given_the_four_cases_then_locoregional_failure_and_death_are_a_quarter_each() -> None:
    times = progression_control(four_cases(), selection(FOUR_CASES_CUT), "locoregional")
    assert ends_of(times) == [(162, FAILURE), (145, DEATH), (568, CENSORED), (338, CENSORED)]
    curves = cumulative_incidence(times.observations, 2)
    assert (incidence_at(curves, FAILURE, 162).value, incidence_at(curves, DEATH, 145).value) == (0.25, 0.25)


def test_given_the_four_cases_then_every_first_failure_is_distant() -> None:
    days = [42, 101, 147, 248]
    causes: dict[Failure, int] = {"distant": FAILURE, "first": DISTANT}
    for failure, cause in causes.items():
        times = progression_control(four_cases(), selection(FOUR_CASES_CUT), failure)
        assert ends_of(times) == [(day, cause) for day in days]


@pytest.mark.parametrize(
    ("evidence", "locoregional", "distant", "first"),
    [
        (follow_up.disease_progressed(50, "P1"), True, False, LOCAL),
        (follow_up.disease_progressed(50, "N1"), True, False, LOCAL),
        (follow_up.disease_progressed(50, "M1"), False, False, LOCAL),
        (follow_up.disease_progressed(50, kind="regional"), True, False, REGIONAL),
        (follow_up.disease_progressed(50), False, True, DISTANT),
        (follow_up.disease_progressed(50, kind="distant", lesion_id="M1"), False, True, DISTANT),
        (contact(50, "P1"), True, False, LOCAL),
        (contact(50, "M1"), False, False, LOCAL),
        (contact(50, regional="progressed"), True, False, REGIONAL),
        (contact(50, distant="progressed"), False, True, DISTANT),
        (contact(50, "N1", distant="progressed"), True, True, SEVERAL),
        (contact(50, "M1", "P1"), True, False, LOCAL),
    ],
)
def test_given_evidence_then_it_is_a_failure_where_it_is_seen(
    evidence: Fact, locoregional: bool, distant: bool, first: int
) -> None:
    participant = treated(*LESIONS, evidence, contact(90))
    failures: dict[Failure, bool] = {"locoregional": locoregional, "distant": distant}
    for failure, is_failure in failures.items():
        expected = (50, FAILURE) if is_failure else (90, CENSORED)
        assert ends(failure, 300, participant) == [expected]
    assert ends("first", 300, participant) == [(50, first)]


def test_given_failures_on_two_days_then_the_first_one_alone_is_the_first_failure() -> None:
    participant = treated(*LESIONS, follow_up.disease_progressed(60, "P1"), follow_up.disease_progressed(59))
    assert ends("first", 300, participant) == [(59, DISTANT)]
    assert ends("locoregional", 300, participant) == [(60, FAILURE)]


def test_given_another_failure_then_it_does_not_end_the_time() -> None:
    participant = treated(*LESIONS, follow_up.disease_progressed(40), contact(80, regional="progressed"), dead(100))
    assert ends("locoregional", 300, participant) == [(80, FAILURE)]
    assert ends("locoregional", 79, participant) == [(40, CENSORED)]


@pytest.mark.parametrize("basis", ["imaging", "clinical", "histology"])
def test_given_a_stated_progression_elsewhere_then_it_is_a_disease_assessment(basis: str) -> None:
    """A contact that sees the same has assessed the disease on its day, and the statement says as much."""
    stated, contact_with_it = follow_up.disease_progressed(60, basis=basis), contact(60, distant="progressed")
    after = alive(200)
    assert ends("locoregional", 300, treated(*LESIONS, contact(20), stated, *after)) == [(60, CENSORED)]
    assert ends("locoregional", 300, treated(*LESIONS, contact(20), contact_with_it, *after)) == [(60, CENSORED)]
    cohort = cohort_of([treated(*LESIONS, stated, dead(240))])
    times = progression_control(cohort, selection(300), "locoregional")
    assert count_deaths_after_gap(cohort, selection(300), "locoregional", times) == 0


def test_given_failure_and_death_on_one_day_then_the_failure_comes_first() -> None:
    histology = follow_up.disease_progressed(50, "P1", basis="histology")
    assert ends("locoregional", 300, treated(*LESIONS, histology, dead(50))) == [(50, FAILURE)]
    assert ends("distant", 300, treated(*LESIONS, histology, dead(50))) == [(50, DEATH)]
    assert ends("first", 300, treated(dead(50))) == [(50, death_cause("first"))]


def test_given_progression_by_time_0_then_it_is_no_failure() -> None:
    stated = treated(follow_up.disease_progressed(-3), follow_up.disease_progressed(0), contact(30), enrolled=-9)
    assert ends("distant", 300, stated) == ends("first", 300, stated) == [(30, CENSORED)]


def test_given_deaths_then_those_long_after_the_last_assessment_are_counted() -> None:
    long_ago, recent = treated(contact(10), dead(194)), treated(contact(10), dead(193))
    failed = treated(follow_up.disease_progressed(5), dead(400))
    cohort = cohort_of([long_ago, recent, failed])
    counts: dict[Failure, int] = {"distant": 1, "locoregional": 2, "first": 1}
    for failure, expected in counts.items():
        times = progression_control(cohort, selection(500), failure)
        assert count_deaths_after_gap(cohort, selection(500), failure, times) == expected


def test_given_a_death_without_a_date_then_it_competes_in_another_reading_alone() -> None:
    cohort = cohort_of([treated(contact(60), *alive(100), dead(None))])
    times = progression_control(cohort, selection(300), "distant")
    assert ends_of(times) == [(60, CENSORED)]
    ((name, reading),) = other_progression_control_readings(cohort, selection(300), "distant", times)
    assert (name, ends_of(reading)) == ("undated_as_event", [(101, DEATH)])


DAYS = st.integers(0, 30)
HAPPENINGS = st.one_of(
    st.builds(
        contact,
        DAYS,
        regional=st.sampled_from(["none", "progressed"]),
        distant=st.sampled_from(["stable", "progressed"]),
    ),
    st.builds(follow_up.disease_progressed, DAYS, st.sampled_from(["P1", "N1", "M1", None])),
    st.builds(lambda day: alive(day)[0], DAYS),
    st.builds(facts.consent_withdrawn, DAYS),
)
PARTICIPANTS = st.builds(
    lambda stated, died, enrolled: treated(*LESIONS, *stated, *died, enrolled=enrolled),
    st.lists(HAPPENINGS, max_size=6),
    st.lists(st.builds(dead, st.none() | DAYS), max_size=1),
    st.integers(0, 8),
)


@given(st.lists(PARTICIPANTS, min_size=1, max_size=5), st.integers(0, 35))
def test_first_failures_and_deaths_are_the_events_of_progression_free_survival(
    cohort: list[list[Fact]], cut: int
) -> None:
    snapshot, chosen = cohort_of(cohort), selection(cut)
    first, free = (progression_control(snapshot, chosen, "first"), progression_free_survival(snapshot, chosen))
    assert first.observations.exits.tolist() == free.observations.exits.tolist()
    assert [cause != CENSORED for _, cause in ends_of(first)] == [cause != CENSORED for _, cause in ends_of(free)]
    assert first.not_counted == free.not_counted


@given(st.lists(PARTICIPANTS, min_size=1, max_size=5), st.integers(0, 35), st.sampled_from(["locoregional", "distant"]))
def test_whoever_dies_in_survival_ends_in_every_curve(cohort: list[list[Fact]], cut: int, failure: Failure) -> None:
    snapshot, chosen = cohort_of(cohort), selection(cut)
    times, survival = progression_control(snapshot, chosen, failure), overall_survival(snapshot, chosen)
    died = survival.subjects[survival.observations.causes != CENSORED]
    ended = dict(zip(times.subjects.tolist(), times.observations.causes.tolist(), strict=True))
    assert all(ended.get(subject, FAILURE) != CENSORED for subject in died.tolist())
    assert times.participants + sum(times.not_counted.values()) == survival.participants + sum(
        survival.not_counted.values()
    )
