from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.statistics.follow_up import clark_completeness
from services.analytics.statistics.intervals import UNDEFINED
from services.analytics.statistics.rates import incidence_rate
from tests.unit.analytics.statistics.reference_tables import assert_equal, table


def test_rates_and_limits_are_those_of_poisson_test() -> None:
    for row in table("poisson")[""]:
        rate = incidence_rate(int(row["x"]), row["time"])
        assert_equal(
            [rate.value or 0, rate.lower or 0, rate.upper or 0], [row["rate"], row["lower"], row["upper"]], 5e-12
        )


def test_two_severe_toxicities_in_255_days() -> None:
    rate = incidence_rate(2, 255 / 30.4375)
    values = [round(value or 0, 6) for value in (rate.value, rate.lower, rate.upper)]
    assert values == [0.238725, 0.028911, 0.862359]


def test_rate_without_time_at_risk_is_undefined_and_negative_numbers_are_refused() -> None:
    assert incidence_rate(0, 0) == UNDEFINED
    for events, time in ((-1, 1), (1, -1)):
        with pytest.raises(ValueError, match="cannot be negative"):
            incidence_rate(events, time)


def test_completeness_of_follow_up_of_the_published_cases() -> None:
    observed = np.array([246, 145, 599, 345])
    assert clark_completeness(observed, np.array([246, 145, 599, 347])) == 1335 / 1337
    assert clark_completeness(observed, np.array([246, 145, 1306, 347])) == 1335 / 2044
    assert clark_completeness(np.array([]), np.array([])) is None


@given(st.lists(st.tuples(st.integers(0, 900), st.integers(0, 900)), min_size=1))
def test_completeness_is_a_share(days: list[tuple[int, int]]) -> None:
    observed, potential = np.array(days).T
    share = clark_completeness(observed, potential)
    assert share is None or 0 <= share <= 1
