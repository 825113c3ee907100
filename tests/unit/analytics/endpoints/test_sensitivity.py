"""Other readings of deaths, withdrawals and losses that are uncertain, beside overall survival."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from services.analytics.endpoints.sensitivity import sensitivity_readings
from services.analytics.endpoints.time_to_event import observe_endpoint
from services.analytics.snapshot.snapshot import StudySnapshot
from services.analytics.statistics.kaplan_meier import kaplan_meier, quantile
from shared.kernel.fact import Fact
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as follow_up
from tests.unit.analytics.endpoints.cohorts import (
    FOUR_CASES_CUT,
    Time,
    alive,
    cohort_of,
    dead,
    four_cases,
    selection,
    times_of,
    treated,
)


def lines(snapshot: StudySnapshot, cut: int) -> dict[str, list[Time]]:
    """Returns the times of each reading that applies to somebody."""
    chosen = selection(cut)
    return {
        reading.name: times_of(observe_endpoint(snapshot, chosen, reading.exits))
        for reading in sensitivity_readings(snapshot, chosen)
        if np.any(reading.applies)
    }


def lines_of(cut: int, *participants: Sequence[Fact]) -> dict[str, list[Time]]:
    return lines(cohort_of(participants), cut)


def test_given_nothing_uncertain_then_no_line_stands_beside_the_curve() -> None:
    assert lines_of(300, treated(dead(100)), treated(*alive(200))) == {}


def test_given_a_presumed_death_then_a_line_censors_it_on_the_last_proof_of_life() -> None:
    presumed = treated(*alive(60), dead(100, presumed=True))
    assert lines_of(300, presumed) == {"presumed_censored": [Time(0, 60, False)]}
    assert lines_of(99, presumed) == {}


def test_given_a_death_without_a_date_then_a_line_has_it_on_the_day_after_the_last_proof_of_life() -> None:
    undated = treated(*alive(60), dead(None))
    assert lines_of(300, undated) == {"undated_as_event": [Time(0, 61, True)]}
    assert lines_of(60, undated) == {"undated_as_event": [Time(0, 60, False)]}
    assert lines_of(59, undated) == {}


def test_given_the_four_cases_then_the_undated_death_as_an_event_moves_the_median_to_423() -> None:
    """W2."""
    chosen = selection(FOUR_CASES_CUT)
    (reading,) = [reading for reading in sensitivity_readings(four_cases(), chosen) if np.any(reading.applies)]
    times = observe_endpoint(four_cases(), chosen, reading.exits)
    assert (reading.name, times.events) == ("undated_as_event", 3)
    assert quantile(kaplan_meier(times.observations)).value == 423


def test_given_deaths_after_a_withdrawal_then_a_line_counts_them() -> None:
    """W12."""
    leaving: list[Fact] = [*alive(100), facts.consent_withdrawn(100)]
    dying = [treated(*leaving, dead(day)) for day in (120, 140, 160, 180, 200)]
    cohort = cohort_of([*dying, *[treated(*leaving)] * 5])
    times = lines(cohort, 300)["deaths_after_leaving"]
    assert [time.exit for time in times if time.is_event] == [120, 140, 160, 180, 200]
    (reading,) = [reading for reading in sensitivity_readings(cohort, selection(300)) if np.any(reading.applies)]
    curve = kaplan_meier(observe_endpoint(cohort, selection(300), reading.exits).observations)
    assert curve.estimate[curve.events > 0].tolist() == pytest.approx([0.8, 0.6, 0.4, 0.2, 0.0])


def test_given_a_loss_that_stands_then_a_line_censors_on_the_last_proof_of_life_before_it() -> None:
    lost = treated(*alive(90), follow_up.lost_to_follow_up(100), follow_up.follow_up_resumed(300), *alive(310))
    assert lines_of(200, lost) == {"lost_censored": [Time(0, 90, False)]}
    assert lines_of(320, lost) == {}
    assert lines_of(99, lost) == {}
    dying = treated(*alive(90), follow_up.lost_to_follow_up(100), dead(150))
    assert lines_of(320, dying) == {"lost_censored": [Time(0, 90, False)]}
